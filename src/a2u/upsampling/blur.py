"""A control: a low-pass filter that nothing is learned for."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from a2u.upsampling.base import Upsampler


class Blur(Upsampler):
    """The mean of a k x k window, in all r x r outputs of its centre: A2U where all weights are equal.

    Not in the paper. Outside the map are zeros, as in reassembly. Reads no guide, has no parameters.

    Args:
        channels: C.
        kernel_size: k, odd; 1 is nearest.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "blur"
    reads_guide = False

    def __init__(self, channels: int, kernel_size: int = 3, ratio: int = 2) -> None:
        super().__init__(channels, ratio)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"blur: kernel_size must be odd, its window is centred; got {kernel_size}.")
        self.kernel_size = kernel_size
        self.reach = kernel_size // 2

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        mean = F.avg_pool2d(x, self.kernel_size, stride=1, padding=self.kernel_size // 2)
        return F.interpolate(mean, scale_factor=self.ratio, mode="nearest")
