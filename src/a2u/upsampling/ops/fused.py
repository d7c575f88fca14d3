"""Reassembly on a GPU: one Triton kernel forward and one for each gradient, which read and write every map once.

A program makes a block of positions for a block of channels. Sums are in float32 whatever the type of the maps, and
both gradients are gathered, so results are the same from run to run.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from a2u.upsampling.ops.geometry import Geometry, layout

POSITIONS, CHANNELS = 128, 16  # of a program


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    n, c = x.shape[:2]
    size = (n, c, geometry.up * geometry.h, geometry.up * geometry.w)
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout(x))
    grid = _grid(y.shape[2] * y.shape[3], c // geometry.groups, n * geometry.groups)
    with torch.cuda.device_of(x):  # Triton starts kernels on the current one
        _forward[grid](x, kernel, y, *x.stride(), *kernel.stride(), *y.stride(), **_sizes(x, y, geometry))
    return y


def backward(
    grad: Tensor, x: Tensor, kernel: Tensor, geometry: Geometry, need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    n, c = x.shape[:2]
    grad_x = torch.empty_like(x) if need_x else None
    grad_kernel = torch.empty_like(kernel) if need_kernel else None
    sizes = _sizes(x, grad, geometry)
    if grad_x is not None:
        grid = _grid(x.shape[2] * x.shape[3], c // geometry.groups, n * geometry.groups)
        strides = (*grad_x.stride(), *kernel.stride(), *grad.stride())
        with torch.cuda.device_of(x):
            _backward_x[grid](grad_x, kernel, grad, *strides, **sizes)
    if grad_kernel is not None:
        outputs = triton.cdiv(grad.shape[2] * grad.shape[3], POSITIONS)
        strides = (*x.stride(), *grad_kernel.stride(), *grad.stride())
        with torch.cuda.device_of(x):
            _backward_kernel[(outputs, geometry.taps, n * geometry.groups)](x, grad_kernel, grad, *strides, **sizes)
    return grad_x, grad_kernel


def _grid(positions: int, channels: int, batch: int) -> tuple[int, int, int]:
    return triton.cdiv(positions, POSITIONS), triton.cdiv(channels, CHANNELS), batch


def _sizes(x: Tensor, y: Tensor, geometry: Geometry) -> dict[str, int]:
    return {
        "height": x.shape[2],
        "width": x.shape[3],
        "y_height": y.shape[2],
        "y_width": y.shape[3],
        "channels": x.shape[1] // geometry.groups,
        "groups": geometry.groups,
        "size": geometry.kernel_size,
        "up": geometry.up,
        "step": geometry.stride,
        "padding": geometry.padding,
        "POSITIONS": POSITIONS,
        "CHANNELS": CHANNELS,
    }


@triton.jit
def _forward(
    x, kernel, y, xn, xc, xh, xw, kn, kc, kh, ka, kw, kb, yn, yc, yh, yw,
    height, width, y_height, y_width, channels, groups,
    size: tl.constexpr, up: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    sample, group = (tl.program_id(2) // groups).to(tl.int64), (tl.program_id(2) % groups).to(tl.int64)
    at = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)  # output positions
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row, column = (at // y_width).to(tl.int64), (at % y_width).to(tl.int64)
    inside, some = at < y_height * y_width, c < channels
    x += sample * xn + (group * channels + c)[:, None] * xc
    y += sample * yn + (group * channels + c)[:, None] * yc
    kernel += sample * kn + row // up * kh + row % up * ka + column // up * kw + column % up * kb
    total = tl.zeros((CHANNELS, POSITIONS), tl.float32)
    for tap in range(size * size):
        i = row // up * step + tap // size - padding
        j = column // up * step + tap % size - padding
        seen = inside & (i >= 0) & (i < height) & (j >= 0) & (j < width)
        weight = tl.load(kernel + (group * size * size + tap) * kc, mask=inside, other=0.0).to(tl.float32)
        value = tl.load(x + (i * xh + j * xw)[None, :], mask=some[:, None] & seen[None, :], other=0.0)
        total += value.to(tl.float32) * weight[None, :]
    tl.store(y + (row * yh + column * yw)[None, :], total.to(y.dtype.element_ty), mask=some[:, None] & inside[None, :])


@triton.jit
def _backward_x(
    grad_x, kernel, grad, xn, xc, xh, xw, kn, kc, kh, ka, kw, kb, yn, yc, yh, yw,
    height, width, y_height, y_width, channels, groups,
    size: tl.constexpr, up: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # dL/dx gathers kernel * dL/dy from every output that saw this position
    sample, group = (tl.program_id(2) // groups).to(tl.int64), (tl.program_id(2) % groups).to(tl.int64)
    at = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)  # positions of x
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row, column = (at // width).to(tl.int64), (at % width).to(tl.int64)
    inside, some = at < height * width, c < channels
    grad_x += sample * xn + (group * channels + c)[:, None] * xc
    grad += sample * yn + (group * channels + c)[:, None] * yc
    kernel += sample * kn
    total = tl.zeros((CHANNELS, POSITIONS), tl.float32)
    for tap in range(size * size):
        i, j = row + padding - tap // size, column + padding - tap % size  # step * grid position
        for phase in range(up * up):
            to_row, to_column = i // step * up + phase // up, j // step * up + phase % up
            saw = inside & (i >= 0) & (j >= 0) & (i % step == 0) & (j % step == 0)
            saw = saw & (to_row < y_height) & (to_column < y_width)
            at_weight = (group * size * size + tap) * kc
            at_weight += i // step * kh + phase // up * ka + j // step * kw + phase % up * kb
            weight = tl.load(kernel + at_weight, mask=saw, other=0.0).to(tl.float32)
            value = tl.load(
                grad + (to_row * yh + to_column * yw)[None, :], mask=some[:, None] & saw[None, :], other=0.0
            )
            total += value.to(tl.float32) * weight[None, :]
    place = grad_x + (row * xh + column * xw)[None, :]
    tl.store(place, total.to(grad_x.dtype.element_ty), mask=some[:, None] & inside[None, :])


@triton.jit
def _backward_kernel(
    x, grad_kernel, grad, xn, xc, xh, xw, kn, kc, kh, ka, kw, kb, yn, yc, yh, yw,
    height, width, y_height, y_width, channels, groups,
    size: tl.constexpr, up: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # dL/dkernel is the correlation of dL/dy with what the tap saw, over channels
    sample, group = (tl.program_id(2) // groups).to(tl.int64), (tl.program_id(2) % groups).to(tl.int64)
    tap = tl.program_id(1)
    at = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)  # output positions
    row, column = (at // y_width).to(tl.int64), (at % y_width).to(tl.int64)
    inside = at < y_height * y_width
    i = row // up * step + tap // size - padding
    j = column // up * step + tap % size - padding
    seen = inside & (i >= 0) & (i < height) & (j >= 0) & (j < width)
    x += sample * xn + (i * xh + j * xw)[None, :]
    grad += sample * yn + (row * yh + column * yw)[None, :]
    total = tl.zeros((POSITIONS,), tl.float32)
    for first in range(0, channels, CHANNELS):
        c = first + tl.arange(0, CHANNELS)
        mask = (c < channels)[:, None] & seen[None, :]
        channel = (group * channels + c)[:, None]
        value = tl.load(x + channel * xc, mask=mask, other=0.0).to(tl.float32)
        total += tl.sum(value * tl.load(grad + channel * yc, mask=mask, other=0.0).to(tl.float32), axis=0)
    place = grad_kernel + sample * kn + (group * size * size + tap) * kc
    place += row // up * kh + row % up * ka + column // up * kw + column % up * kb
    tl.store(place, total.to(grad_kernel.dtype.element_ty), mask=inside)
