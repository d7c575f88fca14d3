"""Feature reassembly: every output position is a weighted sum over a window of the input (Eq. 1, w^T z).

The up-kernel's r x r outputs of one input position read the same window, so neither an unfold nor an enlargement of
the input is ever stored. What is computed, and how, stands in geometry.py and in one file for each back end.
"""

import math
import subprocess
import warnings
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from a2u.upsampling.ops import c_backend, composite, onnx_backend, torch_backend, triton_support
from a2u.upsampling.ops.geometry import Geometry, layout


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
    return apply(x, blocks.to(x.dtype), geometry)


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
    return apply(x, kernel[:, :, :, None, :, None].to(x.dtype), geometry)


LIBRARY = torch.library.Library("a2u", "FRAGMENT")
_NUMBERS = "int kernel_size, int groups, int up, int stride, int padding"
LIBRARY.define(f"reassemble(Tensor x, Tensor kernel, {_NUMBERS}) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
LIBRARY.define(
    f"reassemble_backward(Tensor grad, Tensor x, Tensor kernel, {_NUMBERS}, bool need_x, bool need_kernel) "
    "-> (Tensor, Tensor)",
    tags=torch.Tag.pt2_compliant_tag,
)


def apply(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Reassemble as an operator of PyTorch, a2u::reassemble; or composed of PyTorch's own where somebody records."""
    if torch.compiler.is_exporting():
        return onnx_backend.forward(x, kernel, geometry)
    if composite.recording():
        return composite.forward(x, kernel, geometry)
    return torch.ops.a2u.reassemble.default(x, kernel, *geometry[:5])


def apply_backward(
    grad: Tensor, x: Tensor, kernel: Tensor, numbers: Sequence[int], need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of x and kernel, None where not needed, by the operator a2u::reassemble_backward."""
    grad_x, grad_kernel = torch.ops.a2u.reassemble_backward.default(grad, x, kernel, *numbers, need_x, need_kernel)
    return grad_x if need_x else None, grad_kernel if need_kernel else None


class _Reassemble(torch.autograd.Function):
    """Keeps x and kernel alone; automatic gradients would keep a product the size of y for every window position."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, *numbers: int) -> Tensor:
        ctx.save_for_backward(x, kernel)
        ctx.numbers = numbers
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.a2u.reassemble.default(x, kernel, *numbers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        need_x, need_kernel = ctx.needs_input_grad[:2]
        x, kernel = ctx.saved_tensors
        grads = apply_backward(grad, x, kernel, ctx.numbers, need_x, need_kernel)
        return *grads, *(None for _ in ctx.numbers)


class _Backward(torch.autograd.Function):
    """Reassembly is linear in x and in kernel, so its second derivatives are reassemblies and their gradients."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, kernel: Tensor, *numbers: int) -> tuple[Tensor, Tensor]:
        *ctx.numbers, ctx.made_x, ctx.made_kernel = numbers
        ctx.save_for_backward(grad, x, kernel if ctx.made_x else None)
        ctx.set_materialize_grads(False)
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.a2u.reassemble_backward.default(grad, x, kernel, *numbers)

    @staticmethod
    def backward(ctx: Any, of_x: Tensor | None, of_kernel: Tensor | None) -> tuple[Tensor | None, ...]:
        (grad, x, kernel), numbers = ctx.saved_tensors, ctx.numbers
        need_grad, need_x, need_kernel = ctx.needs_input_grad[:3]
        grad_grad = grad_x = grad_kernel = None
        if ctx.made_x and of_x is not None:
            if need_grad:
                grad_grad = torch.ops.a2u.reassemble.default(of_x, kernel, *numbers)
            grad_kernel = apply_backward(grad, of_x, kernel, numbers, False, True)[1] if need_kernel else None
        if ctx.made_kernel and of_kernel is not None:
            if need_grad:
                part = torch.ops.a2u.reassemble.default(x, of_kernel, *numbers)
                grad_grad = part if grad_grad is None else grad_grad + part
            grad_x = apply_backward(grad, x, of_kernel, numbers, True, False)[0] if need_x else None
        return grad_grad, grad_x, grad_kernel, *(None for _ in range(len(numbers) + 2))


def _forward(x: Tensor, kernel: Tensor, *numbers: int) -> Tensor:
    return _back_end(x).forward(x, kernel, _geometry(kernel, numbers))


def _backward(grad: Tensor, x: Tensor, kernel: Tensor, *numbers: int) -> tuple[Tensor, Tensor]:
    *numbers_of_forward, need_x, need_kernel = numbers
    geometry = _geometry(kernel, numbers_of_forward)
    found = _back_end(x).backward(grad, x, kernel, geometry, bool(need_x), bool(need_kernel))
    grad_x, grad_kernel = (x.new_empty(0) if each is None else each for each in found)
    return grad_x, grad_kernel


def _fake_forward(x: Tensor, kernel: Tensor, *numbers: int) -> Tensor:
    up, (h, w) = numbers[2], (kernel.shape[2], kernel.shape[4])
    given = torch.contiguous_format if _back_end(x) is torch_backend else layout(x)
    return _empty(x, (*x.shape[:2], up * h, up * w), given)


def _fake_backward(grad: Tensor, x: Tensor, kernel: Tensor, *numbers: int) -> tuple[Tensor, Tensor]:
    """Results in the memory layouts that the back ends give them."""
    groups, (need_x, need_kernel), back_end = numbers[1], numbers[-2:], _back_end(x)
    grad_x, grad_kernel = x.new_empty(0), x.new_empty(0)
    if need_x:
        given = {c_backend: torch.channels_last, torch_backend: torch.contiguous_format}.get(back_end) or layout(x)
        grad_x = _empty(x, x.shape, given)
    if need_kernel and back_end is torch_backend:
        n, taps, h, r, w, _ = kernel.shape
        by_phase = kernel.new_empty(n, groups, taps // groups, r, r, h, w)
        grad_kernel = by_phase.permute(0, 1, 2, 5, 3, 6, 4).flatten(1, 2)
    elif need_kernel:
        grad_kernel = torch.empty_like(kernel)
    return grad_x, grad_kernel


def _empty(x: Tensor, size: Sequence[int], given: torch.memory_format) -> Tensor:
    return torch.empty(size, dtype=x.dtype, device=x.device, memory_format=given)


def _geometry(kernel: Tensor, numbers: Sequence[int]) -> Geometry:
    kernel_size, groups, up, stride, padding = numbers
    return Geometry(kernel_size, groups, up, stride, padding, h=kernel.shape[2], w=kernel.shape[4])


for _name, _own, _fake, _derived in (
    ("reassemble", _forward, _fake_forward, _Reassemble),
    ("reassemble_backward", _backward, _fake_backward, _Backward),
):
    LIBRARY.impl(_name, _own, "CompositeExplicitAutograd")
    LIBRARY.impl(_name, _derived.apply, "Autograd")
    torch.library.register_fake(f"a2u::{_name}", _fake, lib=LIBRARY)


@register_flop_formula(torch.ops.a2u.reassemble)
def _flops(x: Sequence[int], kernel: Sequence[int], kernel_size: int, *_: int, **__: Any) -> int:
    """A product and a sum for every position of a window, channel and output."""
    return 2 * kernel_size**2 * x[0] * x[1] * math.prod(kernel[2:])


@register_flop_formula(torch.ops.a2u.reassemble_backward)
def _flops_backward(grad: Sequence[int], x: Sequence[int], kernel: Sequence[int], *numbers: int, **__: Any) -> int:
    return _flops(x, kernel, numbers[0]) * (bool(numbers[-2]) + bool(numbers[-1]))


def _back_end(x: Tensor) -> ModuleType:
    """Choose the fastest back end for x; all give the same (tests/upsampling/test_reassembly.py runs each)."""
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
