"""Pixel shuffle (sub-pixel convolution): a convolution to r*r*C channels, rearranged in space."""

from typing import Any

from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.initialise import initialise
from a2u.upsampling.ops.geometry import pixel_shuffle


class PixelShuffle(Upsampler):
    """Bare 3x3 convolution C -> r*r*C, then the shuffle (size not stated, decided). Reads no guide."""

    name = "pixel_shuffle"
    reads_guide = False
    reach = 1

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__(channels, ratio)
        self.conv = nn.Conv2d(channels, ratio**2 * channels, kernel_size=3, padding=1)
        initialise(self)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return pixel_shuffle(self.conv(x), self.ratio)  # (N, r*r*C, h, w) -> (N, C, r*h, r*w)
