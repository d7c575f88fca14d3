"""Batch norm over the batch of all processes together, on any device."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d with statistics over the maps of all processes, which must have the same size.

    In evaluation mode it is nn.BatchNorm2d. (PyTorch's SyncBatchNorm needs a GPU.)
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        processes, over = dist.get_world_size(), (0, 2, 3)
        mean = _Sum.apply(x.float().mean(over)) / processes  # (C,)
        centred = x.float() - mean[:, None, None]
        variance = _Sum.apply(centred.square().mean(over)) / processes
        count = processes * x.numel() // x.shape[1]
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(variance.detach() * (count / (count - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Sum(torch.autograd.Function):
    """All-reduce; a gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _sum(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _sum(grad)


def _sum(x: Tensor) -> Tensor:
    x = x.clone()
    dist.all_reduce(x)
    return x


def synchronise(model: nn.Module) -> None:
    """Replace every batch norm of `model` by a SynchronisedBatchNorm with the same parameters and statistics."""
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, _synchronised(norm))


def _synchronised(norm: nn.BatchNorm2d) -> SynchronisedBatchNorm:
    new = SynchronisedBatchNorm(norm.num_features, norm.eps, norm.momentum)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    return new.train(norm.training)
