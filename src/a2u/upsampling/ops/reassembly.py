"""Feature reassembly: every output position is a weighted sum over a window of the input (Eq. 1, w^T z).

The up-kernel's r x r outputs of one input position read the same window. So the enlarged map is computed as
r*r phases of the small one, and neither an unfold nor an enlargement of the input is ever stored. Gradients are
written by hand: automatic ones would keep a product the size of the output for every window position.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def reassemble_up(x: Tensor, kernel: Tensor, kernel_size: int, groups: int = 1, ratio: int = 2) -> Tensor:
    """Upsample `x` with one kernel for every output position (Sec. 3, Eq. 1).

    y[c, i', j'] = sum over the k x k window centred on (i' // r, j' // r) of kernel[., i', j'] * x[c, .],
    with zeros outside x. Channels are split into `groups` consecutive groups; those of a group share a kernel.

    Args:
        x: (N, C, h, w).
        kernel: (N, groups*k*k, r*h, r*w), channel (group*k + row)*k + column.
        kernel_size: k, odd.
        groups: number of channel groups; divides C.
        ratio: r.

    Returns:
        (N, C, r*h, r*w).

    Raises:
        ValueError: a shape or size does not fit; the message names both sides.
    """
    n, c, h, w = _check(x, kernel, kernel_size, groups, ratio)
    if kernel_size % 2 == 0:
        raise ValueError(f"reassemble_up centres its window, so kernel_size must be odd; got {kernel_size}.")
    _check_size(kernel, (n, groups * kernel_size**2, ratio * h, ratio * w), x)
    reach = kernel_size // 2
    windows = F.pad(x, (reach, reach, reach, reach)).reshape(n, groups, c // groups, h + 2 * reach, w + 2 * reach)
    # (N, G*k*k, r*h, r*w) -> (N, G, k*k, r*r, h, w): the r*r outputs of one input position become phases
    phases = kernel.reshape(n, groups, kernel_size**2, h, ratio, w, ratio).permute(0, 1, 2, 4, 6, 3, 5)
    phases = phases.reshape(n, groups, kernel_size**2, ratio**2, h, w).to(x.dtype)
    y = _WeightedWindows.apply(windows, phases, kernel_size, 1)  # (N, G, r*r, C/G, h, w)
    y = y.view(n, groups, ratio, ratio, c // groups, h, w).permute(0, 1, 4, 5, 2, 6, 3)
    return y.reshape(n, c, ratio * h, ratio * w)


def reassemble_down(x: Tensor, kernel: Tensor, kernel_size: int, groups: int = 1, ratio: int = 2) -> Tensor:
    """Downsample `x` with one kernel for every output position (Sec. 4, "Extension to Downsampling").

    y[c, i, j] = sum over the s x s window centred on the r x r block of (i, j) of kernel[., i, j] * x[c, .], with
    zeros outside x. For r = 2 the window's rows are 2i - (s-2)/2 .. 2i + s/2.

    Args:
        x: (N, C, r*h, r*w).
        kernel: (N, groups*s*s, h, w), channel (group*s + row)*s + column.
        kernel_size: s, at least r and of the same parity as r (even for r = 2).
        groups: number of channel groups; divides C.
        ratio: r.

    Returns:
        (N, C, h, w).

    Raises:
        ValueError: a shape or size does not fit; the message names both sides.
    """
    n, c, height, width = _check(x, kernel, kernel_size, groups, ratio)
    if kernel_size < ratio or (kernel_size - ratio) % 2:
        raise ValueError(
            f"reassemble_down centres its window on a {ratio} x {ratio} block, so kernel_size must be at least "
            f"{ratio} and {'even' if ratio % 2 == 0 else 'odd'}; got {kernel_size}."
        )
    if height % ratio or width % ratio:
        raise ValueError(
            f"reassemble_down divides height and width by {ratio}, but x is {height} x {width}: pad it first."
        )
    h, w = height // ratio, width // ratio
    _check_size(kernel, (n, groups * kernel_size**2, h, w), x)
    reach = (kernel_size - ratio) // 2
    windows = F.pad(x, (reach, reach, reach, reach))
    windows = windows.reshape(n, groups, c // groups, height + 2 * reach, width + 2 * reach)
    phases = kernel.reshape(n, groups, kernel_size**2, 1, h, w).to(x.dtype)
    y = _WeightedWindows.apply(windows, phases, kernel_size, ratio)  # (N, G, 1, C/G, h, w)
    return y.reshape(n, c, h, w)


class _WeightedWindows(torch.autograd.Function):
    """y[p, c, i, j] = sum over t of kernel[t, p, i, j] * x[c, s*i + row(t), s*j + column(t)].

    x: (N, G, C/G, H, W), padded; kernel: (N, G, k*k, P, h, w); y: (N, G, P, C/G, h, w); s: stride.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, kernel_size: int, stride: int) -> Tensor:
        x, kernel = x.contiguous(), kernel.contiguous()
        ctx.save_for_backward(x, kernel)
        ctx.kernel_size, ctx.stride = kernel_size, stride
        n, groups, _, phases, h, w = kernel.shape
        y = x.new_zeros(n, groups, phases, x.shape[2], h, w)
        for tap in range(kernel_size**2):
            seen = _tap(x, tap, kernel_size, stride, h, w)  # (N, G, C/G, h, w)
            y.addcmul_(seen.unsqueeze(2), kernel[:, :, tap].unsqueeze(3))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, kernel = ctx.saved_tensors
        n, groups, taps, phases, h, w = kernel.shape
        grad_y = grad_y.contiguous()
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        grad_kernel = torch.empty_like(kernel) if ctx.needs_input_grad[1] else None
        for tap in range(taps):
            seen = _tap(x, tap, ctx.kernel_size, ctx.stride, h, w)
            for phase in range(phases):  # phase by phase, so that the product below stays the size of the small map
                grad = grad_y[:, :, phase]  # (N, G, C/G, h, w)
                if grad_x is not None:
                    # dL/dx gathers kernel * dL/dy from every output that saw this position
                    target = _tap(grad_x, tap, ctx.kernel_size, ctx.stride, h, w)
                    target.addcmul_(grad, kernel[:, :, tap, phase].unsqueeze(2))
                if grad_kernel is not None:
                    # dL/dkernel is the correlation of dL/dy with what the tap saw, over channels
                    torch.sum(grad * seen, dim=2, out=grad_kernel[:, :, tap, phase])
        return grad_x, grad_kernel, None, None


