"""Context-Aware Image Matting (Hou and Liu, ICCV 2019): one Xception-65 for context, one for detail.

107,426,469 parameters for alpha alone, 108,003,724 with the colours of the foreground; the paper prints 107.5M. As in
the released program; `load_released(system="context_aware")` reads its weights.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.aspp import ASPP
from a2u.models.layers import ConvNorm, Norm
from a2u.models.networks.base import MattingNetwork, scaled
from a2u.models.operators import DEFAULT_OPERATOR, build_operators
from a2u.network_input import IMAGENET_MEAN, IMAGENET_STD
from a2u.upsampling import Upsampler

# Xception-65: channels of the three separable convolutions of a module, and its stride.
ENTRY = (((128, 128, 128), 2), ((256, 256, 256), 2), ((728, 728, 728), 2))
MIDDLE = ((728, 728, 728), 1)
EXIT = (((728, 1024, 1024), 2), ((1536, 1536, 2048), 1))
SKIPS = (728, 256, 128)  # channels of the skip features, deepest first; the decoder reads the input too
# Of truncated normal initial values, by module name; convolutions of other names start Xavier-uniform.
DEVIATIONS = {r"\.(stem|entry|middle|exit)\.": 0.09, "depthwise": 0.33, "pointwise": 0.06, "heads": 0.01}


class ContextAware(MattingNetwork):
    """(N, 4, H, W) -> (N, 1, H, W) in 0..1, of any size: padded with grey background at the bottom and the right.

    The program enlarges with aligned corners, so it takes sides of 16n + 1; upsampling operators take sides of 16n.

    Args:
        upsampler: the operator's name, where there is a place for one.
        options: the operator's options.
        upsampler_slot: an operator in both x2 steps of the alpha decoder, bilinear in the released program. Its guide
            is the projected skip feature, brought from 48 to 64 channels by a 1x1 convolution.
        colour: the decoder of foreground colours too, for `two_resolutions`. It is not trained here.
        width: multiplies every channel count.
        middle_units: residual modules of the encoders' middle flow.
        aspp: pyramid pooling after the encoders; False: a 1x1 convolution.
    """

    name = "context_aware"
    indivisible = "its dilated convolutions reach across the image"

    def __init__(
        self,
        upsampler: str = DEFAULT_OPERATOR,
        options: dict[str, Any] | None = None,
        upsampler_slot: bool = False,
        colour: bool = False,
        width: float = 1.0,
        middle_units: int = 16,
        aspp: bool = True,
    ) -> None:
        super().__init__()
        if upsampler != DEFAULT_OPERATOR and not upsampler_slot:
            raise ValueError(
                f"model={self.name} enlarges bilinearly, as released, so upsampler={upsampler} would have no effect: "
                "leave it out, or set model.upsampler_slot=true."
            )
        if middle_units < 1:
            raise ValueError(f"model.middle_units must be at least 1; got {middle_units}.")
        self.encoder = nn.ModuleDict(
            {
                "detail": XceptionEncoder(4, width, middle_units, aspp),
                "context": XceptionEncoder(16, width, middle_units, aspp),
            }
        )
        self.context_decoder = ContextDecoder(width)
        operators = build_operators(upsampler, options, scaled(width, 64, 64)) if upsampler_slot else []
        if operators and operators[0].paired:
            raise ValueError(
                f"model={self.name} has no place for paired downsampling, its encoders downsample with stride: set "
                "upsampler.paired=false or choose another operator."
            )
        self.excess = 0 if operators else 1  # sides are 16n + excess
        self.alpha_decoder = Decoder(1, width, operators)
        self.colour_decoder = Decoder(3, width, []) if colour else None
        initialise(self)
        # What `forward` does not read, the program's deep supervision and colours, has no gradient.
        self.alpha_decoder.heads[:-1].requires_grad_(False)
        if self.colour_decoder is not None:
            self.colour_decoder.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        mean, deviation = x.new_tensor([IMAGENET_MEAN, IMAGENET_STD])[..., None, None]  # (3, 1, 1) each
        height, width = x.shape[-2:]
        padding = (0, (self.excess - width) % 16, 0, (self.excess - height) % 16)
        image = F.pad(2 * (x[:, :3] * deviation + mean) - 1, padding)
        trimap = F.pad(2 * x[:, 3:] - 1, padding, value=-1)
        z = torch.cat([image, trimap], dim=1)
        fused, skips = self.encode(z, z)
        alpha = self.alpha_decoder(fused, skips)[-1].sigmoid()
        return F.pad(alpha, [-side for side in padding])

    def two_resolutions(self, patch: Tensor, context: Tensor) -> list[Tensor]:
        """Compute what the released graph computes, for comparison.

        Args:
            patch: (N, 4, H, W), RGB and trimap in 0..255; H and W 16n + 1.
            context: (N, 4, h, w), the same image, perhaps smaller; h and w 16n + 1.

        Returns:
            Logits of alpha: of the fused feature (N, 1, (H-1)/4 + 1, (W-1)/4 + 1) and of the four decoder levels, the
            last (N, 1, H, W). With `colour`, then five of colour, three channels each.
        """
        fused, skips = self.encode(2 * patch / 255 - 1, 2 * context / 255 - 1)
        logits = self.alpha_decoder(fused, skips)
        return logits if self.colour_decoder is None else logits + self.colour_decoder(fused, skips)

    def encode(self, patch: Tensor, context: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode images in -1..1: fused feature (N, 264, H/4, W/4) and the skip features, deepest first."""
        detail, skips = self.encoder["detail"](patch)
        around, (_, quarter, _) = self.encoder["context"](context)
        around = resized(self.context_decoder(around, quarter), detail)
        return torch.cat([detail, around], dim=1), [*skips, patch]


