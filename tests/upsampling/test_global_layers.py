"""Averages and group norms gathered from tiles, and averages as they are made on a GPU."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from a2u.upsampling import build_upsampler
from a2u.upsampling.global_layers import Average, GroupNorm, Tile, average_by_products

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def tiles(height, width, margin=4):
    """Six tiles of unequal sizes, multiples of 4."""
    rows, columns = (0, 8, height), (0, 4, width - 8, width)
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            seen = (
                slice(max(top - margin, 0), min(bottom + margin, height)),
                slice(max(left - margin, 0), min(right + margin, width)),
            )
            yield Tile((height, width), seen, (slice(top, bottom), slice(left, right)))


def gathered(part, x, height, width):
    return sum(part.partial_sum(tile.cut(x), tile) for tile in tiles(height, width))


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_averages_of_tiles_are_those_of_the_whole_map(size, stride):
    x = torch.randn(2, 3, 28 // stride, 36 // stride, dtype=torch.float64)
    part = Average(size)
    expected = F.adaptive_avg_pool2d(x, size)  # areas that overlap, more areas than positions
    assert torch.equal(part(x), expected)
    torch.testing.assert_close(gathered(part, x, 28, 36), expected, rtol=0, atol=1e-13)
    part.total = gathered(part, x, 28, 36)
    torch.testing.assert_close(part(x[..., :2, :2].float()), expected.float())


@pytest.mark.parametrize("shift", [0, 1000])
def test_a_group_norm_of_tiles_is_that_of_the_whole_map(shift):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 28, 36) + shift + torch.linspace(0, 4, 36)
    part = GroupNorm(3, 6)
    with torch.no_grad():
        part.weight.normal_()
        part.bias.normal_()
    plain = nn.GroupNorm(3, 6).double()
    plain.load_state_dict(part.state_dict())
    expected = plain(x.double())
    torch.testing.assert_close(part(x).double(), expected, rtol=0, atol=1e-5 * (1 + shift))
    part.total = gathered(part, x, 28, 36)
    for tile in tiles(28, 36):
        inner = tile.inner(part(tile.cut(x))).double()
        torch.testing.assert_close(inner, expected[..., tile.own[0], tile.own[1]], rtol=0, atol=1e-5 * (1 + shift))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "size"), [((2, 3, 17, 13), 6), ((1, 1, 5, 7), 5), ((2, 4, 8, 8), 4), ((1, 2, 2, 3), 5)]
)
def test_an_average_by_products_is_the_adaptive_one(shape, size, layout):
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    found, expected = average_by_products(x, size), F.adaptive_avg_pool2d(x, size)
    torch.testing.assert_close(found, expected)
    grad = torch.randn_like(found)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, grad)[0] for y in (found, expected)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_average_of_16_bits_loses_no_more_than_its_last_digits(layout):
    x = (torch.rand(1, 2, 301, 277) + 100 * torch.arange(2)[:, None, None]).contiguous(memory_format=layout)
    exact = F.adaptive_avg_pool2d(x.double(), 2)
    torch.testing.assert_close(average_by_products(x.bfloat16(), 2).double(), exact, rtol=2**-7, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(average_by_products(x, 2).double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize(("name", "options"), [("sapa", {"norm": "group"}), ("sapa_d", {"norm": True}), ("resfu", {})])
def test_operators_with_a_group_for_each_channel_upsample_a_single_pixel(name, options):
    operator = build_upsampler(name, 32, **options)
    x = torch.randn(1, 32, 1, 1)
    assert operator(x, torch.randn(1, 32, 2, 2)).isfinite().all()
