"""Reassembly window position by window position, on whole maps: any device and type, PyTorch alone."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from a2u.upsampling.ops.geometry import Geometry


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    n, c = x.shape[:2]
    y = sums(x, _weights(kernel, geometry), geometry)
    enlarged = x.new_empty(n, c, geometry.up * geometry.h, geometry.up * geometry.w)
    _phases(enlarged, geometry).copy_(y.unflatten(2, (geometry.up, geometry.up)).permute(0, 1, 4, 5, 6, 2, 3))
    return enlarged


def sums(x: Tensor, weights: Tensor, geometry: Geometry) -> Tensor:
    """The sum over each window, apart for every sub-position: (N, G, P, C/G, h, w), in 32 bits at least.

    weights: (N, G, T, P, h, w), or 1 for h and w where all positions share them.
    """
    windows, count = _windows(x, geometry), weights.shape[3]
    precise = torch.promote_types(x.dtype, torch.float32)  # the sum is not rounded to 16 bits at every term
    size = (x.shape[0], geometry.groups, count, x.shape[1] // geometry.groups, geometry.h, geometry.w)
    y = x.new_zeros(size, dtype=precise)
    for tap in range(geometry.taps):
        y.addcmul_(_seen(windows, tap, geometry).unsqueeze(2), weights[:, :, tap].unsqueeze(3))
    return y


def backward(
    grad: Tensor, x: Tensor, kernel: Tensor, geometry: Geometry, need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    windows, weights = _windows(x, geometry), _weights(kernel, geometry)
    padding = geometry.padding
    grad = _by_phase(grad, geometry)  # (N, G, P, C/G, h, w)
    grad_windows = torch.zeros_like(windows, dtype=torch.promote_types(x.dtype, torch.float32)) if need_x else None
    grad_weights = torch.empty_like(weights) if need_kernel else None
    parts = grad.unbind(2)  # (N, G, C/G, h, w) each
    for tap, weight in enumerate(weights.unsqueeze(4).unbind(2)):  # (N, G, P, 1, h, w) each
        if grad_windows is not None:
            # dL/dx gathers kernel * dL/dy from every output that saw this position
            target = _seen(grad_windows, tap, geometry)
            for part, phase_weight in zip(parts, weight.unbind(2), strict=True):
                target.addcmul_(part, phase_weight)
        if grad_weights is not None:
            # dL/dkernel is the correlation of dL/dy with what the tap saw, over channels
            grad_weights[:, :, tap] = (grad * _seen(windows, tap, geometry).unsqueeze(2)).sum(dim=3)
    grad_x = grad_kernel = None
    if grad_windows is not None:
        height, width = x.shape[2:]
        rows = grad_windows.transpose(-1, -2).flatten(-2)  # (N, G, C/G, H, W), with the border
        inner = rows[..., padding : padding + height, padding : padding + width]
        grad_x = inner.to(x.dtype).reshape(x.shape).contiguous()
    if grad_weights is not None:
        sub_positions = (geometry.up, geometry.up)
        grad_kernel = grad_weights.unflatten(3, sub_positions).permute(0, 1, 2, 5, 3, 6, 4).flatten(1, 2)
    return grad_x, grad_kernel


def _windows(x: Tensor, geometry: Geometry) -> Tensor:
    """x with a border of zeros, by groups, of every row first the columns that are multiples of s, and so on.

    (N, G, C/G, H, s, W/s), contiguous: what a tap sees of a row lies side by side.
    """
    padding, step = geometry.padding, geometry.stride
    rest = -(x.shape[3] + 2 * padding) % step
    bordered = pad(x.contiguous(), [padding, padding + rest, padding, padding])
    columns = bordered.unflatten(3, (-1, step)).transpose(3, 4).contiguous()
    return columns.unflatten(1, (geometry.groups, -1))


def _by_phase(enlarged: Tensor, geometry: Geometry) -> Tensor:
    """(N, C, r*h, r*w) -> (N, G, P, C/G, h, w), contiguous."""
    return _phases(enlarged.contiguous(), geometry).permute(0, 1, 5, 6, 2, 3, 4).flatten(2, 3).contiguous()


def _weights(kernel: Tensor, geometry: Geometry) -> Tensor:
    """(N, G, T, P, h, w), contiguous."""
    kernel = kernel.unflatten(1, (geometry.groups, -1))  # (N, G, T, h, r, w, r)
    return kernel.permute(0, 1, 2, 4, 6, 3, 5).flatten(3, 4).contiguous()


def _phases(enlarged: Tensor, geometry: Geometry) -> Tensor:
    """(N, G*M, r*h, r*w) -> view (N, G, M, h, w, r, r): the sub-positions of a block become dimensions."""
    up, (n, channels) = geometry.up, enlarged.shape[:2]
    blocks = enlarged.view(n, geometry.groups, channels // geometry.groups, geometry.h, up, geometry.w, up)
    return blocks.permute(0, 1, 2, 3, 5, 4, 6)


def _seen(windows: Tensor, tap: int, geometry: Geometry) -> Tensor:
    """View of `windows` that window position `tap` sees from each of the h x w positions."""
    row, column = divmod(tap, geometry.kernel_size)
    step = geometry.stride
    rows = slice(row, row + step * (geometry.h - 1) + 1, step)
    return windows[..., rows, column % step, column // step : column // step + geometry.w]
