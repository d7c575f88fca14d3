"""Encoding on a GPU: every channel convolved by itself, with kernels of each sample's own, by Triton kernels.

To a grouped convolution these are N*C groups, for which PyTorch's kernels take many times as long as reading the map
does. Programs are divided as in triton_reassembly.py; weights are (N or 1, O, T, C), so that a tap's lie side by side,
and output o of channel c is channel o*C + c of y.
"""

import math

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from a2u.upsampling.ops.geometry import layout
from a2u.upsampling.ops.triton_reassembly import blocks

TILE = 2048  # positions times channels of a program; twice as many positions where their sum is made


def forward(x: Tensor, weights: Tensor, size: int, step: int) -> Tensor:
    """(N, C, H, W), (N or 1, O, size*size, C) -> (N, O*C, H/step, W/step), in float32 sums."""
    n, c, height, width = x.shape
    outputs, h, w = weights.shape[1], height // step, width // step
    y = torch.empty((n, outputs * c, h, w), dtype=x.dtype, device=x.device, memory_format=layout(x))
    positions, channels = blocks(x, c, TILE)
    grid = triton.cdiv(h * w, positions) * outputs, triton.cdiv(c, channels), n
    with torch.cuda.device_of(x):
        _forward[grid](x, weights, y, *x.stride(), *y.stride(), **_sizes(x, weights, size, step, positions, channels))
    return y


