"""Encoding: every channel of a map convolved by itself, perhaps with kernels of each sample's own (gpconv of Eq. 4)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from a2u.upsampling.ops import composite, onnx_backend, triton_support


def encode(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """Compute gpconv(U, X) of Eq. 4, with zero padding (e-1)//2, so that any e gives H/r x W/r.

    Args:
        x: (N, C, H, W).
        kernels: (N or 1, outputs, G, e, e), G dividing C; consecutive channels share a kernel.
        stride: r, dividing H and W.

    Returns:
        (N, C, outputs, H/r, W/r).

    Raises:
        ValueError: on a GPU, N or a side does not fit; elsewhere PyTorch's convolution says so.
    """
    n, c, height, width = x.shape
    batch, outputs, shared, size, _ = kernels.shape
    c, shared, size = int(c), int(shared), int(size)  # tensors in torch.jit.trace
    if torch.compiler.is_exporting() and batch != 1:  # groups are constants of an exported file, N is not
        return onnx_backend.encode(x, kernels, stride)
    if composite.tracing() and batch != 1:
        return composite.encode(x, kernels, stride)
    if batch == 0:  # a convolution needs a kernel, even for no samples
        kernels, batch = kernels.sum(dim=0, keepdim=True), 1
    kernels = kernels.repeat_interleave(c // shared, dim=2)  # (N or 1, outputs, C, e, e)
    if by_triton(x):
        if batch not in (1, n) or height % stride or width % stride:
            raise ValueError(
                f"encode takes kernels for 1 or all samples, and sides that {stride} divides; got x {tuple(x.shape)} "
                f"and kernels for {batch} samples."
            )
        weights = kernels.flatten(3).transpose(2, 3).contiguous()
        y = _Encode.apply(x, weights.to(x.dtype), size, stride)
        return y.view(n, outputs, c, *y.shape[-2:]).transpose(1, 2)
    if batch > 1:  # kernels of their own for every sample become a grouped convolution with N*C groups
        x = x.reshape(1, batch * c, height, width)
    y = F.conv2d(
        x,
        kernels.transpose(1, 2).reshape(-1, 1, size, size),
        stride=stride,
        padding=(size - 1) // 2,
        groups=batch * c,
    )
    return y.view(n, c, outputs, *y.shape[-2:])


def encode_pair(x: Tensor, u: Tensor, v: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Return `encode(x, u, stride)` and `encode(x, v, stride)`, in whichever of two ways is faster.

    u and v have the same shape. With one output per channel, oneDNN computes two convolutions faster than one of both
    outputs; otherwise one convolution reads x once.
    """
    if u.shape[1] == 1 and not by_triton(x):
        return encode(x, u, stride), encode(x, v, stride)
    u_x, v_x = encode(x, torch.cat([u, v], dim=1), stride).chunk(2, dim=2)
    return u_x, v_x


def by_triton(x: Tensor) -> bool:
    """Return whether Triton kernels encode `x`; otherwise a grouped convolution of PyTorch does."""
    return (
        triton_support.suits(x) and not composite.watched(x) and triton_support.checked("triton_encoding") is not None
    )


class _Encode(torch.autograd.Function):
    """Arguments and result as of triton_encoding.forward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, size: int, step: int) -> Tensor:
        from a2u.upsampling.ops import triton_encoding

        ctx.save_for_backward(x, weights)
        ctx.window = size, step
        return triton_encoding.forward(x, weights, size, step)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        from a2u.upsampling.ops import triton_encoding

        x, weights = ctx.saved_tensors
        need_x, need_weights, _, _ = ctx.needs_input_grad
        size, step = ctx.window
        return *triton_encoding.backward(grad, x, weights, size, step, need_x, need_weights), None, None
