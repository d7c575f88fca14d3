"""The encoder: the first 11 residual blocks of ResNet-34 (Sec. 6.1), input RGB + trimap."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from a2u.models.layers import BasicBlock, ConvNorm, Norm, blocks
from a2u.upsampling import Upsampler


class Encoded(NamedTuple):
    """Features by resolution, and the guides of paired operators (None where the operator is not paired)."""

    half: Tensor  # (N, 64, H/2, W/2), stem
    quarter: Tensor  # (N, 64, H/4, W/4), layer1
    eighth: Tensor  # (N, 128, H/8, W/8), layer2
    sixteenth: Tensor  # (N, 256, H/16, W/16), layer3
    guides: tuple[Any, Any, Any, Any]  # for the decoder stages, deepest first


class Encoder(nn.Module):
    """Stem, max-pool, layer1, layer2, layer3.

    Where downsampling is paired ("d"), the stem and the first convolutions of layer2 and layer3 have stride 1 and
    are followed by the operator's own downsampling, which also takes the max-pool's place.

    Args:
        widths: channels of stem and layer1, layer2, layer3.
        block_counts: residual blocks of layer1, layer2, layer3.
        norm: makes a norm + activation.
        paired: the operators downsample too.
    """

    def __init__(self, widths: tuple[int, int, int], block_counts: Sequence[int], norm: Norm, paired: bool) -> None:
        super().__init__()
        first, second, third = widths
        self.paired = paired
        self.stem = ConvNorm(4, first, norm, size=7, stride=1 if paired else 2)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = blocks(first, first, block_counts[0], norm)
        self.layer2 = blocks(first, second, block_counts[1], norm, stride=2, reduces=paired)
        self.layer3 = blocks(second, third, block_counts[2], norm, stride=2, reduces=paired)

    def forward(self, x: Tensor, operators: Sequence[Upsampler]) -> Encoded:
        """x: (N, 4, H, W), H and W multiples of 16; operators: of the decoder stages, deepest first."""
        if not self.paired:
            half = self.stem(x)
            quarter = self.layer1(self.pool(half))
            eighth = self.layer2(quarter)
            return Encoded(half, quarter, eighth, self.layer3(eighth), (None, None, None, None))

        to_eighth, to_quarter, to_half, to_full = operators  # named by the resolution they upsample to
        half, full_guide = to_full.downsample(self.stem(x))
        pooled, half_guide = to_half.downsample(half)
        quarter = self.layer1(pooled)
        eighth, quarter_guide = _reduced(self.layer2, quarter, to_quarter)
        sixteenth, eighth_guide = _reduced(self.layer3, eighth, to_eighth)
        return Encoded(half, quarter, eighth, sixteenth, (eighth_guide, quarter_guide, half_guide, full_guide))


def _reduced(layer: nn.Sequential, x: Tensor, operator: Upsampler) -> tuple[Tensor, Any]:
    first = layer[0]
    assert isinstance(first, BasicBlock)
    y, guide = first.forward_reduced(x, operator.downsample)
    return layer[1:](y), guide