def backward(
    grad: Tensor, x: Tensor, weights: Tensor, size: int, step: int, need_x: bool, need_weights: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and of the weights, None where not needed; grad: (N, O*C, h, w)."""
    n, c = x.shape[:2]
    outputs, (h, w) = weights.shape[1], grad.shape[2:]
    grad = grad.contiguous(memory_format=layout(x))
    positions, channels = blocks(x, c, TILE)
    sizes = _sizes(x, weights, size, step, positions, channels)
    in_grid, in_channels = triton.cdiv(h * w, positions), triton.cdiv(c, channels)
    grad_x = grad_weights = None
    if need_x:
        grad_x = torch.empty_like(x, memory_format=layout(x))
        with torch.cuda.device_of(x):
            _backward_x[(in_grid * step**2, in_channels, n)](
                grad_x, weights, grad, *grad_x.stride(), *grad.stride(), **sizes
            )
    if need_weights:
        # a sum for every block of positions, added up afterwards: atomic additions would differ from run to run
        sizes["POSITIONS"] *= 2
        in_grid = triton.cdiv(h * w, sizes["POSITIONS"])
        partial = torch.empty((in_grid, n, outputs, size**2, c), dtype=torch.float32, device=x.device)
        with torch.cuda.device_of(x):
            _backward_weights[(in_grid * outputs, in_channels, n)](
                x, partial, grad, *x.stride(), *grad.stride(), **sizes
            )
        of_samples = partial.sum(dim=0)
        grad_weights = (of_samples if len(weights) == n else of_samples.sum(dim=0, keepdim=True)).to(weights.dtype)
    return grad_x, grad_weights


def _sizes(x: Tensor, weights: Tensor, size: int, step: int, positions: int, channels: int) -> dict[str, int]:
    n, c, height, width = x.shape
    return {
        "h": height // step,
        "w": width // step,
        "height": height,
        "width": width,
        "channels": c,
        "own": int(len(weights) == n),  # kernels a sample
        "outputs": weights.shape[1],
        "size": size,
        "step": step,
        "padding": (size - 1) // 2,
        "POSITIONS": positions,
        "CHANNELS": channels,
    }


def check() -> None:
    """Raise where the kernels do not give the right values here."""
    # Not drawn: a run's random numbers must not depend on whether this was asked
    x, weights = (torch.arange(math.prod(size)).sin().view(size) for size in ((1, 2, 6, 4), (1, 1, 9, 2)))
    expected = F.conv2d(x, weights[0, 0].T.reshape(2, 1, 3, 3), stride=2, padding=1, groups=2)
    torch.testing.assert_close(forward(x.cuda(), weights.cuda(), 3, 2).cpu(), expected)


@triton.jit
def _forward(
    x, weights, y, xn, xc, xh, xw, yn, yc, yh, yw,
    h, w, height, width, channels, own,
    outputs: tl.constexpr, size: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    sample, output = tl.program_id(2).to(tl.int64), tl.program_id(0) % outputs
    at = tl.program_id(0) // outputs * POSITIONS + tl.arange(0, POSITIONS)
    i, j = at // w, at % w
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, some = at < h * w, c < channels
    top, left = i * step - padding, j * step - padding  # of the window
    x += sample * xn + c.to(tl.int64)[None, :] * xc + (top.to(tl.int64) * xh + left.to(tl.int64) * xw)[:, None]
    y += sample * yn + (output * channels + c).to(tl.int64)[None, :] * yc
    y += (i.to(tl.int64) * yh + j.to(tl.int64) * yw)[:, None]
    weights += (sample * own * outputs + output) * size * size * channels + c
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    for row in range(size):
        row_seen = inside & (top + row >= 0) & (top + row < height)
        for column in tl.static_range(size):
            seen = row_seen & (left + column >= 0) & (left + column < width)
            weight = tl.load(weights + (row * size + column) * channels, mask=some, other=0.0).to(tl.float32)
            value = tl.load(x + (row * xh + column * xw), mask=seen[:, None] & some[None, :], other=0.0)
            total += value.to(tl.float32) * weight[None, :]
    tl.store(y, total.to(y.dtype.element_ty), mask=inside[:, None] & some[None, :])


@triton.jit
def _backward_x(
    grad_x, weights, grad, xn, xc, xh, xw, yn, yc, yh, yw,
    h, w, height, width, channels, own,
    outputs: tl.constexpr, size: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # dL/dx gathers weight * dL/dy from every output that saw this position
    sample = tl.program_id(2).to(tl.int64)
    a, b = tl.program_id(0) % (step * step) // step, tl.program_id(0) % step  # x is seen at every step-th tap
    at = tl.program_id(0) // (step * step) * POSITIONS + tl.arange(0, POSITIONS)
    i, j = at // w, at % w
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, some = at < h * w, c < channels
    first_row, first_column = (a + padding) % step, (b + padding) % step  # of these taps
    i_last, j_last = i + (a + padding) // step, j + (b + padding) // step  # window that saw it there
    grad_x += sample * xn + c.to(tl.int64)[None, :] * xc
    grad_x += ((i * step + a).to(tl.int64) * xh + (j * step + b).to(tl.int64) * xw)[:, None]
    grad += sample * yn + c.to(tl.int64)[None, :] * yc
    grad += (i_last.to(tl.int64) * yh + j_last.to(tl.int64) * yw)[:, None]
    weights += sample * own * outputs * size * size * channels + c
    wide = sample * 0  # offsets are beyond 32 bits where a map is
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    for up_by in range(tl.cdiv(size - first_row, step)):
        row = first_row + up_by * step
        row_saw = inside & (i_last >= up_by) & (i_last - up_by < h)
        for left_by in tl.static_range((size + step - 1) // step):
            column = first_column + left_by * step
            saw = row_saw & (j_last >= left_by) & (j_last - left_by < w)
            tap = some & (column + tl.zeros_like(c) < size)
            for output in tl.static_range(outputs):
                place = weights + (output * size * size + row * size + column) * channels
                weight = tl.load(place, mask=tap, other=0.0).to(tl.float32)
                place = grad - (up_by * yh + left_by * yw) + (output * channels + wide) * yc
                value = tl.load(place, mask=saw[:, None] & tap[None, :], other=0.0)
                total += value.to(tl.float32) * weight[None, :]
    tl.store(grad_x, total.to(grad_x.dtype.element_ty), mask=inside[:, None] & some[None, :])


@triton.jit
def _backward_weights(
    x, partial, grad, xn, xc, xh, xw, yn, yc, yh, yw,
    h, w, height, width, channels, own,
    outputs: tl.constexpr, size: tl.constexpr, step: tl.constexpr, padding: tl.constexpr,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    # dL/dweight is the correlation of dL/dy with what the tap saw, over positions
    sample, output, block = tl.program_id(2).to(tl.int64), tl.program_id(0) % outputs, tl.program_id(0) // outputs
    at = block * POSITIONS + tl.arange(0, POSITIONS)
    i, j = at // w, at % w
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside, some = at < h * w, c < channels
    top, left = i * step - padding, j * step - padding
    x += sample * xn + c.to(tl.int64)[None, :] * xc + (top.to(tl.int64) * xh + left.to(tl.int64) * xw)[:, None]
    grad += sample * yn + (output * channels + c).to(tl.int64)[None, :] * yc
    grad += (i.to(tl.int64) * yh + j.to(tl.int64) * yw)[:, None]
    partial += ((block * tl.num_programs(2) + sample) * outputs + output) * size * size * channels + c
    value = tl.load(grad, mask=inside[:, None] & some[None, :], other=0.0).to(tl.float32)
    for row in range(size):
        row_seen = inside & (top + row >= 0) & (top + row < height)
        for column in tl.static_range(size):
            seen = row_seen & (left + column >= 0) & (left + column < width)
            saw = tl.load(x + (row * xh + column * xw), mask=seen[:, None] & some[None, :], other=0.0).to(tl.float32)
            tl.store(partial + (row * size + column) * channels, tl.sum(saw * value, axis=0), mask=some)
