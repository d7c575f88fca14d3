"""Attention of every output position to points of a small map, between its pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from a2u.upsampling.ops.composite import recording, watched
from a2u.upsampling.ops.geometry import by_sub_position, pixel_shuffle
from a2u.upsampling.ops.reassembly import reassemble_up
from a2u.upsampling.ops.sampling import sample
from a2u.upsampling.ops.similarity import window_similarity

LARGEST_RADIUS = 3  # whose windows are compared sooner than points are sampled


def point_weights(
    query: Tensor, key: Tensor, px: Tensor, py: Tensor, heads: int = 1, bias: Tensor | None = None
) -> Tensor:
    """Weigh P points of each output position by a softmax of the query's inner products with the keys there.

    What is sampled, P times the size of the result, is never stored whole: a gradient samples again, point by point.

    Args:
        query: (N, d, H, W).
        key: (N, d, h, w).
        px: (N, G, P, H, W), columns of the points in pixels of the small map, for each of G consecutive groups of
            channels (`sample`). Outside the map the key is 0.
        py: the rows.
        heads: consecutive groups of channels with weights of their own; divides d.
        bias: (P, d), added to the keys of a point.

    Returns:
        (N, heads, P, H, W).
    """

    def similarity(point: int) -> Tensor:
        seen = sample(key, px[:, :, point], py[:, :, point], outside="zeros")
        if bias is not None:
            seen = seen + bias[point, :, None, None]
        return (query * seen).unflatten(1, (heads, -1)).sum(dim=2)

    return torch.stack([_recomputed(similarity, point) for point in range(px.shape[2])], dim=2).softmax(dim=2)


def weighted_sum(value: Tensor, weights: Tensor, px: Tensor, py: Tensor) -> Tensor:
    """Sum the values at P points of each output position, sampled as in `point_weights`.

    Args:
        value: (N, C, h, w); outside it is 0.
        weights: (N, heads, P, H, W); heads, consecutive groups of channels, divides C.
        px: (N, G, P, H, W), columns of the points, for each of G consecutive groups of channels.
        py: the rows.

    Returns:
        (N, C, H, W).
    """

    def weighted(point: int) -> Tensor:
        seen = sample(value, px[:, :, point], py[:, :, point], outside="zeros")
        return (weights[:, :, point].unsqueeze(2) * seen.unflatten(1, (weights.shape[1], -1))).flatten(1, 2)

    y = _recomputed(weighted, 0)
    for point in range(1, px.shape[2]):
        y = y + _recomputed(weighted, point)
    return y.to(value.dtype)


class NearPoints:
    """Points near the pixel of the small map that each output position lies in.

    A bilinear sample mixes four pixels, so its inner product with a query mixes those of the pixels, and a weighted
    sum of samples is a weighted sum of pixels: whole windows are compared and reassembled, and nothing is sampled.

    Args:
        dx: (N, G, P, r*h, r*w), columns of the points less the column of the output position // r, for each of G
            consecutive groups of channels, which have weights of their own.
        dy: the rows, likewise.
        radius: of the windows in pixels, more than the largest absolute value in dx and dy.
        ratio: r.
    """

    def __init__(self, dx: Tensor, dy: Tensor, radius: int, ratio: int) -> None:
        self.groups, self.points = dx.shape[1:3]
        self.ratio, self.size = ratio, 2 * radius + 1
        dx, dy = (by_sub_position(offset.flatten(0, 1), ratio) for offset in (dx, dy))  # (N*G, P, r*r, h, w)
        left, above = dx.floor(), dy.floor()
        right, below = dx - left, dy - above  # shares of the pixels there
        tap = ((above + radius) * self.size + left + radius).long()  # of the pixel above and left of a point
        self.taps = torch.cat([tap, tap + 1, tap + self.size, tap + self.size + 1], dim=1)  # (N*G, 4*P, r*r, h, w)
        self.shares = torch.cat(
            [(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below], dim=1
        )

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Compute `point_weights`: (N, G, P, r*h, r*w)."""
        query, key = (maps.unflatten(1, (self.groups, -1)).flatten(0, 1) for maps in (query, key))
        of_pixels = window_similarity(query, key, self.size, self.ratio)  # (N*G, size*size, r*r, h, w)
        of_points = (self.shares * of_pixels.gather(1, self.taps)).unflatten(1, (4, self.points)).sum(dim=1)
        weights = pixel_shuffle(of_points.softmax(dim=1).flatten(1, 2), self.ratio)
        return weights.unflatten(0, (-1, self.groups))

    def weighted_sum(self, value: Tensor, weights: Tensor) -> Tensor:
        """Compute `weighted_sum` with a group's weights for its channels: (N, C, r*h, r*w)."""
        of_points = by_sub_position(weights.flatten(0, 1), self.ratio).repeat(1, 4, 1, 1, 1)
        empty = self.shares.new_zeros(len(of_points), self.size**2, *of_points.shape[2:])
        kernel = empty.scatter_add(1, self.taps, self.shares * of_points)
        return reassemble_up(
            value, kernel.unflatten(0, (-1, self.groups)).flatten(1, 2), self.size, self.groups, self.ratio
        )


def near_points(dx: Tensor, dy: Tensor, ratio: int) -> NearPoints | None:
    """Return the points as NearPoints on a CPU; None where some are far, or where nobody may look at values."""
    if dx.device.type != "cpu" or not dx.numel() or watched(dx):
        return None
    largest = float(torch.maximum(dx.detach().abs().max(), dy.detach().abs().max()))
    return NearPoints(dx, dy, int(largest) + 1, ratio) if largest < LARGEST_RADIUS else None


def _recomputed(function: Callable[[int], Tensor], point: int) -> Tensor:
    """`function(point)`, which is computed again for gradients in place of keeping what they need."""
    if torch.compiler.is_exporting() or recording():
        return function(point)
    y: Tensor = checkpoint(function, point, use_reentrant=False, preserve_rng_state=False)
    return y
