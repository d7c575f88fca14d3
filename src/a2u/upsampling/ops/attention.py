"""Attention of every output position to points of a small map, between its pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from a2u.upsampling.ops.composite import recording
from a2u.upsampling.ops.sampling import sample


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


def _recomputed(function: Callable[[int], Tensor], point: int) -> Tensor:
    """`function(point)`, which is computed again for gradients in place of keeping what they need."""
    if torch.compiler.is_exporting() or recording():
        return function(point)
    y: Tensor = checkpoint(function, point, use_reentrant=False, preserve_rng_state=False)
    return y
