"""Similarity of every output position with the positions of its window, which reassembly then weighs."""

import torch
from torch import Tensor

from a2u.upsampling.ops import composite, onnx_backend, reassembly
from a2u.upsampling.ops.geometry import by_sub_position


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
    if composite.recording():
        return composite.similarity(by_sub_position(query, ratio), key.to(query.dtype), kernel_size)
    # The inner products are what reassembly of `key` has as gradient of its kernel, where y has `query`.
    # By sub-position in memory, since its user takes it so
    kernel = key.new_empty(n, kernel_size**2, ratio, ratio, h, w, dtype=query.dtype).permute(0, 1, 4, 2, 5, 3)
    numbers = kernel_size, 1, ratio, 1, kernel_size // 2
    blocks = reassembly.apply_backward(query, key.to(query.dtype), kernel, numbers, False, True)[1]
    assert blocks is not None
    return blocks.permute(0, 1, 3, 5, 2, 4).flatten(2, 3)
