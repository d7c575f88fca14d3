"""Reassembly and similarity with the map reflected at its borders in place of zeros outside."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from a2u.upsampling.ops.reassembly import reassemble_up
from a2u.upsampling.ops.similarity import window_similarity


def reflect(x: Tensor, border: int) -> Tensor:
    """Add a border by reflection at the outermost pixels, repeated where the map is smaller: (N, C, H + 2b, W + 2b)."""
    for dim in (-2, -1):
        position = torch.arange(-border, x.shape[dim] + border, device=x.device).abs()
        period = position.new_full((1,), 2 * x.shape[dim] - 2).clamp(min=1)  # a tensor, or it could not be exported
        position = position.remainder(period)
        x = x.index_select(dim, torch.minimum(position, period - position))
    return x


def reassemble_up_reflected(x: Tensor, kernel: Tensor, kernel_size: int, ratio: int = 2) -> Tensor:
    """`reassemble_up` of x (N, C, h, w) with x reflected at the borders; kernels in either of its forms."""
    border = kernel_size // 2
    of_kernel = border if kernel.dim() == 5 else ratio * border
    y = reassemble_up(reflect(x, border), pad(kernel, [of_kernel] * 4), kernel_size, ratio=ratio)
    return _without_border(y, ratio * border)


def window_similarity_reflected(query: Tensor, key: Tensor, kernel_size: int, ratio: int = 2) -> Tensor:
    """`window_similarity` with the key reflected at the borders."""
    border = kernel_size // 2
    similarity = window_similarity(pad(query, [ratio * border] * 4), reflect(key, border), kernel_size, ratio)
    return _without_border(similarity, border)


def _without_border(x: Tensor, border: int) -> Tensor:
    return x[..., border : x.shape[-2] - border, border : x.shape[-1] - border]
