"""Encoding by Triton's kernels against PyTorch's grouped convolution; on a CPU in Triton's interpreter."""

import importlib.util
import warnings

import pytest
import torch
import torch.nn.functional as F

from a2u.upsampling.ops import encoding, triton_support

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LAYOUTS = [torch.contiguous_format, torch.channels_last]
pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed"),
]


def loop(x, kernels, stride):
    """Sample by sample, in float64."""
    n, c, size = *x.shape[:2], kernels.shape[-1]
    x, kernels = x.double(), kernels.double().repeat_interleave(c // kernels.shape[2], dim=2)
    y = []
    for sample in range(n):
        own = kernels[sample % len(kernels)].transpose(0, 1).reshape(-1, 1, size, size)  # (C * outputs, 1, e, e)
        y.append(F.conv2d(x[sample : sample + 1], own, stride=stride, padding=(size - 1) // 2, groups=c))
    return torch.cat(y).unflatten(1, (c, -1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "own", "outputs", "shared", "size", "stride"),
    [
        ((2, 4, 6, 10), True, 1, 1, 5, 2),
        ((2, 4, 6, 10), True, 2, 4, 6, 2),
        ((1, 6, 4, 2), False, 3, 2, 4, 2),
        ((3, 1, 2, 2), False, 1, 1, 3, 2),  # one channel, one position
        ((1, 70, 6, 18), True, 2, 1, 3, 2),  # more than a program's channels
        ((1, 2, 40, 28), False, 1, 2, 1, 2),  # more than its positions
        ((2, 9, 34, 34), True, 2, 9, 3, 2),  # and than one that sums the weights' gradients
        ((2, 3, 9, 6), True, 1, 3, 5, 3),
        ((2, 3, 5, 3), True, 1, 1, 3, 1),
    ],
)
def test_triton_kernels_equal_a_convolution(monkeypatch, shape, own, outputs, shared, size, stride, layout):
    monkeypatch.setattr(encoding, "by_triton", lambda x: True)
    torch.manual_seed(0)
    x = torch.randn(shape, device=DEVICE).contiguous(memory_format=layout).requires_grad_()
    kernels = torch.randn(shape[0] if own else 1, outputs, shared, size, size, device=DEVICE, requires_grad=True)
    y = encoding.encode(x, kernels, stride)
    expected = loop(x, kernels, stride)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, kernels), grad)
    for mine, right in zip(found, torch.autograd.grad(expected, (x, kernels), grad.double()), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["triton_reassembly", "triton_encoding"])
def test_kernels_are_found_right_in_the_midst_of_a_step_in_bfloat16(monkeypatch, name):
    if DEVICE == "cpu":
        monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    with torch.autocast(DEVICE, torch.bfloat16), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert triton_support.checked.__wrapped__(name) is not None


@pytest.mark.parametrize(("x", "batch"), [((3, 2, 4, 4), 2), ((1, 2, 5, 4), 1)])
def test_what_a_convolution_would_refuse_or_see_otherwise_is_refused(monkeypatch, x, batch):
    monkeypatch.setattr(encoding, "by_triton", lambda x: True)
    with pytest.raises(ValueError, match="sides that 2 divides"):
        encoding.encode(torch.zeros(x, device=DEVICE), torch.zeros(batch, 1, 1, 3, 3, device=DEVICE), 2)
