"""The encoder: the first 11 residual blocks of ResNet-34 (Sec. 6.1), input RGB + trimap."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from a2u.models.layers import BasicBlock, ConvNorm, Norm, blocks
from a2u.models.tiled import AT_ONCE, Steps
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

    def forward(self, x: Tensor, operators: Sequence[Upsampler], steps: Steps = AT_ONCE) -> Encoded:
        """x: (N, 4, H, W), H and W multiples of 16; operators: of the decoder stages, deepest first.

        Maps at 1/16 are small enough never to be divided.
        """
        if not self.paired:
            half = steps(self.stem, x, through={self.stem: 1})
            quarter = steps(lambda y: self.layer1(self.pool(y)), half, through={self.pool: 2, self.layer1: 4})
            eighth = steps(self.layer2, quarter, through={self.layer2: 8})
            return Encoded(half, quarter, eighth, self.layer3(eighth), (None, None, None, None))

        to_eighth, to_quarter, to_half, to_full = operators  # named by the resolution they upsample to
        half, full_guide = _downsampled(x, self.stem, to_full, 2, steps)
        pooled, half_guide = _downsampled(half, nn.Identity(), to_half, 4, steps)
        quarter = steps(self.layer1, pooled, through={self.layer1: 4})
        eighth, quarter_guide = _reduced(quarter, self.layer2[0], to_quarter, 8, steps)
        eighth = steps(self.layer2[1:], eighth, through={self.layer2: 8})
        sixteenth, eighth_guide = _reduced(eighth, self.layer3[0], to_eighth, 16, steps)
        sixteenth = self.layer3[1:](sixteenth)
        return Encoded(half, quarter, eighth, sixteenth, (eighth_guide, quarter_guide, half_guide, full_guide))


def _downsampled(x: Tensor, layer: nn.Module, operator: Upsampler, stride: int, steps: Steps) -> tuple[Tensor, Any]:
    """The layer's output, downsampled to that stride, and the guide."""
    through = {layer: stride, operator: stride}
    steps.collect_statistics(operator, layer, x, through=through)
    return steps(lambda y: operator.downsample(layer(y)), x, through=through)


def _reduced(x: Tensor, block: nn.Module, operator: Upsampler, stride: int, steps: Steps) -> tuple[Tensor, Any]:
    """The block's output at that stride, and the guide; the block's first convolution's output is downsampled."""
    assert isinstance(block, BasicBlock)
    through = {block: stride, operator: stride}
    steps.collect_statistics(operator, block.conv1, x, through=through)
    return steps(lambda y: block.forward_reduced(y, operator.downsample), x, through=through)