def _tap(x: Tensor, tap: int, kernel_size: int, stride: int, h: int, w: int) -> Tensor:
    """View of padded `x` that window position `tap` sees from each of the h x w positions."""
    row, column = divmod(tap, kernel_size)
    return x[
        ...,
        row : row + stride * (h - 1) + 1 : stride,
        column : column + stride * (w - 1) + 1 : stride,
    ]


def _check(x: Tensor, kernel: Tensor, kernel_size: int, groups: int, ratio: int) -> tuple[int, int, int, int]:
    if x.dim() != 4 or kernel.dim() != 4:
        raise ValueError(
            f"reassembly takes x (N, C, H, W) and kernel (N, groups*k*k, H', W'); "
            f"got x {tuple(x.shape)} and kernel {tuple(kernel.shape)}."
        )
    if kernel_size < 1 or groups < 1 or ratio < 1:
        raise ValueError(f"kernel_size, groups and ratio must be at least 1; got {kernel_size}, {groups} and {ratio}.")
    n, c, h, w = x.shape
    if c % groups:
        raise ValueError(f"groups must divide the channels of x: {c} channels, {groups} groups.")
    return n, c, h, w


def _check_size(kernel: Tensor, expected: tuple[int, ...], x: Tensor) -> None:
    if tuple(kernel.shape) != expected:
        raise ValueError(f"for x {tuple(x.shape)} the kernel must be {expected}; got {tuple(kernel.shape)}.")
