"""Batch norm and leaky ReLU that keep one map instead of two for the backward pass.

The idea of In-Place Activated BatchNorm (Rota Bulò et al., CVPR 2018) without a compiled extension: leaky ReLU and the
norm's scale and shift can be undone, so the norm's input comes back from the output, which the next convolution keeps
anyway.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SMALLEST_SCALE = 0.02  # of |scale| to 1 + |shift|; below, undoing them would magnify rounding more than 50 times


def norm_and_activation(x: Tensor, norm: nn.BatchNorm2d, slope: float) -> Tensor:
    """Apply `norm`, in training mode, and leaky ReLU to x (N, C, H, W); update running statistics as usual.

    Where a scale is too small to be inverted, the norm's input is kept.
    """
    weight, bias = norm.weight, norm.bias
    if bool((weight.abs() < SMALLEST_SCALE * (1 + bias.abs())).any()):
        return F.leaky_relu(norm(x), slope, inplace=True)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    return _NormActivation.apply(x, weight, bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps, slope)


class _NormActivation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        slope: float,
    ) -> Tensor:
        y, mean, inverse_deviation = torch.native_batch_norm(
            x, weight, bias, running_mean, running_var, True, momentum, eps
        )
        y = F.leaky_relu_(y, slope)
        ctx.save_for_backward(y, weight, bias, mean, inverse_deviation)
        ctx.eps, ctx.slope = eps, slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, weight, bias, mean, inverse_deviation = ctx.saved_tensors
        grad = torch.ops.aten.leaky_relu_backward(grad, y, ctx.slope, True)
        normal = torch.where(y < 0, y / ctx.slope, y)  # what the norm gave
        scale = 1 / (weight * inverse_deviation)
        x = torch.addcmul((mean - bias * scale)[:, None, None], normal, scale[:, None, None]).to(y.dtype)
        needs = list(ctx.needs_input_grad[:3])
        grads = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, None, None, mean, inverse_deviation, True, ctx.eps, needs
        )
        return (*(each if need else None for each, need in zip(grads, needs, strict=True)), *[None] * 5)
