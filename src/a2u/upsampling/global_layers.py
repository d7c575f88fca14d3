"""Averages and group norms over a whole map that stay exact when the map is computed tile by tile.

Everything else in an operator or a network is local: a tile with a margin gives the same as the whole map. For an
average or a group norm, every tile first adds a `partial_sum` to the `total` of the whole map, which then replaces what
the layer would compute from the tile. Without a total these layers equal PyTorch's own.
"""

from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.upsampling.ops.composite import tracing, watched

Area = tuple[slice, slice]  # rows and columns


class Tile(NamedTuple):
    """Part of an image and a margin around it, in pixels of the image.

    Maps may be smaller than the image by a stride, which divides every number here. A margin ends where the image
    ends, so that zero padding of a tile pads there and nowhere else what padding of the whole map pads.
    """

    image: tuple[int, int]  # height and width
    seen: Area  # with the margin
    own: Area  # without; the own parts of all tiles are the image

    def cut(self, whole: Tensor) -> Tensor:
        """Cut the tile, with its margin, from a whole map: (N, C, H/s, W/s) -> (N, C, h/s, w/s)."""
        return whole[_at(self.seen, self.image[0] // whole.shape[-2])]

    def inner(self, part: Tensor) -> Tensor:
        """Cut the margin off a map of the tile."""
        return part[_at(self.own, self.stride(part), self.seen)]

    def paste(self, part: Tensor, whole: Tensor) -> None:
        """Copy a map of the tile, without the margin, into the whole map."""
        whole[_at(self.own, self.stride(part))] = self.inner(part)

    def stride(self, part: Tensor) -> int:
        """Return how many pixels of the image a pixel of the tile's map covers."""
        return (self.seen[0].stop - self.seen[0].start) // part.shape[-2]


def _at(area: Area, stride: int, origin: Area = (slice(0, 0), slice(0, 0))) -> tuple[Any, ...]:
    """Index of an area in a map of that stride which begins where `origin` does."""
    rows, columns = (
        slice((line.start - first.start) // stride, (line.stop - first.start) // stride)
        for line, first in zip(area, origin, strict=True)
    )
    return ..., rows, columns


class GlobalLayer(nn.Module):
    """A layer whose output at one position depends on the whole map."""

    total: Tensor | None = None  # sum over all tiles; None: forward is given the whole map

    def partial_sum(self, x: Tensor, tile: Tile) -> Tensor:
        """Return what `x`, a map of `tile`, without its margin, adds to the total, in float64."""
        raise TypeError(f"{type(self).__name__} does not define partial_sum().")


class Average(GlobalLayer):
    """Average over size x size areas, as `adaptive_avg_pool2d` divides a map: (N, C, H, W) -> (N, C, size, size).

    An operator averages what it is given, never what it has computed from that.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if self.total is not None:
            return self.total.to(x.dtype)
        if torch.compiler.is_exporting() or tracing():  # whose ONNX knows areas of one size alone
            rows, columns = (_areas(self.size, length).to(x) for length in x.shape[-2:])
            return rows @ (x @ columns.T)
        if x.is_cuda and x.dtype != torch.float16 and not watched(x):  # where a sum may overflow
            return average_by_products(x, self.size)  # PyTorch's took three quarters of a forward pass
        return F.adaptive_avg_pool2d(x, self.size)

    def partial_sum(self, x: Tensor, tile: Tile) -> Tensor:
        stride = tile.stride(x)
        rows, columns = (
            _areas(self.size, length // stride)[:, own.start // stride : own.stop // stride].to(x)
            for length, own in zip(tile.image, tile.own, strict=True)
        )  # (size, h) and (size, w)
        return (rows @ (tile.inner(x) @ columns.T)).double()


def average_by_products(x: Tensor, size: int) -> Tensor:
    """Compute `adaptive_avg_pool2d` as two matrix products: x is read once, and its gradient has the layout of x."""
    n, channels, height, width = x.shape
    rows, columns = (_members(size, length, x.device, x.dtype) for length in (height, width))
    counts = _counts(size, height, x.device)[:, None] * _counts(size, width, x.device)
    with torch.autocast(x.device.type, enabled=False):  # as PyTorch's: in the type of x
        # bmm, since matmul would turn x to make one large product
        if x.stride(1) == 1:  # the channels of a row lie side by side
            of_rows = torch.bmm(rows.expand(n, -1, -1), x.permute(0, 2, 3, 1).flatten(2))  # (N, size, W*C)
            of_rows = of_rows.view(n * size, width, channels)
            sums = torch.bmm(columns.expand(n * size, -1, -1), of_rows)
            sums = sums.view(n, size, size, channels).permute(0, 3, 1, 2)
        else:
            of_columns = torch.bmm(x.flatten(1, 2), columns.mT.expand(n, -1, -1))  # (N, C*H, size)
            of_columns = of_columns.view(n * channels, height, size)
            sums = torch.bmm(rows.expand(n * channels, -1, -1), of_columns).view(n, channels, size, size)
    return (sums / counts).to(x.dtype)


# Kept for ever: a CUDA graph may read them. Small, one for each size of a map.
@cache
def _members(count: int, length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(1, count, length): 1 where a position of a line is in an area, else 0."""
    with torch.inference_mode(False):  # it may be used in training next
        return (_areas(count, length)[None] > 0).to(device, dtype)


@cache
def _counts(count: int, length: int, device: torch.device) -> Tensor:
    """Return the number of positions of a line in each area, in float32: 16 bits do not hold it."""
    with torch.inference_mode(False):
        return (_areas(count, length) > 0).sum(dim=1).to(device, torch.float32)


def _areas(count: int, length: int) -> Tensor:
    """Return the weight of each position of a line in the average of each of `count` areas, which may overlap by 1."""
    number = torch.arange(count)[:, None]
    start, stop = number * length // count, ((number + 1) * length + count - 1) // count
    position = torch.arange(length)
    return ((position >= start) & (position < stop)).double() / (stop - start)


class GroupNorm(GlobalLayer, nn.GroupNorm):
    """Group norm of what an operator computes, perhaps with averages. Total: means and mean squares, (2, N, groups)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.total is None:
            # of a single pixel, too; in float32, where what an operator computes from float16 is
            weight, bias = (value.to(torch.promote_types(value.dtype, x.dtype)) for value in (self.weight, self.bias))
            return torch.group_norm(x, self.num_groups, weight, bias, self.eps)
        mean, square = self.total.unsqueeze(-1)  # (N, groups, 1) each
        deviation = (square - mean.square() + self.eps).sqrt()
        scale = self.weight.view(self.num_groups, -1) / deviation  # (N, groups, C / groups)
        shift = self.bias.view(self.num_groups, -1) - mean * scale
        scale, shift = (value.to(x.dtype).flatten(1)[..., None, None] for value in (scale, shift))  # (N, C, 1, 1)
        return x * scale + shift

    def partial_sum(self, x: Tensor, tile: Tile) -> Tensor:
        inner = tile.inner(x)
        variance, mean = torch.var_mean(inner.unflatten(1, (self.num_groups, -1)).flatten(2), dim=2, correction=0)
        mean, variance = mean.double(), variance.double()  # a square is to lose no digits
        stride = tile.stride(x)
        of_all = inner.shape[-2] * inner.shape[-1] * stride**2 / (tile.image[0] * tile.image[1])
        return torch.stack([mean, variance + mean.square()]) * of_all
