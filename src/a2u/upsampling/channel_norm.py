"""Layer norm of a map."""

import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel: (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.movedim(1, 3), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.movedim(3, 1)
