"""Similarity of every output position with the positions of its window, which reassembly then weighs."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from a2u.upsampling.ops import onnx_backend, reassembly
from a2u.upsampling.ops.geometry import Geometry, by_sub_position


def window_similarity(query: Tensor, key: Tensor, kernel_size: int, ratio: int = 2) -> Tensor:
    """Compare each query with the k x k keys around its own position by inner products.

    s[tap, i', j'] = sum over c of query[c, i', j'] * key[c, .], key at position `tap` of the window centred on
    (i' // r, j' // r), 0 outside the map. Stores neither an unfold nor an enlargement of the key.

    Args:
        query: (N, d, r*h, r*w).
        key: (N, d, h, w).
        kernel_size: k, odd.
        ratio: r.

    Returns:
        By sub-position, as `reassemble_up` takes kernels: (N, k*k, r*r, h, w).

    Raises:
        ValueError: a shape or size does not fit; the message names both sides.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"window_similarity centres its window, so kernel_size must be odd; got {kernel_size}.")
    n, d, h, w = key.shape
    if tuple(query.shape) != (n, d, ratio * h, ratio * w):
        raise ValueError(
            f"for key {tuple(key.shape)} the query must be {(n, d, ratio * h, ratio * w)}; got {tuple(query.shape)}."
        )
    if torch.compiler.is_exporting():
        return onnx_backend.similarity(by_sub_position(query, ratio), key, kernel_size)
    geometry = Geometry(kernel_size, groups=1, up=ratio, stride=1, padding=kernel_size // 2, h=h, w=w)
    blocks = _Similarity.apply(query, key.to(query.dtype), geometry)
    return blocks.permute(0, 1, 3, 5, 2, 4).flatten(2, 3)


class _Similarity(torch.autograd.Function):
    """The inner products are what reassembly of `key` has as gradient of its kernel, where y has `query`."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(query, key)
        ctx.geometry = geometry
        n, up = key.shape[0], geometry.up
        # by sub-position in memory, since its user takes it so
        kernel = key.new_empty(n, geometry.taps, up, up, geometry.h, geometry.w).permute(0, 1, 4, 2, 5, 3)
        return reassembly._back_end(key).backward(query, key, kernel, geometry, False, True)[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        query, key = ctx.saved_tensors
        back_end, (need_query, need_key, _) = reassembly._back_end(key), ctx.needs_input_grad
        grad_query = back_end.forward(key, grad, ctx.geometry) if need_query else None
        grad_key = back_end.backward(query, key, grad, ctx.geometry, True, False)[0] if need_key else None
        return grad_query, grad_key, None
