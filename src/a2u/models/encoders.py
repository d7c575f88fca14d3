"""Encoders of the matting U-Net: the paper's ResNet-34, and others by torchvision's own definitions.

An encoder maps an image (RGB + trimap) to features at 1/2, 1/4, 1/8 and 1/16 of its size. To add one of torchvision's,
add an entry to `TRUNKS`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from a2u.errors import NoPlaceError
from a2u.models.layers import BasicBlock, ConvNorm, Norm, blocks
from a2u.models.networks.base import scaled
from a2u.upsampling import Upsampler

Encoded = tuple[list[Tensor], list[Any]]


class Trunk(NamedTuple):
    """The layers of a torchvision classifier that make up an encoder."""

    within: str  # the submodule that holds the layers; "": the classifier itself
    ends: tuple[str, str, str, str]  # the layers that give the features at 1/2, 1/4, 1/8 and 1/16


TRUNKS = {
    # channels: 64, 64, 128, 256
    "resnet18": Trunk("", ("relu", "layer1", "layer2", "layer3")),
    # 64, 256, 512, 1024
    "resnet50": Trunk("", ("relu", "layer1", "layer2", "layer3")),
    # 16, 24, 32, 96
    "mobilenet_v2": Trunk("features", ("1", "3", "6", "13")),
}


class Encoder(nn.Module):
    """(N, 4, H, W) -> features at 1/2, 1/4, 1/8, 1/16; H and W multiples of 16."""

    channels: tuple[int, int, int, int]  # of the features
    torchvision: str  # the classifier whose ImageNet weights fit

    def torchvision_name(self, key: str) -> str:
        """Return torchvision's name for one of this encoder's tensors."""
        raise TypeError("an encoder defines torchvision_name().")

    def levels(self) -> Sequence[nn.Module]:
        """Return the four parts that lead from one resolution to the next."""
        raise TypeError(f"{type(self).__name__} does not define levels().")

    def forward(self, x: Tensor, operators: Sequence[Upsampler]) -> Encoded:
        """Return the features, largest first, and guides in the same order; None: the guide is the shortcut's output.

        operators: of the decoder stages, deepest first.
        """
        features: list[Tensor] = []
        for level in self.levels():
            x = level(x)
            features.append(x)
        return features, [None] * 4


class ResNet(Encoder):
    """A ResNet's stem, max-pool and first three layers; a subclass makes them."""

    stem: nn.Module
    pool: nn.Module
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def torchvision_name(self, key: str) -> str:
        """Return torchvision's name: "layer2.0.conv1.1.0.weight" -> "layer2.0.bn1.weight"."""
        *path, tensor = key.split(".")
        if path[0] == "stem":
            return f"conv1.{tensor}" if path[1] == "0" else f"bn1.{tensor}"
        layer, block, part, position = path[:4]
        if part == "projection":
            return f"{layer}.{block}.downsample.{position}.{tensor}"
        number = part.removeprefix("conv")
        return f"{layer}.{block}.{'conv' if position == '0' else 'bn'}{number}.{tensor}"

    def levels(self) -> Sequence[nn.Module]:
        return self.stem, nn.Sequential(self.pool, self.layer1), self.layer2, self.layer3


class ResNet34(ResNet):
    """The first 11 residual blocks of ResNet-34, with leaky ReLU (Sec. 6.1).

    With `reduces` ("d", and FADE's released network), the stem and the first convolutions of layer2 and layer3 have
    stride 1 and are followed by `downsample`, which also replaces the max-pool.

    Args:
        width: multiplies every channel count.
        block_counts: residual blocks of layer1, layer2, layer3.
        norm: makes a norm + activation.
        reduces: leave downsampling to paired operators or to 2x2 max-pooling.
    """

    torchvision = "resnet34"

    def __init__(self, width: float, block_counts: Sequence[int], norm: Norm, reduces: bool) -> None:
        super().__init__()
        c64, c128, c256 = scaled(width, 64, 128, 256)
        self.channels = (c64, c64, c128, c256)
        self.reduces = reduces
        self.stem = ConvNorm(4, c64, norm, size=7, stride=1 if reduces else 2)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = blocks(c64, c64, block_counts[0], norm)
        self.layer2 = blocks(c64, c128, block_counts[1], norm, stride=2, reduces=reduces)
        self.layer3 = blocks(c128, c256, block_counts[2], norm, stride=2, reduces=reduces)

    def forward(self, x: Tensor, operators: Sequence[Upsampler]) -> Encoded:
        return self._forward_reduced(x, operators) if self.reduces else super().forward(x, operators)

    def _forward_reduced(self, x: Tensor, operators: Sequence[Upsampler]) -> Encoded:
        to_eighth, to_quarter, to_half, to_full = operators  # named by the resolution they upsample to
        half, full_guide = downsample(to_full, self.stem(x))
        pooled, half_guide = downsample(to_half, half)
        quarter = self.layer1(pooled)
        eighth, quarter_guide = reduce(self.layer2[0], quarter, to_quarter)
        eighth = self.layer2[1:](eighth)
        sixteenth, eighth_guide = reduce(self.layer3[0], eighth, to_eighth)
        sixteenth = self.layer3[1:](sixteenth)
        return [half, quarter, eighth, sixteenth], [full_guide, half_guide, quarter_guide, eighth_guide]


