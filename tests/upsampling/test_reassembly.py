"""Reassembly against the released program's values, a loop, and finite differences."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from a2u.upsampling.ops import reassemble_down, reassemble_up


def slow_up(x, kernel, k, groups=1, ratio=2):
    """Eq. 1, position by position."""
    n, c, h, w = x.shape
    y = torch.zeros(n, c, ratio * h, ratio * w, dtype=x.dtype)
    for b, ch, i, j in np.ndindex(*y.shape):
        group = ch // (c // groups)
        for row, column in np.ndindex(k, k):
            si, sj = i // ratio + row - k // 2, j // ratio + column - k // 2
            if 0 <= si < h and 0 <= sj < w:
                y[b, ch, i, j] += kernel[b, (group * k + row) * k + column, i, j] * x[b, ch, si, sj]
    return y


def slow_down(x, kernel, k, groups=1, ratio=2):
    n, c, height, width = x.shape
    y = torch.zeros(n, c, height // ratio, width // ratio, dtype=x.dtype)
    for b, ch, i, j in np.ndindex(*y.shape):
        group = ch // (c // groups)
        for row, column in np.ndindex(k, k):
            si, sj = ratio * i + row - (k - ratio) // 2, ratio * j + column - (k - ratio) // 2
            if 0 <= si < height and 0 <= sj < width:
                y[b, ch, i, j] += kernel[b, (group * k + row) * k + column, i, j] * x[b, ch, si, sj]
    return y


def relative_error(found, expected):
    expected = torch.as_tensor(expected)
    return float((found - expected).abs().max() / expected.abs().max())


CASES = [
    ("upsample", reassemble_up, 1, 1),
    ("upsample", reassemble_up, 3, 1),
    ("upsample", reassemble_up, 5, 2),
    ("downsample", reassemble_down, 2, 1),
    ("downsample", reassemble_down, 6, 1),
    ("downsample", reassemble_down, 10, 2),
]


@pytest.mark.parametrize(("direction", "function", "k", "groups"), CASES)
def test_equals_the_released_program(reference, direction, function, k, groups):
    data = np.load(reference / "ops" / f"{direction}_k{k}_g{groups}.npz")
    x = torch.tensor(data["x"], requires_grad=True)
    kernel = torch.tensor(data["kernel"], requires_grad=True)
    y = function(x, kernel, k, groups)
    y.backward(torch.tensor(data["grad_y"]))
    assert relative_error(y.detach(), data["y"]) < 1e-10
    assert relative_error(x.grad, data["grad_x"]) < 1e-10
    assert relative_error(kernel.grad, data["grad_kernel"]) < 1e-10


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize(("k", "groups", "ratio"), [(1, 1, 2), (3, 2, 2), (5, 1, 2), (3, 1, 3), (3, 1, 1)])
def test_up_equals_a_loop(size, k, groups, ratio):
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    kernel = torch.randn(2, groups * k * k, ratio * size[0], ratio * size[1], dtype=torch.float64)
    torch.testing.assert_close(
        reassemble_up(x, kernel, k, groups, ratio),
        slow_up(x, kernel, k, groups, ratio),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize(("k", "groups", "ratio"), [(2, 1, 2), (6, 2, 2), (9, 1, 3), (3, 1, 1)])
def test_down_equals_a_loop(size, k, groups, ratio):
    x = torch.randn(2, 4, ratio * size[0], ratio * size[1], dtype=torch.float64)
    kernel = torch.randn(2, groups * k * k, *size, dtype=torch.float64)
    torch.testing.assert_close(
        reassemble_down(x, kernel, k, groups, ratio),
        slow_down(x, kernel, k, groups, ratio),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize(("k", "groups"), [(1, 1), (3, 2)])
def test_up_gradients(k, groups):
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, groups * k * k, 6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: reassemble_up(a, b, k, groups), (x, kernel))


@pytest.mark.parametrize(("k", "groups"), [(2, 1), (6, 2)])
def test_down_gradients(k, groups):
    x = torch.randn(2, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(2, groups * k * k, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: reassemble_down(a, b, k, groups), (x, kernel))


def test_gradient_of_one_input_alone():
    x, kernel = torch.randn(1, 2, 2, 2), torch.randn(1, 9, 4, 4, requires_grad=True)
    reassemble_up(x, kernel, 3).sum().backward()
    assert kernel.grad is not None
    x.requires_grad_()
    reassemble_up(x, kernel.detach(), 3).sum().backward()
    assert x.grad is not None


def test_memory_format_does_not_change_the_result():
    x, kernel = torch.randn(2, 4, 5, 3), torch.randn(2, 9, 10, 6)
    expected = reassemble_up(x, kernel, 3)
    last = torch.channels_last
    found = reassemble_up(x.to(memory_format=last), kernel.to(memory_format=last), 3)
    assert torch.equal(found, expected)


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest storage made inside."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.untyped_storage().nbytes() // leaf.element_size())
        return out


def test_never_stores_an_unfold():
    n, c, h, w, k = 1, 16, 12, 10, 5
    x = torch.randn(n, c, h, w, requires_grad=True)
    kernel = torch.randn(n, k * k, 2 * h, 2 * w, requires_grad=True)
    enlarged_map = n * c * 2 * h * 2 * w
    with LargestTensor() as largest:
        reassemble_up(x, kernel, k).sum().backward()
    assert largest.elements <= max(enlarged_map, kernel.numel())
    assert largest.elements < k * k * n * c * h * w  # not even of the small map


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reassemble_up(torch.zeros(1, 2, 3, 3), torch.zeros(1, 4, 6, 6), 2), "odd"),
        (
            lambda: reassemble_up(torch.zeros(1, 2, 3, 3), torch.zeros(1, 9, 6, 5), 3),
            r"must be \(1, 9, 6, 6\)",
        ),
        (
            lambda: reassemble_up(torch.zeros(1, 3, 3, 3), torch.zeros(1, 18, 6, 6), 3, 2),
            "divide the channels",
        ),
        (
            lambda: reassemble_up(torch.zeros(2, 3, 3), torch.zeros(1, 9, 6, 6), 3),
            "reassembly takes x",
        ),
        (lambda: reassemble_down(torch.zeros(1, 2, 4, 4), torch.zeros(1, 9, 2, 2), 3), "even"),
        (
            lambda: reassemble_down(torch.zeros(1, 2, 5, 4), torch.zeros(1, 4, 2, 2), 2),
            "5 x 4: pad it first",
        ),
        (
            lambda: reassemble_down(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, 4), 2),
            r"must be \(1, 4, 2, 2\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
