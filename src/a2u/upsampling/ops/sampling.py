"""Bilinear sampling at positions that an operator computes."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def sample(x: Tensor, px: Tensor, py: Tensor, outside: Literal["border", "zeros"]) -> Tensor:
    """Sample `x` bilinearly at real positions.

    Args:
        x: (N, C, h, w). Channels are split into G consecutive groups, each with positions of its own.
        px: (N, G, H, W), columns in pixels of `x`; 0 is the centre of the first. In float32 at least, which fractions
            of a pixel need.
        py: the rows.
        outside: "border": positions are clamped to the map, and have no gradient there; "zeros": x is 0 outside.

    Returns:
        (N, C, H, W), in the dtype of x.
    """
    (h, w), groups = x.shape[2:], px.shape[1]
    grid = torch.stack([(2 * px + 1) / w, (2 * py + 1) / h], dim=-1) - 1  # -1 and 1 are the outer edges of the map
    y = F.grid_sample(
        x.unflatten(1, (groups, -1)).flatten(0, 1).to(grid.dtype),
        grid.flatten(0, 1),
        padding_mode=outside,
        align_corners=False,
    )
    return y.unflatten(0, (-1, groups)).flatten(1, 2).to(x.dtype)
