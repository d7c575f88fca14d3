"""What operators read off the picture can be taken away: with operators whose answer is known."""

import pytest
import torch
from helpers.guide import Guide

from a2u.upsampling import build_upsampler, operators
from a2u.upsampling.content import Content, mean_content, mean_over_positions, with_guides_of

WITHOUT = {"nearest", "bilinear", "bicubic", "blur", "deconv", "pixel_shuffle", "max_unpool"}
OURS = {name for name, operator in operators().items() if operator.__module__.startswith("a2u.")}


def inputs(channels=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, 3, 5, generator=generator), torch.randn(2, channels, 6, 10, generator=generator)


def test_a_mean_is_over_positions_and_of_each_sub_position():
    x, feature = inputs()
    torch.testing.assert_close(mean_over_positions(x), x.mean(dim=(-2, -1), keepdim=True).expand_as(x))
    of_lower_left = mean_over_positions(feature, 2)[..., 1::2, ::2]
    expected = feature[..., 1::2, ::2].mean(dim=(-2, -1), keepdim=True)
    torch.testing.assert_close(of_lower_left, expected.expand_as(of_lower_left))
    equal = torch.full((1, 1, 33, 35), 0.1)
    assert mean_over_positions(equal).equal(equal)


@pytest.mark.parametrize("name", sorted(OURS - WITHOUT))
def test_without_content_the_result_is_another_and_then_the_same_again(name):
    torch.manual_seed(0)
    options = {"lda_aqu": {"reduction": 1}, "dysample": {"style": "pl"}}.get(name, {})
    operator, (x, feature) = build_upsampler(name, 8, **options).eval(), inputs()
    whole = operator(x, feature)
    with mean_content(operator):
        changed = operator(x, feature)
    assert changed.equal(whole) == (name == "constant_kernel")
    assert operator(x, feature).equal(whole)


def test_both_kernels_of_a_paired_operator_are_content():
    torch.manual_seed(0)
    operator, (x, feature) = build_upsampler("a2u", 8, paired=True), inputs()
    down, guide = operator.downsample(feature)
    with mean_content(operator):
        assert not operator.downsample(feature)[0].equal(down)
        without = operator(x, guide)
    assert not without.equal(operator(x, guide))


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_other_operators_have_none(name):
    assert not [part for part in build_upsampler(name, 8).modules() if isinstance(part, Content)]


def test_of_an_operator_that_returns_the_guide_nothing_is_left():
    operator, (x, feature) = Guide(2), inputs(2)
    with mean_content(operator):
        assert operator(x, feature).equal(mean_over_positions(feature, 2))


def test_guides_are_exchanged():
    operator, (x, feature) = Guide(2), inputs(2)
    other = feature + 1
    assert with_guides_of(operator, lambda: operator(x, other), lambda: operator(x, feature)).equal(other)
    assert operator(x, feature).equal(feature)
    nearest = build_upsampler("nearest", 2)
    with pytest.raises(ValueError, match="gives no upsampling operator a guide"):
        with_guides_of(nearest, lambda: nearest(x), lambda: nearest(x))
