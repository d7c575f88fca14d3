"""The reference row of every matting table: the trimap as alpha."""

import torch
from torch import Tensor

from a2u.models.networks.base import MattingNetwork


class TrimapOnly(MattingNetwork):
    """Alpha 0 and 1 in the known regions, 0.5 in the unknown one. (N, 4, H, W) -> (N, 1, H, W); no parameters."""

    name = "trimap_only"
    trained = False
    indivisible = None

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        trimap = x[:, 3:]
        return torch.where(trimap <= 0, 0.0, torch.where(trimap >= 1, 1.0, 0.5)).to(x.dtype)
