"""Max-unpooling: w in {0, 1}, one w a 2x2 block set, at the position its max-pool took the value from (Sec. 3)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from a2u.upsampling.base import Upsampler


class MaxUnpool(Upsampler):
    """Paired with a 2x2 max-pool, whose indices are the guide. No parameters."""

    name = "max_unpool"

    def __init__(self, channels: int) -> None:
        super().__init__(channels, paired=True)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return F.max_unpool2d(x, guide, kernel_size=[2, 2])

    def downsample(self, feature: Tensor) -> tuple[Tensor, Any]:
        self.check_feature(feature)
        return F.max_pool2d(feature, kernel_size=2, return_indices=True)
