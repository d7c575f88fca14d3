"""The image reconstruction network of Sec. 5 and Appendix A (Table 1): no skip connection, the operator decides."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from a2u.models.networks.base import ModelConfig, Network
from a2u.models.operators import DEFAULT_OPERATOR, build_operators
from a2u.upsampling import Upsampler
from a2u.upsampling.initialise import Scheme, initialise

CHANNELS = (32, 64, 128)  # before each downsampling: at the input's size, 1/2 and 1/4
BOTTLENECK = 256  # at 1/8


@dataclass
class ReconstructionModelConfig(ModelConfig):
    """Keys of a network for small pictures that no constructor has: none."""


class ReconstructionNet(Network):
    """C(32)-D-C(64)-D-C(128)-D-C(256)-C(128)-U-C(64)-U-C(32)-U-C(1): (N, 1, H, W) -> (N, 1, H, W).

    H and W are multiples of 8, values in 0..1. C(k) is a 3x3 convolution, batch norm and ReLU; D downsamples by 2, U
    is the operator under test. The picture passes the map at 1/8 alone; what else reaches the decoder comes through
    the operator's guide: the feature just before each D (32 channels at full size, 64 at 1/2, 128 at 1/4), or what
    the operator's own `downsample` returned, where it is paired.

    Args:
        upsampler: the operator's name.
        options: the operator's options.
        downsampling: D of operators that are not paired. "max_pool": 2x2; "conv": 3x3, stride 2, padding 1, bare.
        last_activation: C(1) is taken literally, with batch norm and ReLU; False: a bare convolution with bias.
        initial_values: of network and operator; "pytorch" as PyTorch's layers start, "xavier" as the matting network.

    Raises:
        ValueError: an impossible option.
    """

    name = "reconstruction"
    settings = ReconstructionModelConfig

    def __init__(
        self,
        upsampler: str = DEFAULT_OPERATOR,
        options: dict[str, Any] | None = None,
        downsampling: Literal["max_pool", "conv"] = "max_pool",
        last_activation: bool = True,
        initial_values: Scheme = "pytorch",
    ) -> None:
        super().__init__()
        operators = build_operators(upsampler, options, CHANNELS, initial_values)
        paired = operators[0].paired
        if paired and downsampling != "max_pool":
            raise ValueError(
                f"{upsampler} downsamples by itself, so model.downsampling={downsampling} would have no effect: "
                "leave it out."
            )
        first, second, third = CHANNELS
        self.encoder = nn.ModuleList([block(1, first), block(first, second), block(second, third)])
        self.pools = nn.ModuleList(nn.Identity() if paired else pool(downsampling, count) for count in CHANNELS)
        self.bottleneck = nn.Sequential(block(third, BOTTLENECK), block(BOTTLENECK, third))
        last = block(first, 1) if last_activation else nn.Conv2d(first, 1, kernel_size=3, padding=1)
        self.decoder = nn.ModuleList([block(third, second), block(second, first), last])
        initialise(self, initial_values)
        self.upsamplers = nn.ModuleList(operators)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != 1 or x.shape[2] % 8 or x.shape[3] % 8:
            raise ValueError(
                f"the reconstruction network takes (N, 1, H, W) with H and W multiples of 8; got {tuple(x.shape)}."
            )
        guides = []
        for encode, halve, operator in zip(self.encoder, self.pools, self.upsamplers, strict=True):
            assert isinstance(operator, Upsampler)
            feature = encode(x)
            x, guide = operator.downsample(feature) if operator.paired else (halve(feature), feature)
            guides.append(guide)
        x = self.bottleneck(x)  # (N, 128, H/8, W/8)
        for decode in self.decoder:
            operator, guide = self.upsamplers[len(guides) - 1], guides.pop()
            x = decode(operator(x, guide))
        return x


def block(channels: int, out: int) -> nn.Sequential:
    """C(out)."""
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


def pool(kind: str, channels: int) -> nn.Module:
    """D."""
    return nn.MaxPool2d(2) if kind == "max_pool" else nn.Conv2d(channels, channels, 3, stride=2, padding=1)
