"""Distance-based upsampling: the kernel is a function of relative position alone (Sec. 3)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from a2u.upsampling.base import Upsampler


class Nearest(Upsampler):
    """Nearest neighbour. Reads no guide, has no parameters."""

    name = "nearest"
    reads_guide = False
    reach = 0

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__(channels, ratio)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return F.interpolate(x, scale_factor=self.ratio, mode="nearest")


class Bilinear(Upsampler):
    """Bilinear, corners not aligned (the default of PyTorch; the paper does not say). No parameters."""

    name = "bilinear"
    reads_guide = False
    reach = 1

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__(channels, ratio)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return F.interpolate(x, scale_factor=self.ratio, mode="bilinear", align_corners=False)


class Bicubic(Upsampler):
    """Bicubic (a = -0.75, as PyTorch), corners not aligned. No parameters."""

    name = "bicubic"
    reads_guide = False
    reach = 2

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__(channels, ratio)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        size = [self.ratio * side for side in x.shape[-2:]]  # by scale_factor it cannot be exported for every size
        return F.interpolate(x, size=size, mode="bicubic", align_corners=False)
