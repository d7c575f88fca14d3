"""How output positions, windows and kernels lie; what every back end of reassembly computes.

Cut into r x r blocks (up) or taken one by one (down), output positions with the same window form a grid of h x w.
At grid position (i, j), for sub-position p of P and window position t of T = k*k,

    y[c, p, i, j] = sum over t of kernel[t, p, i, j] * x[c, s*i + row(t) - padding, s*j + column(t) - padding].

Up: P = r*r, s = 1. Down: P = 1, s = r. A back end is a module with `forward(x, kernel, geometry)`, which returns y,
and `backward(grad, x, kernel, geometry, need_x, need_kernel)`, which returns both gradients, None where not needed.
Maps are (N, C, H, W); kernel is (N, G*T, h, r, w, r), sub-positions as rows and columns (r = 1 where P is), whatever
its layout in memory, and of x's type.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Geometry(NamedTuple):
    """Of one reassembly."""

    kernel_size: int  # k
    groups: int  # of channels, each with a kernel of its own
    up: int  # r where output positions share windows in blocks of r x r, else 1
    stride: int  # s, from window to window
    padding: int  # zeros around x
    h: int  # of the grid
    w: int

    @property
    def taps(self) -> int:
        return self.kernel_size**2


def layout(x: Tensor) -> torch.memory_format:
    """Of a result: that of x; rows side by side where x has neither, or is both."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def by_sub_position(maps: Tensor, ratio: int) -> Tensor:
    """Gather r x r blocks: (N, C, r*h, r*w) -> (N, C, r*r, h, w). As a pixel unshuffle, which fails for N = 0."""
    blocks = maps.unflatten(3, (-1, ratio)).unflatten(2, (-1, ratio))  # (N, C, h, r, w, r)
    return blocks.permute(0, 1, 3, 5, 2, 4).flatten(2, 3)


def pixel_shuffle(x: Tensor, ratio: int) -> Tensor:
    """PyTorch's, whose gradient has the wrong shape for N = 0: (N, C*r*r, h, w) -> (N, C, r*h, r*w)."""
    if x.shape[0] == 0:
        n, channels, h, w = x.shape
        return x.reshape(n, channels // ratio**2, ratio * h, ratio * w)
    return F.pixel_shuffle(x, ratio)
