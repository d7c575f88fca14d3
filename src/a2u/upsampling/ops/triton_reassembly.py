"""Reassembly on a GPU: one Triton kernel forward and one for each gradient, which read and write every map once.

A program makes a block of grid positions, for a block of channels and one phase: a sub-position of the output, or of
x where the stride is above 1. So what a program reads lies side by side, and what depends on the phase is a number.
Sums are in float32 whatever the type of the maps, and both gradients are gathered, so results are the same from run
to run.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from a2u.upsampling.ops import torch_backend
from a2u.upsampling.ops.geometry import Geometry, layout

TILE = 1024  # positions times channels of a program


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    n, c = x.shape[:2]
    size = (n, c, geometry.up * geometry.h, geometry.up * geometry.w)
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout(x))
    positions, channels = blocks(x, c // geometry.groups)
    grid = _grid(x, geometry, geometry.up**2, positions, channels)
    with torch.cuda.device_of(x):  # Triton starts kernels on the current one
        _forward[grid](
            x, kernel, y, *x.stride(), *kernel.stride(), *y.stride(), **_sizes(x, geometry, positions, channels)
        )
    return y


def backward(
    grad: Tensor, x: Tensor, kernel: Tensor, geometry: Geometry, need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    grad = grad.contiguous(memory_format=layout(x))
    grad_x = torch.empty_like(x, memory_format=layout(x)) if need_x else None
    grad_kernel = torch.empty_like(kernel) if need_kernel else None
    positions, channels = blocks(x, x.shape[1] // geometry.groups)
    sizes = _sizes(x, geometry, positions, channels)
    if grad_x is not None:
        grid = _grid(x, geometry, geometry.stride**2, positions, channels)
        strides = (*grad_x.stride(), *kernel.stride(), *grad.stride())
        with torch.cuda.device_of(x):
            _backward_x[grid](grad_x, kernel, grad, *strides, **sizes)
    if grad_kernel is not None:
        grid = _grid(x, geometry, geometry.up**2, positions, x.shape[1])  # one program for all channels
        strides = (*x.stride(), *grad_kernel.stride(), *grad.stride())
        with torch.cuda.device_of(x):
            _backward_kernel[grid](x, grad_kernel, grad, *strides, **sizes)
    return grad_x, grad_kernel


def blocks(x: Tensor, channels: int, tile: int = TILE) -> tuple[int, int]:
    """Positions and channels of a program, more of those that lie side by side in x; `tile` is their product."""
    at_most = 64 if x.stride(1) == 1 else 16
    channels = min(triton.next_power_of_2(channels), at_most)
    return min(tile // channels, 256), channels


def check() -> None:
    """Raise where the kernels do not give the right values here."""
    geometry = Geometry(3, 1, up=2, stride=1, padding=1, h=5, w=3)
    # Not drawn: a run's random numbers must not depend on whether this was asked
    x, kernel = (torch.arange(math.prod(size)).sin().view(size) for size in ((1, 2, 5, 3), (1, 9, 5, 2, 3, 2)))
    found = forward(x.cuda(), kernel.cuda(), geometry)
    torch.testing.assert_close(found.cpu(), torch_backend.forward(x, kernel, geometry))


def _grid(x: Tensor, geometry: Geometry, phases: int, positions: int, channels: int) -> tuple[int, int, int]:
    in_grid = triton.cdiv(geometry.h * geometry.w, positions)
    return in_grid * phases, triton.cdiv(x.shape[1] // geometry.groups, channels), x.shape[0] * geometry.groups


def _sizes(x: Tensor, geometry: Geometry, positions: int, channels: int) -> dict[str, int]:
    return {
        "h": geometry.h,
        "w": geometry.w,
        "height": x.shape[2],
        "width": x.shape[3],
        "channels": x.shape[1] // geometry.groups,
        "groups": geometry.groups,
        "size": geometry.kernel_size,
        "up": geometry.up,
        "step": geometry.stride,
        "padding": geometry.padding,
        "POSITIONS": positions,
        "CHANNELS": channels,
    }


@triton.jit
def _forward(
    x, kernel, y, xn, xc, xh, xw, kn, kc, kh, ka, kw, kb, yn, yc, yh, yw,
    h, w, height, width, channels, groups,
    size: tl.constexpr, up: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    sample, group = (tl.program_id(2) // groups).to(tl.int64), (tl.program_id(2) % groups).to(tl.int64)
    a, b = tl.program_id(0) % (up * up) // up, tl.program_id(0) % up  # sub-position
    at = tl.program_id(0) // (up * up) * POSITIONS + tl.arange(0, POSITIONS)
    i, j = at // w, at % w
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, some = at < h * w, c < channels
    top, left = i * step - padding, j * step - padding  # of the window
    x += sample * xn + (group * channels + c)[None, :] * xc + (top.to(tl.int64) * xh + left.to(tl.int64) * xw)[:, None]
    y += sample * yn + (group * channels + c)[None, :] * yc
    y += ((i * up + a).to(tl.int64) * yh + (j * up + b).to(tl.int64) * yw)[:, None]
    kernel += sample * kn + group * size * size * kc + a * ka + b * kb + i.to(tl.int64) * kh + j.to(tl.int64) * kw
    wide = sample * 0  # offsets are beyond 32 bits where a map is
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    for row in range(size):
        row_seen = inside & (top + row >= 0) & (top + row < height)
        for column in tl.static_range(size):
            seen = row_seen & (left + column >= 0) & (left + column < width)
            weight = tl.load(kernel + (row * size + column + wide) * kc, mask=inside, other=0.0).to(tl.float32)
            value = tl.load(x + (row * xh + column * xw), mask=seen[:, None] & some[None, :], other=0.0)
            total += value.to(tl.float32) * weight[:, None]
    tl.store(y, total.to(y.dtype.element_ty), mask=inside[:, None] & some[None, :])


@triton.jit
def _backward_x(
    grad_x, kernel, grad, xn, xc, xh, xw, kn, kc, kh, ka, kw, kb, yn, yc, yh, yw,
    h, w, height, width, channels, groups,
    size: tl.constexpr, up: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # dL/dx gathers kernel * dL/dy from every output that saw this position
    sample, group = (tl.program_id(2) // groups).to(tl.int64), (tl.program_id(2) % groups).to(tl.int64)
    a, b = tl.program_id(0) % (step * step) // step, tl.program_id(0) % step  # x is seen at every step-th tap
    at = tl.program_id(0) // (step * step) * POSITIONS + tl.arange(0, POSITIONS)
    i, j = at // w, at % w
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, some = at < h * w, c < channels
    at_row, at_column = i * step + a, j * step + b
    first_row, first_column = (at_row + padding) % step, (at_column + padding) % step  # of these taps
    i_last, j_last = (at_row + padding) // step, (at_column + padding) // step  # window that saw it there
    grad_x += sample * xn + (group * channels + c)[None, :] * xc
    grad_x += (at_row.to(tl.int64) * xh + at_column.to(tl.int64) * xw)[:, None]
    grad += sample * yn + (group * channels + c)[None, :] * yc
    grad += (i_last.to(tl.int64) * up * yh + j_last.to(tl.int64) * up * yw)[:, None]
    kernel += sample * kn + group * size * size * kc + i_last.to(tl.int64) * kh + j_last.to(tl.int64) * kw
    wide = sample * 0
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    for up_by in range((size + step - 1) // step):
        row = first_row + up_by * step
        row_saw = inside & (row < size) & (i_last >= up_by) & (i_last - up_by < h)
        for left_by in tl.static_range((size + step - 1) // step):
            column = first_column + left_by * step
            saw = row_saw & (column < size) & (j_last >= left_by) & (j_last - left_by < w)
            weights = kernel + ((row * size + column + wide) * kc - up_by * kh - left_by * kw)
            values = grad - (up_by * up * yh + left_by * up * yw)
            for phase in tl.static_range(up * up):
                weight = tl.load(weights + (phase // up * ka + phase % up * kb), mask=saw, other=0.0).to(tl.float32)
                place = values + (phase // up * yh + phase % up * yw)
                value = tl.load(place, mask=saw[:, None] & some[None, :], other=0.0)
                total += value.to(tl.float32) * weight[:, None]
    tl.store(grad_x, total.to(grad_x.dtype.element_ty), mask=inside[:, None] & some[None, :])


@triton.jit
def _backward_kernel(
    x, grad_kernel, grad, xn, xc, xh, xw, kn, kc, kh, ka, kw, kb, yn, yc, yh, yw,
    h, w, height, width, channels, groups,
    size: tl.constexpr, up: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # dL/dkernel is the correlation of dL/dy with what the tap saw, over channels
    sample, group = (tl.program_id(2) // groups).to(tl.int64), (tl.program_id(2) % groups).to(tl.int64)
    a, b = tl.program_id(0) % (up * up) // up, tl.program_id(0) % up
    at = tl.program_id(0) // (up * up) * POSITIONS + tl.arange(0, POSITIONS)
    i, j = at // w, at % w
    c = tl.arange(0, CHANNELS)
    inside = at < h * w
    top, left = i * step - padding, j * step - padding
    x += sample * xn + (group * channels + c)[None, :] * xc + (top.to(tl.int64) * xh + left.to(tl.int64) * xw)[:, None]
    grad += sample * yn + (group * channels + c)[None, :] * yc
    grad += ((i * up + a).to(tl.int64) * yh + (j * up + b).to(tl.int64) * yw)[:, None]
    grad_kernel += sample * kn + group * size * size * kc + a * ka + b * kb
    grad_kernel += i.to(tl.int64) * kh + j.to(tl.int64) * kw
    wide = sample * 0
    for row in range(size):
        row_seen = inside & (top + row >= 0) & (top + row < height)
        for column in range(size):
            seen = row_seen & (left + column >= 0) & (left + column < width)
            products = tl.zeros((POSITIONS, CHANNELS), tl.float32)
            for first in range(0, channels, CHANNELS):
                mask = seen[:, None] & (first + c < channels)[None, :]
                value = tl.load(x + (row * xh + column * xw + (first + wide) * xc), mask=mask, other=0.0).to(tl.float32)
                products += value * tl.load(grad + (first + wide) * yc, mask=mask, other=0.0).to(tl.float32)
            place = grad_kernel + (row * size + column + wide) * kc
            tl.store(place, tl.sum(products, axis=1).to(grad_kernel.dtype.element_ty), mask=inside)
