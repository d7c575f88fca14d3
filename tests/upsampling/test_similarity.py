"""Similarity with windows against a loop; reflected borders against NumPy's."""

import numpy as np
import pytest
import torch

from a2u.upsampling.ops import c_backend, onnx_backend, reassemble_up, reassembly, torch_backend
from a2u.upsampling.ops.reflection import reassemble_up_reflected, reflect, window_similarity_reflected
from a2u.upsampling.ops.similarity import window_similarity


@pytest.fixture(params=["torch_backend", "c_backend"])
def back_end(request, monkeypatch):
    if request.param == "c_backend" and reassembly._compiled() is None:
        pytest.skip("there is no C compiler")
    chosen = {"torch_backend": torch_backend, "c_backend": c_backend}[request.param]
    monkeypatch.setattr(reassembly, "_back_end", lambda x: chosen)


def maps(n, d, h, w, ratio):
    generator = torch.Generator().manual_seed(0)
    sizes = (n, d, ratio * h, ratio * w), (n, d, h, w)
    return [torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_() for size in sizes]


@pytest.mark.parametrize(("k", "ratio"), [(3, 1), (3, 2), (5, 3), (1, 2)])
def test_equals_a_loop(back_end, k, ratio):
    query, key = maps(2, 3, 3, 4, ratio)
    found = window_similarity(query, key, k, ratio)
    assert found.shape == (2, k * k, ratio**2, 3, 4)
    bordered = np.pad(key.detach().numpy(), ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    for n, tap, sub, i, j in np.ndindex(*found.shape):
        a = query[n, :, ratio * i + sub // ratio, ratio * j + sub % ratio].detach().numpy()
        b = bordered[n, :, i + tap // k, j + tap % k]
        np.testing.assert_allclose(found[n, tap, sub, i, j].item(), a @ b, rtol=1e-12, atol=1e-14)
    blocks = torch.nn.functional.pixel_unshuffle(query, ratio).unflatten(1, (3, -1))
    torch.testing.assert_close(onnx_backend.similarity(blocks, key, k), found)


@pytest.mark.parametrize("function", [window_similarity, window_similarity_reflected])
def test_gradients(back_end, function):
    query, key = maps(1, 2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda query, key: function(query, key, 3, 2), (query, key))


@pytest.mark.parametrize("size", [(4, 5), (3, 1), (2, 2)])
def test_reflection_is_that_of_numpy(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    np.testing.assert_array_equal(reflect(x, 3), expected)


def test_reflected_reassembly_and_similarity_see_a_reflected_map():
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    kernel = torch.randn(1, 9, 4, 4, 5, dtype=torch.float64)
    whole = reassemble_up(reflect(x, 1), torch.nn.functional.pad(kernel, [1] * 4), 3)
    torch.testing.assert_close(reassemble_up_reflected(x, kernel, 3), whole[..., 2:-2, 2:-2])
    similarity = window_similarity_reflected(x, x, 3, ratio=1)
    torch.testing.assert_close(similarity[:, 4, 0], x.square().sum(dim=1))  # with itself
    torch.testing.assert_close(similarity[:, 3, 0, :, 0], similarity[:, 5, 0, :, 0])  # left of the edge as right of it


@pytest.mark.parametrize(
    ("size", "kernel_size", "message"),
    [
        ((1, 2, 4, 5), 3, r"the query must be \(1, 2, 4, 6\); got \(1, 2, 4, 5\)"),
        ((1, 2, 4, 6), 2, "must be odd; got 2"),
    ],
)
def test_what_does_not_fit_is_named(size, kernel_size, message):
    with pytest.raises(ValueError, match=message):
        window_similarity(torch.zeros(size), torch.zeros(1, 2, 2, 3), kernel_size)
