"""Attention of every output position to points of a small map, between its pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from a2u.upsampling.ops.composite import recording, watched
from a2u.upsampling.ops.geometry import by_sub_position
from a2u.upsampling.ops.reassembly import reassemble_up
from a2u.upsampling.ops.sampling import sample
from a2u.upsampling.ops.similarity import window_similarity

LARGEST_RADIUS = 3  # whose windows are compared sooner than points are sampled


def attend(
    query: Tensor, key: Tensor, value: Tensor, px: Tensor, py: Tensor, heads: int = 1, bias: Tensor | None = None
) -> Tensor:
    """Sum the values at P points of each output position, weighted by a softmax of the keys' inner products there.

    What is sampled, P times the size of the result, is never stored whole: a gradient samples again, point by point.

    Args:
        query: (N, d, H, W).
        key: (N, d, h, w).
        value: (N, C, h, w).
        px: (N, G, P, H, W), columns of the points in pixels of the small map, for each of G consecutive groups of
            channels, of key as of value (`sample`). Outside the map both are 0.
        py: the rows.
        heads: consecutive groups of channels with weights of their own; divides d and C.
        bias: (P, d), added to the keys of a point.

    Returns:
        (N, C, H, W).
    """

    def similarity(point: int) -> Tensor:
        seen = sample(key, px[:, :, point], py[:, :, point], outside="zeros")
        if bias is not None:
            seen = seen + bias[point, :, None, None]
        return (query * seen).unflatten(1, (heads, -1)).sum(dim=2)

    def weighted(point: int) -> Tensor:
        seen = sample(value, px[:, :, point], py[:, :, point], outside="zeros")
        return (weights[:, :, point].unsqueeze(2) * seen.unflatten(1, (heads, -1))).flatten(1, 2)

    points = range(px.shape[2])
    weights = torch.stack([_recomputed(similarity, point) for point in points], dim=2).softmax(dim=2)
    y = _recomputed(weighted, 0)
    for point in points[1:]:
        y = y + _recomputed(weighted, point)
    return y.to(value.dtype)


def attend_near(query: Tensor, key: Tensor, value: Tensor, dx: Tensor, dy: Tensor, radius: int, ratio: int) -> Tensor:
    """Compute `attend` where all points of an output position lie near its pixel of the small map.

    A bilinear sample mixes four pixels, so its inner product with a query mixes those of the pixels, and a weighted
    sum of samples is a weighted sum of pixels: whole windows are compared and reassembled, and nothing is sampled.

    Args:
        query: (N, d, r*h, r*w).
        key: (N, d, h, w).
        value: (N, C, h, w).
        dx: (N, G, P, r*h, r*w), columns of the points minus (column of the output position) // r, for each of G
            consecutive groups of channels, which have weights of their own.
        dy: the rows, likewise.
        radius: of the windows, more than the largest absolute value in dx and dy.
        ratio: r.

    Returns:
        (N, C, r*h, r*w).
    """
    n, groups, points = dx.shape[:3]
    size = 2 * radius + 1
    dx, dy = (by_sub_position(offset.flatten(0, 1), ratio) for offset in (dx, dy))  # (N*G, P, r*r, h, w)
    left, above = dx.floor(), dy.floor()
    right, below = dx - left, dy - above  # shares of the pixels there
    tap = ((above + radius) * size + left + radius).long()  # of the pixel above and left of a point
    taps = torch.cat([tap, tap + 1, tap + size, tap + size + 1], dim=1)  # (N*G, 4*P, r*r, h, w)
    shares = torch.cat([(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below], dim=1)
    query, key = (maps.unflatten(1, (groups, -1)).flatten(0, 1) for maps in (query, key))
    of_pixels = window_similarity(query, key, size, ratio)  # (N*G, size*size, r*r, h, w)
    weights = (shares * of_pixels.gather(1, taps)).unflatten(1, (4, points)).sum(dim=1).softmax(dim=1)
    kernel = shares.new_zeros(of_pixels.shape).scatter_add(1, taps, shares * weights.repeat(1, 4, 1, 1, 1))
    return reassemble_up(value, kernel.unflatten(0, (n, groups)).flatten(1, 2), size, groups, ratio)


def window_radius(dx: Tensor, dy: Tensor) -> int | None:
    """Return the smallest radius `attend_near` can take; None where points are far, or nobody may look at values."""
    if dx.device.type != "cpu" or not dx.numel() or watched(dx):
        return None
    largest = float(torch.maximum(dx.detach().abs().max(), dy.detach().abs().max()))
    return int(largest) + 1 if largest < LARGEST_RADIUS else None


def _recomputed(function: Callable[[int], Tensor], point: int) -> Tensor:
    """`function(point)`, which is computed again for gradients in place of keeping what they need."""
    if torch.compiler.is_exporting() or recording():
        return function(point)
    y: Tensor = checkpoint(function, point, use_reentrant=False, preserve_rng_state=False)
    return y
