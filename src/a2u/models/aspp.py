"""Atrous spatial pyramid pooling (DeepLabv3; spec of Sec. 6.1's network)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.layers import ConvNorm, Norm


class ASPP(nn.Module):
    """1x1, three dilated 3x3 and a global branch, concatenated and reduced: (N, channels, h, w) -> (N, out, h, w).

    The global branch's norm sees 1x1 maps, so a training step needs at least two samples a process.

    Args:
        channels: of the input.
        norm: makes a norm + activation.
        dropout: after the reduction.
        branch: channels of every branch; None: `channels`.
        out: channels of the output; None: `channels`.
        dilations: of the three dilated branches.
        separable: dilated branches are depth-wise separable; False: full convolutions.
    """

    def __init__(
        self,
        channels: int,
        norm: Norm,
        dropout: float = 0.5,
        branch: int | None = None,
        out: int | None = None,
        dilations: Sequence[int] = (6, 12, 18),
        separable: bool = True,
    ) -> None:
        super().__init__()
        branch, out = branch or channels, out or channels
        self.point = ConvNorm(channels, branch, norm, size=1)
        dilated = _separable if separable else ConvNorm
        self.dilated = nn.ModuleList(dilated(channels, branch, norm, dilation=dilation) for dilation in dilations)
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNorm(channels, branch, norm, size=1))
        self.reduce = ConvNorm(5 * branch, out, norm, size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] == 1:
            raise ValueError(
                "the network's global pooling branch normalises 1x1 maps over the batch, so a training step needs at "
                "least 2 samples a process; got 1. Set trainer.batch_size to 2 or more, or model.aspp=false."
            )
        whole = F.interpolate(self.whole(x), size=x.shape[-2:], mode="nearest")
        # no name for the branches: they are let go before the reduction, which large images need
        pyramid = torch.cat([self.point(x), *(branch(x) for branch in self.dilated), whole], dim=1)
        return self.dropout(self.reduce(pyramid))


def _separable(channels: int, out: int, norm: Norm, dilation: int) -> nn.Sequential:
    """Depth-wise 3x3, norm+act, 1x1, norm+act."""
    depthwise = ConvNorm(channels, channels, norm, dilation=dilation, groups=channels)
    return nn.Sequential(*depthwise, *ConvNorm(channels, out, norm, size=1))
