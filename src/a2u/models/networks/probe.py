"""The probe: a network as small as possible in which only the upsampling operator can restore detail."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from a2u.models.layers import ConvNorm, batch_norm
from a2u.models.networks.base import ModelConfig, Network
from a2u.models.operators import DEFAULT_OPERATOR, build_operators
from a2u.upsampling import Upsampler
from a2u.upsampling.initialise import initialise

STEPS = 3  # each doubles the size


@dataclass
class ProbeModelConfig(ModelConfig):
    """Keys of the probe that its constructor does not have: none."""


class ProbeNet(Network):
    """Restore alpha from its own eighth, guided by the picture: (N, 4, H, W) -> (N, 1, H, W), not clamped.

    H and W are multiples of 8. Input channels: RGB normalised with the ImageNet mean and standard deviation, and the
    true alpha. Both are averaged over 8 x 8 pixels; three steps of operator, 3x3 convolution, norm and activation
    bring them back to full size. There is no skip connection: anything finer comes through the operator's guide, from a
    pyramid of the picture with one 3x3 convolution per level, halved by averaging (paired operators: by their own
    `downsample`, which also returns the guide).

    Args:
        upsampler: the operator's name.
        options: the operator's options.
        channels: of decoder and guide.
        blank_guide: the guide is made from a blank picture; what an operator loses by that is what it sees.

    Raises:
        ValueError: an impossible option.
    """

    name = "probe"
    settings = ProbeModelConfig
    multiple = 2**STEPS

    def __init__(
        self,
        upsampler: str = DEFAULT_OPERATOR,
        options: dict[str, Any] | None = None,
        channels: int = 16,
        blank_guide: bool = False,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"model.channels must be at least 1; got {channels}.")
        operators = build_operators(upsampler, options, [channels] * STEPS)
        guided = operators[0].reads_guide
        if blank_guide and not guided:
            raise ValueError(f"{upsampler} reads no guide, so model.blank_guide=true has no effect: leave it out.")
        self.blank_guide = blank_guide
        self.start = ConvNorm(4, channels, batch_norm)
        self.decoder = nn.ModuleList(ConvNorm(channels, channels, batch_norm) for _ in range(STEPS))
        self.head = nn.Conv2d(channels, 1, kernel_size=1)
        initialise(self)  # before there is a pyramid, so that it is the same for all operators
        levels = [3, *[channels] * (STEPS - 1)] if guided else []  # channels before each convolution, largest map first
        self.pyramid = nn.ModuleList(nn.Conv2d(count, channels, kernel_size=3, padding=1) for count in levels)
        initialise(self.pyramid)
        self.upsamplers = nn.ModuleList(operators)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != 4 or x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise ValueError(
                f"the probe takes (N, 4, H, W), RGB and alpha, with H and W multiples of {self.multiple}; "
                f"got {tuple(x.shape)}."
            )
        guides = self._guides(x[:, :3])
        y = self.start(avg_pool2d(x, self.multiple))  # (N, C, H/8, W/8)
        for upsample, guide, decode in zip(self.upsamplers, guides, self.decoder, strict=True):
            y = decode(upsample(y, guide))
        return self.head(y)

    def _guides(self, picture: Tensor) -> list[Any]:
        """Return the guide of every step, smallest first: (N, C, H/4, W/4), (N, C, H/2, W/2), (N, C, H, W)."""
        if not self.pyramid:
            return [None] * STEPS
        x, guides = torch.zeros_like(picture) if self.blank_guide else picture, list[Any]()
        for convolve, operator in zip(self.pyramid, self.upsamplers[::-1], strict=True):
            assert isinstance(operator, Upsampler)
            feature = convolve(x)
            x, guide = operator.downsample(feature) if operator.paired else (avg_pool2d(feature, 2), feature)
            guides.insert(0, guide)
        return guides
