"""Layers that several networks share: convolution + norm + activation, residual block."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.norms.narrow_batchnorm import BatchNorm
from a2u.models.norms.recompute import norm_and_activation
from a2u.upsampling.initialise import LEAKY_SLOPE

Norm = Callable[[int, bool], nn.Module]  # (channels, with activation) -> module


class NormActivation(nn.Sequential):
    """Batch norm and leaky ReLU. With `recompute`, a training step keeps their output alone, not the norm's input."""

    recompute = False

    def __init__(self, channels: int) -> None:
        super().__init__(BatchNorm(channels), nn.LeakyReLU(LEAKY_SLOPE, inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        norm, activation = self
        assert isinstance(norm, nn.BatchNorm2d)
        if self.recompute and norm.training:
            return norm_and_activation(x, norm, LEAKY_SLOPE)
        return activation(norm(x))


def batch_norm(channels: int, activation: bool) -> nn.Module:
    """Batch norm, then leaky ReLU where `activation`."""
    return NormActivation(channels) if activation else nn.Sequential(BatchNorm(channels))


def batch_norm_relu6(channels: int, activation: bool) -> nn.Module:
    """Batch norm, then ReLU6 where `activation`."""
    norm = nn.BatchNorm2d(channels)
    return nn.Sequential(norm, nn.ReLU6(inplace=True)) if activation else nn.Sequential(norm)


def inplace_abn(channels: int, activation: bool) -> nn.Module:
    """In-place activated batch norm of the released program (scale |weight| + eps). Needs the package inplace_abn."""
    try:
        from inplace_abn import InPlaceABN
    except ImportError as error:
        raise ValueError(
            "model.norm=inplace_abn needs the package inplace_abn, which is not installed (it needs a CUDA build); "
            "install it or set model.norm=batch."
        ) from error
    kind = "leaky_relu" if activation else "identity"
    return nn.Sequential(InPlaceABN(channels, activation=kind, activation_param=LEAKY_SLOPE))


NORMS: dict[str, Norm] = {"batch": batch_norm, "inplace_abn": inplace_abn}


class ConvNorm(nn.Sequential):
    """Convolution without bias, norm, and leaky ReLU unless `activation` is False; same padding."""

    def __init__(
        self,
        channels: int,
        out: int,
        norm: Norm,
        size: int = 3,
        stride: int = 1,
        activation: bool = True,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        padding = dilation * (size // 2)
        super().__init__(
            nn.Conv2d(channels, out, size, stride, padding, dilation, groups, bias=False), norm(out, activation)
        )


class BasicBlock(nn.Module):
    """ResNet's basic block: two 3x3 convolutions, sum, leaky ReLU; a 1x1 projection where the shape changes.

    With `reduces`, the projection has stride 2 and the first convolution stride 1: its (activated) output is the
    feature that forward's `downsample` reduces (paired downsampling).
    """

    def __init__(self, channels: int, out: int, norm: Norm, stride: int = 1, reduces: bool = False) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, out, norm, stride=1 if reduces else stride)
        self.conv2 = ConvNorm(out, out, norm, activation=False)
        changes = stride != 1 or channels != out
        self.projection = (
            ConvNorm(channels, out, norm, size=1, stride=stride, activation=False) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self._sum(x, self.conv1(x))

    def forward_reduced(self, x: Tensor, downsample: Callable[[Tensor], tuple[Tensor, Any]]) -> tuple[Tensor, Any]:
        """As forward, with the first convolution's output downsampled; also returns the guide."""
        y, guide = downsample(self.conv1(x))
        return self._sum(x, y), guide

    def _sum(self, x: Tensor, y: Tensor) -> Tensor:
        # In place: no gradient needs the sum before the activation
        return F.leaky_relu(self.conv2(y).add_(self.projection(x)), LEAKY_SLOPE, inplace=True)


def blocks(channels: int, out: int, count: int, norm: Norm, stride: int = 1, reduces: bool = False) -> nn.Sequential:
    """Stack `count` basic blocks; the first changes channels and resolution."""
    first = BasicBlock(channels, out, norm, stride, reduces)
    return nn.Sequential(first, *(BasicBlock(out, out, norm) for _ in range(count - 1)))
