"""Feature reassembly: every output position is a weighted sum over a window of the input (Eq. 1, w^T z).

The up-kernel's r x r outputs of one input position read the same window, so neither an unfold nor an enlargement of
the input is ever stored. What is computed, and how, stands in geometry.py and in one file for each back end.
"""

import subprocess
import warnings
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from a2u.upsampling.ops import c_backend, onnx_backend, torch_backend, triton_support
from a2u.upsampling.ops.geometry import Geometry


def reassemble_up(x: Tensor, kernel: Tensor, kernel_size: int, groups: int = 1, ratio: int = 2) -> Tensor:
    """Upsample `x` with one kernel for every output position (Sec. 3, Eq. 1).

    y[c, i', j'] = sum over the k x k window centred on (i' // r, j' // r) of kernel[., i', j'] * x[c, .],
    with zeros outside x. Channels are split into `groups` consecutive groups; those of a group share a kernel.

    Args:
        x: (N, C, h, w).
        kernel: (N, groups*k*k, r*h, r*w), channel (group*k + row)*k + column; or by sub-position,
            (N, groups*k*k, r*r, h, w), which a pixel shuffle would make the same and need not. In any memory layout.
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
    taps = groups * kernel_size**2
    if kernel.dim() == 5:
        _check_size(kernel, (n, taps, ratio**2, h, w), x)
        blocks = kernel.unflatten(2, (ratio, ratio)).permute(0, 1, 4, 2, 5, 3)
    else:
        _check_size(kernel, (n, taps, ratio * h, ratio * w), x)
        blocks = kernel.unflatten(3, (w, ratio)).unflatten(2, (h, ratio))
    geometry = Geometry(kernel_size, groups, up=ratio, stride=1, padding=kernel_size // 2, h=h, w=w)
    return _Reassemble.apply(x, blocks.to(x.dtype), geometry)


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
    geometry = Geometry(kernel_size, groups, up=1, stride=ratio, padding=(kernel_size - ratio) // 2, h=h, w=w)
    return _Reassemble.apply(x, kernel[:, :, :, None, :, None].to(x.dtype), geometry)


class _Reassemble(torch.autograd.Function):
    """Keeps x and kernel alone; automatic gradients would keep a product the size of y for every window position."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, kernel)
        ctx.geometry = geometry
        return _back_end(x).forward(x, kernel, geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, kernel = ctx.saved_tensors
        need_x, need_kernel, _ = ctx.needs_input_grad
        return *_back_end(x).backward(grad, x, kernel, ctx.geometry, need_x, need_kernel), None


def _back_end(x: Tensor) -> ModuleType:
    """Choose the fastest back end for x; all give the same (tests/upsampling/test_reassembly.py runs each)."""
    if torch.compiler.is_exporting():
        return onnx_backend
    if torch.compiler.is_compiling():
        return torch_backend  # plain PyTorch, which torch.compile can fuse
    if x.device.type == "cpu" and x.dtype in c_backend.REALS:
        return _compiled() or torch_backend
    if triton_support.suits(x):
        return triton_support.checked("triton_reassembly") or torch_backend
    return torch_backend


@cache
def _compiled() -> ModuleType | None:
    """Return the C back end if there is a compiler; else None, with a warning."""
    try:
        for real in c_backend.REALS.values():
            c_backend.load(real)
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        warnings.warn(
            f"reassembly runs without its compiled code, three to five times as long: {reason}. Install a C compiler, "
            "or name one in the variable CC.",
            stacklevel=2,
        )
        return None
    return c_backend


def _check(x: Tensor, kernel: Tensor, kernel_size: int, groups: int, ratio: int) -> tuple[int, int, int, int]:
    if x.dim() != 4 or kernel.dim() not in (4, 5):
        raise ValueError(
            f"reassembly takes x (N, C, H, W) and kernel (N, groups*k*k, H', W') or, upwards, by sub-position "
            f"(N, groups*k*k, r*r, H, W); got x {tuple(x.shape)} and kernel {tuple(kernel.shape)}."
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
