"""IndexNet: w = [w], w in [0, 1], learned from the high-resolution encoder feature (Sec. 3, iii)."""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.initialise import initialise
from a2u.upsampling.ops.geometry import pixel_shuffle


class IndexNet(Upsampler):
    """Index-guided upsampling (Lu et al., ICCV 2019). The default is the best setting, that of Table 2.

    Table 2 learns the index from the skip feature and multiplies the nearest-upsampled decoder feature by it.
    `paired` is IndexNet Matting (Table 5): the same map, normalised by a softmax over each 2x2 block, also
    weighs the encoder feature before sum pooling.

    Args:
        channels: C.
        block: how the index depends on channels. "holistic": one map for all; "depthwise_one_to_one": a
            channel's map from that channel; "depthwise_many_to_one": a channel's map from all channels.
        context: 4x4 windows instead of 2x2 (both stride 2).
        nonlinear: convolution, norm, ReLU6, 1x1 convolution instead of a single convolution.
        hidden: width of the nonlinear block in units of C. 2 gives the published parameter counts; the released
            depthwise blocks have 1. The holistic block always has 2.
        paired: also downsample.
    """

    name = "indexnet"
    reach = 1

    def __init__(
        self,
        channels: int,
        block: Literal["holistic", "depthwise_one_to_one", "depthwise_many_to_one"] = "depthwise_many_to_one",
        context: bool = True,
        nonlinear: bool = True,
        hidden: int = 2,
        paired: bool = False,
    ) -> None:
        super().__init__(channels, paired=paired)
        if hidden < 1:
            raise ValueError(f"indexnet: hidden (in units of channels) must be at least 1; got {hidden}.")
        self.block = block
        size, padding = (4, 1) if context else (2, 0)
        # All four sub-positions t of a 2x2 block are output channels of one convolution.
        if block == "holistic":  # C -> 4, channel t
            width, maps, groups_in, groups_out = 2 * channels, 4, 1, 1
        elif block == "depthwise_one_to_one":  # channel c*4 + t sees channel c alone
            width, maps, groups_in, groups_out = (
                4 * hidden * channels,
                4 * channels,
                channels,
                4 * channels,
            )
        elif block == "depthwise_many_to_one":  # channel t*C + c: four branches, each sees all channels
            width, maps, groups_in, groups_out = 4 * hidden * channels, 4 * channels, 1, 4
        else:
            raise ValueError(
                f"indexnet: block must be holistic, depthwise_one_to_one or depthwise_many_to_one; got {block!r}."
            )
        if nonlinear:
            self.index = nn.Sequential(
                nn.Conv2d(channels, width, size, 2, padding, groups=groups_in, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU6(),
                nn.Conv2d(width, maps, kernel_size=1, groups=groups_out, bias=False),
            )
        else:
            self.index = nn.Sequential(nn.Conv2d(channels, maps, size, 2, padding, groups=groups_in, bias=False))
        self.sigmoid = nn.Sigmoid()
        self.content = Content()
        initialise(self)

    def index_blocks(self, feature: Tensor) -> Tensor:
        """(N, C, 2h, 2w) -> index values in (0, 1) by 2x2 block: (N, C or 1, 4, h, w)."""
        logits = self.index(feature)  # (N, 4*C or 4, h, w)
        n, maps, h, w = logits.shape
        if self.block == "depthwise_many_to_one":
            blocks = logits.view(n, 4, maps // 4, h, w).transpose(1, 2)
        else:
            blocks = logits.view(n, maps // 4, 4, h, w)
        return self.content(self.sigmoid(blocks))

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        decode = guide if self.paired else spread(self.index_blocks(guide))  # (N, C or 1, 2h, 2w)
        return F.interpolate(x, scale_factor=2, mode="nearest") * decode

    def downsample(self, feature: Tensor) -> tuple[Tensor, Any]:
        if not self.paired:
            return super().downsample(feature)
        weighted, decode = self.weigh(feature)
        return self.pool(weighted), decode

    def weigh(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Feature times its encoding map (a softmax over each 2x2 block), and the decoding map.

        Returns:
            (N, C, 2h, 2w) and (N, C or 1, 2h, 2w).
        """
        self.check_feature(feature)
        blocks = self.index_blocks(feature)
        return feature * spread(blocks.softmax(dim=2)), spread(blocks)

    @staticmethod
    def pool(weighted: Tensor) -> Tensor:
        """Sum over each 2x2 block: (N, C, 2h, 2w) -> (N, C, h, w)."""
        return 4 * F.avg_pool2d(weighted, kernel_size=2)  # exact; ONNX knows no other divisor


def spread(blocks: Tensor) -> Tensor:
    """(N, C, 4, h, w) -> (N, C, 2h, 2w): sub-position 2*row + column goes to its place in the 2x2 block."""
    return pixel_shuffle(blocks.flatten(1, 2), 2)