def downsample(operator: Upsampler, feature: Tensor) -> tuple[Tensor, Any]:
    """Return a feature at half the size and a guide: by a paired operator, else by 2x2 max-pooling and the feature."""
    return operator.downsample(feature) if operator.paired else (max_pool2d(feature, 2), feature)


def reduce(block: nn.Module, x: Tensor, operator: Upsampler) -> tuple[Tensor, Any]:
    """Return a residual block's output at half the size, with `downsample` inside the block, and the guide."""
    assert isinstance(block, BasicBlock)
    return block.forward_reduced(x, partial(downsample, operator))


class TorchvisionEncoder(Encoder):
    """A classifier of torchvision up to 1/16 of the size, its first convolution widened to also read the trimap.

    Widths, blocks, norms and activations stay torchvision's, so that torchvision's weights fit.

    Args:
        name: a key of `TRUNKS`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        from torchvision.models import get_model  # here, as it takes a second to import

        self.torchvision = name
        trunk = TRUNKS[name]
        classifier: nn.Module = get_model(name, weights=None)
        layers = iter(classifier.get_submodule(trunk.within).named_children())
        self.parts = nn.ModuleList()
        for end in trunk.ends:
            part = nn.Sequential()
            for layer, module in layers:
                part.add_module(layer, module)
                if layer == end:
                    break
            self.parts.append(part)
        _widen_first_convolution(self)
        half, quarter, eighth, sixteenth = (_channels(part) for part in self.parts)
        self.channels = half, quarter, eighth, sixteenth

    def torchvision_name(self, key: str) -> str:
        _, _, name = key.split(".", 2)  # parts.<number>.<name>
        return f"{TRUNKS[self.torchvision].within}.{name}".removeprefix(".")

    def levels(self) -> Sequence[nn.Module]:
        return list(self.parts)


def build_encoder(name: str, width: float, block_counts: Sequence[int], norm: Norm, reduces: bool) -> Encoder:
    """Build an encoder; width, block_counts and norm are for "resnet34", torchvision's encoders have their own.

    Raises:
        ValueError: no such encoder.
        NoPlaceError: it has no place for other downsampling.
    """
    if name == "resnet34":
        return ResNet34(width, block_counts, norm, reduces)
    if name not in TRUNKS:
        raise ValueError(f"there is no model.encoder={name}; known: resnet34, {', '.join(TRUNKS)}.")
    if reduces:
        raise NoPlaceError(
            f"model.encoder={name} downsamples by its own strided layers, so neither an operator that downsamples too "
            "(paired) nor model.downsampling=max_pool has a place in it: choose model.encoder=resnet34, or strided "
            "downsampling and an operator that is not paired."
        )
    return TorchvisionEncoder(name)


def _channels(part: nn.Module) -> int:
    """Return the output channels: those of the last norm."""
    return [module.num_features for module in part.modules() if isinstance(module, nn.BatchNorm2d)][-1]


def _widen_first_convolution(encoder: nn.Module) -> None:
    """Let the first convolution read a fourth channel, the trimap."""
    first = next(part for part in encoder.modules() if isinstance(part, nn.Conv2d))
    first.in_channels = 4
    first.weight = nn.Parameter(torch.cat([first.weight, torch.zeros_like(first.weight[:, :1])], dim=1))
