"""ReSFU's points, its filters, and the difference it takes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from a2u.upsampling import build_upsampler
from a2u.upsampling.resfu import PairedDifference, blurred, guided_filter


def made(**options):
    torch.manual_seed(0)
    operator = build_upsampler("resfu", 4, embedding=8, **options).double()
    ratio = operator.ratio
    return operator, torch.randn(2, 4, 4, 5).double(), torch.randn(2, 4, 4 * ratio, 5 * ratio).double()


@pytest.mark.parametrize("ratio", [2, 3])
def test_points_are_whole_pixels_of_the_small_map_from_the_position(ratio):
    operator, x, guide = made(ratio=ratio)
    weights = F.pixel_shuffle(operator.point_weights(x, guide).flatten(1, 2), ratio).detach().numpy()
    y = operator(x, guide).detach().numpy()
    enlarged = F.interpolate(x, scale_factor=ratio, mode="bilinear").numpy()
    for i, j in np.ndindex(*y.shape[-2:]):
        expected = np.zeros((2, 4))
        for tap in range(9):
            row, column = i + ratio * (tap // 3 - 1), j + ratio * (tap % 3 - 1)
            if 0 <= row < y.shape[-2] and 0 <= column < y.shape[-1]:
                expected += weights[:, tap, i, j, None] * enlarged[:, :, row, column]
        np.testing.assert_allclose(y[:, :, i, j], expected, rtol=1e-10, atol=1e-12)


def test_points_outside_weigh_nothing_and_a_constant_stays():
    operator, x, guide = made()
    weights = operator.point_weights(x, guide)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 4, 4, 5).double())
    assert not weights[:, :3, :, 0].any()
    assert weights[:, :, :, 1:-1, 1:-1].all()
    torch.testing.assert_close(operator(torch.ones_like(x), guide), torch.ones_like(guide))


def test_a_map_that_is_a_linear_function_of_the_guide_passes_the_filter():
    guide = 100 * torch.randn(1, 2, 40, 36).double()
    torch.testing.assert_close(guided_filter(3 * guide - 5, guide), 3 * guide - 5, rtol=1e-4, atol=1e-3)
    flat = torch.ones_like(guide)
    torch.testing.assert_close(guided_filter(flat, guide), flat)


def test_by_a_constant_guide_the_filter_averages_every_second_pixel():
    x = torch.randn(1, 2, 10, 9).double()  # a map as large as a box
    expected = x[..., ::2, ::2].mean(dim=(2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(guided_filter(x, torch.ones_like(x)), expected)


def test_the_blur_is_a_normalised_gaussian():
    x = torch.zeros(1, 1, 5, 5).double()
    x[..., 2, 2] = 1
    line = np.exp([-0.5, 0, -0.5])
    np.testing.assert_allclose(blurred(x)[0, 0, 1:4, 1:4], np.outer(line, line) / line.sum() ** 2, rtol=1e-12)
    torch.testing.assert_close(blurred(torch.ones_like(x)), torch.ones_like(x))


def test_what_both_maps_have_in_common_makes_no_difference():
    part = PairedDifference(8, ratio=2).double()
    flat = torch.randn(2, 8, 1, 1).double().expand(2, 8, 6, 4)
    part.norm = torch.nn.Identity()
    torch.testing.assert_close(part(flat, flat), part(flat + 2, flat + 2))
    assert not torch.allclose(part(flat, flat), part(flat + 2, flat))


def test_a_width_that_32_groups_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="resfu: channels must be at most 32, or a multiple of 32; got 48"):
        build_upsampler("resfu", 48)
