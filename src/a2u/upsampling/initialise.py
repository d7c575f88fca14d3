"""Initial values, the same for operators and networks (spec: released program)."""

from torch import Tensor, nn

LEAKY_SLOPE = 0.01  # of every leaky ReLU in the paper's networks
_GAIN = nn.init.calculate_gain("leaky_relu", LEAKY_SLOPE)


def xavier_(weight: Tensor) -> Tensor:
    """Xavier-normal with the leaky-ReLU gain, in place. weight: (out, in, h, w)."""
    return nn.init.xavier_normal_(weight, gain=_GAIN)


def initialise(module: nn.Module) -> None:
    """Convolutions Xavier-normal with biases 0, normalisations scale 1 and shift 0; the rest is left alone."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            xavier_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
