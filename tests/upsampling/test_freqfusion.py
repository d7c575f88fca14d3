"""FreqFusion's two results, its filters and its resampling."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from a2u.upsampling import build_upsampler
from a2u.upsampling.freqfusion import normalised, with_similarities


def made(**options):
    torch.manual_seed(0)
    operator = build_upsampler("freqfusion", 4, compressed_channels=8, **options).double()
    return operator, torch.randn(2, 4, 6, 7).double(), torch.randn(2, 4, 12, 14).double()


@pytest.mark.parametrize("resample", [False, True])
def test_the_result_plus_the_guide_is_what_the_authors_network_adds(resample):
    operator, x, guide = made(resample=resample)
    y, sharpened = operator.fuse(x, guide)
    torch.testing.assert_close(operator(x, guide) + guide, y + sharpened)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_a_constant_stays_away_from_borders_and_with_reflection_everywhere(padding):
    operator, _, guide = made(padding=padding)
    y, sharpened = operator.fuse(torch.full((2, 4, 6, 7), 3.0).double(), torch.full_like(guide, 2))
    edge = 0 if padding == "reflect" else 4
    inside = (..., slice(edge, 12 - edge), slice(edge, 14 - edge))
    torch.testing.assert_close(y[inside], torch.full_like(y, 3)[inside])
    torch.testing.assert_close(sharpened[inside], torch.full_like(y, 2)[inside])  # it has no high frequencies
    if padding == "zeros":
        assert (y[..., 0, :] < 2.99).all()


@pytest.mark.parametrize("size", [3, 5])
def test_kernels_of_equal_logits_are_the_hamming_window(size):
    window = np.outer(np.hamming(size), np.hamming(size))
    found = normalised(torch.zeros(1, size**2, 1, 1).double())
    np.testing.assert_allclose(found.view(size, size), window / window.sum(), rtol=1e-12)


def test_similarities_are_cosines_with_neighbours_two_pixels_away():
    x = torch.randn(1, 3, 6, 5).double()
    found = with_similarities(x)
    assert found.shape == (1, 11, 6, 5)
    torch.testing.assert_close(found[:, :3], x)
    torch.testing.assert_close(found[:, 3, 2:, 2:], F.cosine_similarity(x[..., 2:, 2:], x[..., :-2, :-2], dim=1))
    torch.testing.assert_close(found[:, 10, :-2, :-2], F.cosine_similarity(x[..., :-2, :-2], x[..., 2:, 2:], dim=1))
    assert not found[:, 3, :2].any()  # outside


def test_without_offsets_resampling_changes_nothing():
    operator, x, guide = made(resample=True)
    plain, _, _ = made()
    plain.load_state_dict({key: value for key, value in operator.state_dict().items() if key in plain.state_dict()})
    for part in (operator.resampler.offset, operator.resampler.offset_guide):
        torch.nn.init.zeros_(part.weight)
    torch.testing.assert_close(operator(x, guide), plain(x, guide))


def test_an_offset_counts_two_pixels():
    """As released: the resampler moves in pixels of the small map, but samples the large one."""
    operator, x, guide = made(resample=True)
    for parameter in operator.resampler.parameters():
        torch.nn.init.zeros_(parameter)
    operator.resampler.offset_guide.bias.data[:4] = 1.0  # to the right, times sigmoid(0)
    columns = torch.arange(14).expand(2, 4, 12, 14).double()
    moved = operator.resampler(columns, torch.zeros(2, 8, 12, 14).double(), torch.zeros(2, 8, 6, 7).double())
    torch.testing.assert_close(moved, (columns + 1).clamp(max=13))


def test_initial_values():
    operator, _, _ = made(resample=True)
    for part in (operator.low_pass, operator.high_pass):
        assert math.isclose(part.weight.detach().std(), 0.001, rel_tol=0.1)
        assert not part.bias.any()
    bound = (6 / (9 * (16 + 32))) ** 0.5  # Xavier-uniform: what the resampler has of its own is overwritten
    assert 0.95 * bound < operator.resampler.offset.weight.abs().max() <= bound
