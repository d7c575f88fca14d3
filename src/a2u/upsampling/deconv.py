"""Deconvolution: a learned, input-independent kernel (Sec. 3, the "universal kernel")."""

from typing import Any

from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.initialise import initialise


class Deconv(Upsampler):
    """Transposed convolution 4x4, stride 2, padding 1, bare: no norm, no activation (size not stated, decided).

    16*C*C + C parameters. Reads no guide.
    """

    name = "deconv"
    reads_guide = False
    reach = 1

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.conv = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1)
        initialise(self)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return self.conv(x)  # (N, C, h, w) -> (N, C, 2h, 2w)
