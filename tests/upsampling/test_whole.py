"""Averages and group norms gathered from tiles."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from a2u.upsampling.whole import Average, GroupNorm, Tile


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
    return sum(part.share(tile.cut(x), tile) for tile in tiles(height, width))


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
