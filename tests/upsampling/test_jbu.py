"""JBU's weights, and how far it reaches."""

import math

import pytest
import torch
import torch.nn.functional as F

from a2u.upsampling import build_upsampler


def uncorrected(**options):
    """An operator whose learned correction is 0, a map and a guide."""
    torch.manual_seed(0)
    operator = build_upsampler("jbu", 3, key_channels=4, **options).double().eval()
    for parameter in operator.correct.parameters():
        torch.nn.init.zeros_(parameter)
    ratio = operator.ratio
    return operator, torch.randn(2, 3, 5, 6).double(), torch.randn(2, 3, 5 * ratio, 6 * ratio).double()


@pytest.mark.parametrize("ratio", [2, 3])
def test_a_constant_guide_leaves_a_gaussian_blur_of_the_bicubic_map(ratio):
    operator, x, guide = uncorrected(radius=2, ratio=ratio)
    line = torch.exp(-0.5 * torch.tensor([-1, -0.5, 0, 0.5, 1]).double() ** 2)
    kernel = (line[:, None] * line / line.sum() ** 2).expand(3, 1, 5, 5)
    bicubic = F.interpolate(x, scale_factor=ratio, mode="bicubic")
    expected = F.conv2d(F.pad(bicubic, [2] * 4, mode="reflect"), kernel, groups=3)
    torch.testing.assert_close(operator(x, torch.zeros_like(guide)), expected)


def test_pixels_that_look_alike_weigh_more():
    operator, x, guide = uncorrected()
    weights = operator.weights(guide)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 10, 12).double())
    operator.temperature.data.fill_(-math.inf)  # the smallest temperature allowed: next to nothing but distance counts
    torch.testing.assert_close(operator.weights(guide), operator.weights(0 * guide), rtol=1e-2, atol=0)
    assert not torch.allclose(weights, operator.weights(guide), rtol=1e-2)


def test_the_correction_is_a_tenth():
    operator, x, guide = uncorrected()
    plain = operator.weights(guide)
    torch.nn.init.constant_(operator.correct[-1].bias, 2.0)
    torch.testing.assert_close(operator.weights(guide), plain + 0.2)


def test_dropout_is_for_training():
    torch.manual_seed(0)
    operator = build_upsampler("jbu", 3)
    guide = torch.randn(1, 3, 8, 8)
    assert not torch.allclose(operator.train().weights(guide), operator.weights(guide))
    assert torch.equal(operator.eval().weights(guide), operator.weights(guide))


@pytest.mark.parametrize(("radius", "ratio", "expected"), [(3, 2, 3), (1, 2, 2), (5, 2, 4), (3, 4, 3), (12, 2, 8)])
def test_reach(radius, ratio, expected):
    operator, _, _ = uncorrected(radius=radius, ratio=ratio)
    assert operator.reach == expected
    side = 2 * expected + 5
    x, guide = torch.randn(1, 3, side, 4).double(), torch.randn(1, 3, side * ratio, 4 * ratio).double()
    before = operator(x, guide)
    middle = side // 2
    x[..., middle, :] += 1
    changed = (operator(x, guide) != before).any(dim=(0, 1, 3)).nonzero() // ratio
    assert (changed - middle).abs().max() == expected
