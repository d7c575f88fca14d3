"""Attention of every output position to points of a small map, between its pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from a2u.upsampling.ops.composite import recording
from a2u.upsampling.ops.sampling import sample


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


def _recomputed(function: Callable[[int], Tensor], point: int) -> Tensor:
    """`function(point)`, which is computed again for gradients in place of keeping what they need."""
    if torch.compiler.is_exporting() or recording():
        return function(point)
    y: Tensor = checkpoint(function, point, use_reentrant=False, preserve_rng_state=False)
    return y
