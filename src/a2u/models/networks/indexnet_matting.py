"""IndexNet Matting (Lu et al., "Indices Matter", ICCV 2019): MobileNetV2, paired IndexNet, pyramid pooling.

8,153,771 parameters with index blocks of hidden width 2C, the printed 8.15M; 5,953,515 with C, as released.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.aspp import ASPP
from a2u.models.layers import ConvNorm, batch_norm_relu6
from a2u.models.networks.base import MattingNetwork, scaled
from a2u.upsampling.indexnet import IndexNet

# MobileNetV2: expansion, channels, blocks. After the stem and the layers marked True an index block halves the map.
LAYERS = [(1, 16, 1, False), (6, 24, 2, True), (6, 32, 3, True), (6, 64, 4, True)]
LAYERS += [(6, 96, 3, False), (6, 160, 3, True), (6, 320, 1, False)]


class IndexNetMatting(MattingNetwork):
    """(N, 4, H, W) -> (N, 1, H, W); H and W multiples of 32.

    The index map that weighs a feature before it is pooled weighs the skip feature too; the decoder concatenates.

    Args:
        hidden: width of the index blocks in units of their channels.
        width: multiplies every channel count.
        aspp: pyramid pooling after the encoder; False: a 1x1 convolution, an option of the authors' program.
    """

    name = "indexnet_matting"
    multiple, fit = 32, "resize"

    def __init__(self, hidden: int = 2, width: float = 1.0, aspp: bool = True) -> None:
        super().__init__()
        stem, *channels = scaled(width, 32, *(channels for _, channels, _, _ in LAYERS))
        self.encoder = MobileNetEncoder(stem, channels)
        levels = [stem, *channels[:-1]]  # of the skip features, from full size to 1/16
        halves = [True, *(halves for _, _, _, halves in LAYERS[:-1])]
        self.index = nn.ModuleList(
            IndexNet(count, hidden=hidden, paired=True) if half else nn.Identity()
            for count, half in zip(levels, halves, strict=True)
        )
        last, before = channels[-1], channels[-2]
        self.context: nn.Module = ConvNorm(last, before, batch_norm_relu6, size=1)
        if aspp:
            branch = scaled(width, 256)[0]
            self.context = ASPP(last, batch_norm_relu6, branch=branch, out=before, dilations=(2, 4, 8))
        outs = [stem, *levels[:-1]]
        self.decoder = nn.ModuleList(
            ConvNorm(2 * count, out, batch_norm_relu6, size=5) for count, out in zip(levels, outs, strict=True)
        )
        self.prediction = nn.Sequential(
            ConvNorm(stem, 1, batch_norm_relu6, size=5), nn.Conv2d(1, 1, kernel_size=5, padding=2, bias=False)
        )
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        skips, decodes = [], []
        *layers, last = self.encoder.layers()
        for layer, index in zip(layers, self.index, strict=True):
            skip, decode = layer(x), None
            x = skip
            if isinstance(index, IndexNet):
                skip, decode = index.weigh(skip)
                x = index.pool(skip)
            skips.append(skip)
            decodes.append(decode)
        x = self.context(last(x))  # (N, 160, H/32, W/32)
        for convolution in list(self.decoder)[::-1]:
            skip, decode = skips.pop(), decodes.pop()
            if decode is not None:
                x = F.interpolate(x, scale_factor=2, mode="nearest") * decode
            x = convolution(torch.cat([x, skip], dim=1))
        return self.prediction(x)


class InvertedResidual(nn.Module):
    """MobileNetV2's block of stride 1, by torchvision's names: 1x1 expansion, depthwise 3x3, 1x1 projection.

    It pads its input with zeros, where MobileNetV2 pads the depthwise convolution; so the authors' program does, and at
    the border that convolution sees what expansion and norm make of zero.
    """

    def __init__(self, channels: int, out: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * channels
        expand = [_activated(channels, hidden, size=1)] if expansion > 1 else []
        depthwise = _activated(hidden, hidden, size=3, groups=hidden)
        self.conv = nn.Sequential(
            *expand, depthwise, nn.Conv2d(hidden, out, kernel_size=1, bias=False), nn.BatchNorm2d(out)
        )
        self.adds = channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(F.pad(x, (1, 1, 1, 1)))
        return x + y if self.adds else y


class MobileNetEncoder(nn.Module):
    """MobileNetV2 up to 320 channels by torchvision's names, every convolution of stride 1."""

    torchvision = "mobilenet_v2"  # whose ImageNet weights fit

    def __init__(self, stem: int, channels: list[int]) -> None:
        super().__init__()
        self.features = nn.Sequential(_activated(4, stem, size=3, padding=1))
        before = stem
        for (expansion, _, blocks, _), after in zip(LAYERS, channels, strict=True):
            for _ in range(blocks):
                self.features.append(InvertedResidual(before, after, expansion))
                before = after

    def torchvision_name(self, key: str) -> str:
        """Return torchvision's name of a tensor, the same."""
        return key

    def layers(self) -> list[nn.Sequential]:
        """Return stem and layers, each with its blocks."""
        ends = [1]
        for _, _, blocks, _ in LAYERS:
            ends.append(ends[-1] + blocks)
        return [self.features[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _activated(channels: int, out: int, size: int, padding: int = 0, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, size, padding=padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))