class XceptionEncoder(nn.Module):
    """Xception-65 and pyramid pooling: (N, 4, H, W) -> (N, 256, H/s, W/s), and the skip features, not activated.

    s is the output stride: once it is reached, later strides dilate what follows instead.
    """

    def __init__(self, output_stride: int, width: float, middle_units: int, aspp: bool) -> None:
        super().__init__()
        stem = scaled(width, 32, 64)
        self.stem = nn.Sequential(
            ConvNorm(4, stem[0], xception_norm, stride=2), ConvNorm(stem[0], stem[1], xception_norm)
        )
        modules: list[nn.Module] = []
        before, reached, rate = stem[1], 2, 1
        for channels, stride in (*ENTRY, *middle_units * [MIDDLE], *EXIT):
            outs = scaled(width, *channels)
            here = stride if reached < output_stride else 1
            modules.append(XceptionModule(before, outs, here, rate, is_last=channels == EXIT[-1][0]))
            before, reached, rate = outs[-1], reached * here, rate * stride // here
        self.entry = nn.ModuleList(modules[: len(ENTRY)])
        self.middle = nn.ModuleList(modules[len(ENTRY) : -len(EXIT)])
        self.exit = nn.ModuleList(modules[-len(EXIT) :])
        out = scaled(width, 256)[0]
        self.aspp = (
            ASPP(before, batch_norm, dropout=0.1, branch=out, out=out, dilations=(3, 6, 9), separable=False)
            if aspp
            else ConvNorm(before, out, batch_norm, size=1)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem(x)
        skips = []
        for module in self.entry:
            x, skip = module(x)
            skips.append(skip)
        for module in (*self.middle, *self.exit):
            x, _ = module(x)
        return self.aspp(x), skips[::-1]


class XceptionModule(nn.Module):
    """Three separable convolutions, the stride in the last, and their input added.

    It is added as it is where the shape stays, else through a 1x1 convolution. The last module of the network adds
    nothing, and activates after both parts of its separable convolutions instead of before them.

    Returns:
        Output, and the output of the second separable convolution.
    """

    def __init__(self, channels: int, outs: Sequence[int], stride: int, rate: int, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last
        self.separable = nn.ModuleList(
            separable(before, out, xception_norm, each, rate, activation=is_last)
            for before, out, each in zip((channels, *outs), outs, (1, 1, stride), strict=False)
        )
        self.shortcut: nn.Module | None = None
        if not is_last:
            changes = stride != 1 or channels != outs[-1]
            self.shortcut = (
                ConvNorm(channels, outs[-1], xception_norm, size=1, stride=stride, activation=False)
                if changes
                else nn.Identity()
            )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = [x]
        for convolution in self.separable:
            features.append(convolution(features[-1] if self.is_last else features[-1].relu()))
        _, _, second, y = features
        return y if self.shortcut is None else y + self.shortcut(x), second


class ContextDecoder(nn.Module):
    """Context at 1/16 and a skip feature at 1/4 -> (N, 8, H/4, W/4)."""

    def __init__(self, width: float) -> None:
        super().__init__()
        c256, c64, c48, c8 = scaled(width, 256, 64, 48, 8)
        self.project = ConvNorm(c256, c48, batch_norm, size=1)
        self.refine = nn.Sequential(separable(c48 + c256, c64, batch_norm), separable(c64, c64, batch_norm))
        self.reduce = nn.Conv2d(c64, c8, kernel_size=3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        skip = self.project(skip)
        return self.reduce(self.refine(torch.cat([skip, resized(x, skip)], dim=1))).relu()


class Decoder(nn.Module):
    """Fused feature at 1/4 and skip features -> logits of it and of four levels: 1/4, 1/4, 1/2, full size."""

    def __init__(self, out: int, width: float, operators: Sequence[Upsampler]) -> None:
        super().__init__()
        *skips, c256, c64, c8 = scaled(width, *SKIPS, 256, 64, 8)
        channels = [c256 + c8, c64, c64, c64, c64]
        at_level = [None, None, *(operators or (None, None))]  # the first two levels keep the size
        self.levels = nn.ModuleList(
            Level(before, skip, width, operator)
            for before, skip, operator in zip(channels, (*skips, 4), at_level, strict=False)
        )
        self.heads = nn.ModuleList(nn.Conv2d(count, out, kernel_size=1) for count in channels)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> list[Tensor]:
        features = [x]
        for level, skip in zip(self.levels, skips, strict=True):
            features.append(level(features[-1], skip))
        return [head(feature) for head, feature in zip(self.heads, features, strict=True)]


class Level(nn.Module):
    """Bring the map to the skip feature's size, concatenate both, two 3x3 convolutions: -> (N, 64, h, w)."""

    def __init__(self, channels: int, skip: int, width: float, operator: Upsampler | None) -> None:
        super().__init__()
        c48, c64 = scaled(width, 48, 64)
        self.project = ConvNorm(skip, c48, batch_norm, size=1)
        self.upsampler = operator
        self.guide = nn.Conv2d(c48, channels, kernel_size=1) if operator and operator.reads_guide else nn.Identity()
        self.refine = nn.Sequential(ConvNorm(c48 + channels, c64, batch_norm), ConvNorm(c64, c64, batch_norm))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        skip = self.project(skip)
        x = resized(x, skip) if self.upsampler is None else self.upsampler(x, self.guide(skip))
        return self.refine(torch.cat([skip, x], dim=1))


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Resize x bilinearly to the height and width of `like`, corners aligned."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def separable(
    channels: int, out: int, norm: Norm, stride: int = 1, rate: int = 1, activation: bool = True
) -> nn.Sequential:
    """Depthwise 3x3 and 1x1 convolution, each with norm, and ReLU where `activation`."""
    depthwise = ConvNorm(channels, channels, norm, 3, stride, activation, dilation=rate, groups=channels)
    pointwise = ConvNorm(channels, out, norm, size=1, activation=activation)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise))


def batch_norm(channels: int, activation: bool, epsilon: float = 1e-5) -> nn.Module:
    """Batch norm, then ReLU where `activation`."""
    parts: list[nn.Module] = [nn.BatchNorm2d(channels, eps=epsilon)]
    return nn.Sequential(*parts, *([nn.ReLU(inplace=True)] if activation else []))


def xception_norm(channels: int, activation: bool) -> nn.Module:
    return batch_norm(channels, activation, epsilon=1e-3)


def initialise(model: nn.Module) -> None:
    """Draw the program's initial values. Operators keep their own."""
    for name, part in model.named_modules():
        if not isinstance(part, nn.Conv2d) or ".upsampler." in name or part.weight.is_meta:
            continue
        deviation = next((value for place, value in DEVIATIONS.items() if re.search(place, name)), None)
        if deviation is None:
            nn.init.xavier_uniform_(part.weight)
        else:
            nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if part.bias is not None:
            nn.init.zeros_(part.bias)
