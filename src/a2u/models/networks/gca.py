"""GCA Matting (Li and Lu, AAAI 2020): Table 5's strongest competitor, and its baseline without attention.

An encoder like ResNet-34-D and a mirrored decoder, every convolution but the last spectrally normalised, two shortcut
convolutions a level, guided contextual attention at 1/8 in both. 25,164,529 parameters, and 104,615 numbers of the
spectral normalisation that the printed 25.27M counts too; 25,072,481 without attention.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from a2u.models.guided_attention import GuidedContextualAttention
from a2u.models.networks.base import MattingNetwork, scaled
from a2u.network_input import BACKGROUND, FOREGROUND, UNKNOWN


class GCA(MattingNetwork):
    """(N, 4, H, W) -> (N, 1, H, W) in 0..1; H and W multiples of 32, at least 32. The one-hot trimap is made inside.

    Args:
        attention: False gives the authors' baseline.
        width: multiplies every channel count.
    """

    name = "gca"
    multiple = 32

    def __init__(self, attention: bool = True, width: float = 1.0) -> None:
        super().__init__()
        if attention:
            self.indivisible = "its attention compares every place with every other"
        channels = scaled(width, 32, 64, 128, 256, 512)
        self.encoder = GCAEncoder(channels, attention)
        self.decoder = GCADecoder(channels, attention)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return self.decoder(*self.encoder(torch.cat([x[:, :3], one_hot(x[:, 3:])], dim=1)))


def one_hot(trimap: Tensor) -> Tensor:
    """(N, 1, H, W) near 0, 128/255 or 1 -> (N, 3, H, W): background, unknown, foreground."""
    levels = trimap.new_tensor([BACKGROUND, UNKNOWN, FOREGROUND]).view(1, 3, 1, 1) / 255
    nearest = (trimap - levels).abs().argmin(dim=1)  # (N, H, W)
    return F.one_hot(nearest, 3).permute(0, 3, 1, 2).to(trimap.dtype)


class GCAEncoder(nn.Module):
    """(N, 6, H, W) -> (N, 512, H/32, W/32), the five shortcuts from full size to 1/16, guide and unknown at 1/8."""

    def __init__(self, channels: list[int], attention: bool) -> None:
        super().__init__()
        c32, c64, c128, c256, c512 = channels
        self.stem = nn.ModuleList(
            nn.Sequential(convolution(before, after, stride=stride), nn.BatchNorm2d(after), nn.ReLU(inplace=True))
            for before, after, stride in ((6, c32, 2), (c32, c32, 1), (c32, c64, 2))
        )
        self.layer1 = stage(c64, c64, 3, _pooled, nn.ReLU)
        self.layer2 = stage(c64, c128, 4, _pooled, nn.ReLU)
        self.layer3 = stage(c128, c256, 4, _pooled, nn.ReLU)
        self.bottleneck = stage(c256, c512, 2, _pooled, nn.ReLU)
        levels = ((6, c32), (c32, c32), (c64, c64), (c128, c128), (c256, c256))
        self.shortcuts = nn.ModuleList(shortcut(before, after) for before, after in levels)
        self.attention = GuidedContextualAttention(c128, c128) if attention else None
        self.guide = guide(c32 // 2, c32, c128) if attention else None
        initialise(self)
        with torch.no_grad():  # trained from ImageNet weights, in which the trimap has no part
            _weight(self.stem[0][0])[:, 3:] = 0  # type: ignore[index]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor | None, Tensor]:
        unknown = x[:, 4:5, ::8, ::8]  # (N, 1, H/8, W/8), nearest
        half = self.stem[1](self.stem[0](x))  # (N, 32, H/2, W/2)
        quarter = self.layer1(self.stem[2](half))  # (N, 64, H/4, W/4)
        eighth = self.layer2(quarter)  # (N, 128, H/8, W/8)
        guide = None
        if self.attention is not None and self.guide is not None:
            guide = self.guide(x[:, :3])  # (N, 128, H/8, W/8)
            eighth = self.attention(eighth, guide, unknown)
        sixteenth = self.layer3(eighth)  # (N, 256, H/16, W/16)
        levels = (x, half, quarter, eighth, sixteenth)
        skips = [shortcut(feature) for shortcut, feature in zip(self.shortcuts, levels, strict=True)]
        return self.bottleneck(sixteenth), skips, guide, unknown


class GCADecoder(nn.Module):
    """From 1/32 back to full size; a shortcut is added after every stage."""

    def __init__(self, channels: list[int], attention: bool) -> None:
        super().__init__()
        c32, c64, c128, c256, c512 = channels
        self.layer1 = stage(c512, c256, 2, _enlarged, leaky)
        self.layer2 = stage(c256, c128, 3, _enlarged, leaky)
        self.layer3 = stage(c128, c64, 3, _enlarged, leaky)
        self.layer4 = stage(c64, c32, 2, _enlarged, leaky)
        self.last = nn.Sequential(deconvolution(c32, c32), nn.BatchNorm2d(c32), leaky(inplace=True))
        self.prediction = nn.Conv2d(c32, 1, kernel_size=3, padding=1)
        self.attention = GuidedContextualAttention(c128, c128) if attention else None
        initialise(self)

    def forward(self, x: Tensor, skips: list[Tensor], guide: Tensor | None, unknown: Tensor) -> Tensor:
        full, half, quarter, eighth, sixteenth = skips
        x = self.layer1(x) + sixteenth
        x = self.layer2(x) + eighth
        if self.attention is not None and guide is not None:
            x = self.attention(x, guide, unknown)
        x = self.layer3(x) + quarter
        x = self.layer4(x) + half
        return (torch.tanh(self.prediction(self.last(x) + full)) + 1) / 2


class Block(nn.Module):
    """Residual block; `conv1` and `identity` change the resolution where they have to."""

    def __init__(self, conv1: nn.Module, middle: int, out: int, identity: nn.Module, activation: Any) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv1, nn.BatchNorm2d(middle)
        self.conv2, self.norm2 = convolution(middle, out), nn.BatchNorm2d(out)
        self.identity, self.activation = identity, activation(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.norm1(self.conv1(x)))
        return self.activation(self.norm2(self.conv2(y)) + self.identity(x))


def stage(channels: int, out: int, count: int, first: Callable[..., Block], activation: Any) -> nn.Sequential:
    """Stack `count` blocks; the first changes channels and resolution."""
    same = (Block(convolution(out, out), out, out, nn.Identity(), activation) for _ in range(count - 1))
    return nn.Sequential(first(channels, out, activation), *same)


def _pooled(channels: int, out: int, activation: Any) -> Block:
    """Build a block that halves the size, its identity by average pooling; plain where channels stay the same."""
    if channels == out:
        return Block(convolution(out, out), out, out, nn.Identity(), activation)
    identity = nn.Sequential(nn.AvgPool2d(2), convolution(channels, out, size=1), nn.BatchNorm2d(out))
    return Block(convolution(channels, out, stride=2), out, out, identity, activation)


def _enlarged(channels: int, out: int, activation: Any) -> Block:
    """Build a block that doubles the size by deconvolution, its identity by nearest neighbour."""
    identity = nn.Sequential(nn.Upsample(scale_factor=2), convolution(channels, out, size=1), nn.BatchNorm2d(out))
    return Block(deconvolution(channels, channels), channels, out, identity, activation)


def shortcut(channels: int, out: int) -> nn.Sequential:
    """Two convolutions, activation before norm."""
    return nn.Sequential(*_activated(channels, out, 1), *_activated(out, out, 1))


def guide(*channels: int) -> nn.Sequential:
    """Image features at 1/8: three convolutions of stride 2, borders mirrored."""
    parts: list[nn.Module] = []
    for before, after in zip((3, *channels), channels, strict=False):
        parts += [nn.ReflectionPad2d(1), *_activated(before, after, 2, padding=0)]
    return nn.Sequential(*parts)


def _activated(channels: int, out: int, stride: int, padding: int = 1) -> list[nn.Module]:
    return [convolution(channels, out, stride=stride, padding=padding), nn.ReLU(inplace=True), nn.BatchNorm2d(out)]


def convolution(channels: int, out: int, size: int = 3, stride: int = 1, padding: int | None = None) -> nn.Module:
    padding = size // 2 if padding is None else padding
    return _normalised(nn.Conv2d(channels, out, size, stride, padding, bias=False))


def deconvolution(channels: int, out: int) -> nn.Module:
    # dim=0: the authors divide by the largest singular value of (input channels, the rest).
    return _normalised(nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1, bias=False), dim=0)


def _normalised(layer: nn.Module, dim: int | None = None) -> nn.Module:
    """Normalise spectrally, unless on the meta device: it adds no parameters, and starts with 15 power iterations."""
    return layer if layer.weight.is_meta else spectral_norm(layer, dim=dim)


def leaky(inplace: bool) -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=inplace)


def initialise(module: nn.Module) -> None:
    """Draw convolutions Xavier-uniform; let blocks start as their identity, attention (nearly) without effect."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(_weight(part))
    for part in module.modules():
        if isinstance(part, Block):
            nn.init.zeros_(part.norm2.weight)
        elif isinstance(part, GuidedContextualAttention):
            nn.init.zeros_(part.guidance.bias)  # type: ignore[arg-type]
            nn.init.constant_(part.project[1].weight, 1e-3)  # type: ignore[arg-type]


def _weight(part: Any) -> Tensor:
    """Return the weight before its spectral normalisation."""
    return part.parametrizations.weight.original if hasattr(part, "parametrizations") else part.weight
