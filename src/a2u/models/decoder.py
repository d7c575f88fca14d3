"""The decoder: four stages of upsample, add the shortcut, refine; then the prediction."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.layers import ConvNorm, Norm, blocks
from a2u.upsampling import Upsampler


class DecoderStage(nn.Module):
    """Upsample x2, ADD the shortcut, basic blocks: (N, C, h, w) -> (N, out, 2h, 2w).

    An operator reads the guide that the encoder made, where it did; else the skipped feature, that is the shortcut's
    output (Sec. 6.1: "we learn upsampling kernels from the skipped features").
    """

    def __init__(self, skip_channels: int, channels: int, out: int, block_count: int, norm: Norm) -> None:
        super().__init__()
        self.shortcut = ConvNorm(skip_channels, channels, norm)
        self.refine = blocks(channels, out, block_count, norm)

    def forward(self, x: Tensor, skip: Tensor, operator: Upsampler, guide: Any) -> Tensor:
        skipped = self.shortcut(skip)  # (N, C, 2h, 2w)
        y = operator(x, skipped if guide is None else guide) + skipped
        del skipped  # large images: it need not be held meanwhile
        return self.refine(y)


class OneChannelConv(nn.Conv2d):
    """3x3 convolution of one map to one; on a CPU as a matrix product, which takes a third of oneDNN's time."""

    def __init__(self) -> None:
        super().__init__(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(x)
        return (self.weight.view(1, 9) @ F.unfold(x, 3, padding=1)).view(x.shape)


class Prediction(nn.Sequential):
    """3x3 convolution to one map, norm+act, 3x3 convolution; the output is not activated."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__(ConvNorm(channels, 1, norm), OneChannelConv())
