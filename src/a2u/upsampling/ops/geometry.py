"""How output positions, windows and kernels lie; what every back end of reassembly computes.

Cut into r x r blocks (up) or taken one by one (down), output positions with the same window form a grid of h x w.
At grid position (i, j), for sub-position p of P and window position t of T = k*k,

    y[c, p, i, j] = sum over t of kernel[t, p, i, j] * x[c, s*i + row(t) - padding, s*j + column(t) - padding].

Up: P = r*r, s = 1. Down: P = 1, s = r. A back end is a module with `forward(x, kernel, geometry)`, which returns y,
and `backward(grad, x, kernel, geometry, need_x, need_kernel)`, which returns both gradients, None where not needed;
tensors as `reassemble_up` and `reassemble_down` take them, x and kernel of one type.
"""

from typing import NamedTuple

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


def phases(enlarged: Tensor, geometry: Geometry, groups: int) -> Tensor:
    """(N, G*M, r*h, r*w) -> view (N, G, M, h, w, r, r): the sub-positions of a block become dimensions."""
    n, _, height, width = enlarged.shape
    up = geometry.up
    blocks = enlarged.view(n, groups, -1, height // up, up, width // up, up)
    return blocks.permute(0, 1, 2, 3, 5, 4, 6)
