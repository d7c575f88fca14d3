"""Initial values, the same for operators and networks."""

import math
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

LEAKY_SLOPE = 0.01  # of every leaky ReLU in the paper's networks
_GAIN = nn.init.calculate_gain("leaky_relu", LEAKY_SLOPE)

Scheme = Literal["xavier", "pytorch"]


def xavier_(weight: Tensor) -> Tensor:
    """Xavier-normal with the leaky-ReLU gain (released program), in place. weight: (out, in, h, w)."""
    if weight.is_meta:  # no values; PyTorch would import its compiler, which takes a second
        return weight
    return nn.init.xavier_normal_(weight, gain=_GAIN)


def uniform_(weight: Tensor) -> Tensor:
    """PyTorch's own for convolutions: uniform in ± 1 / sqrt(fan-in), in place. weight: (out, in, h, w)."""
    return nn.init.kaiming_uniform_(weight, a=math.sqrt(5))


DRAWS: dict[str, Callable[[Tensor], Tensor]] = {"xavier": xavier_, "pytorch": uniform_}


def draw_convolutions(module: nn.Module, draw: Callable[[Tensor], Any]) -> None:
    """Fill the weight of every convolution in `module` by `draw`, in place, and set biases to 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and not part.weight.is_meta:
            draw(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class FreeKernel(nn.Module):
    """A part whose free parameters are drawn as a convolution's are, though it is none."""

    def reset_parameters(self) -> None:
        initialise(self)

    def draw(self, draw: Callable[[Tensor], Tensor]) -> None:
        """Fill the parameters by `draw`, which takes (out, in, h, w)."""
        raise TypeError(f"{type(self).__name__} does not define draw().")


def initialise(module: nn.Module, scheme: Scheme = "xavier") -> None:
    """Draw every convolution and free kernel, set normalisations to scale 1 and shift 0; leave the rest alone.

    An operator that keeps its initial values is left alone with all its parts.

    Args:
        module: an operator, a network, or a part of one.
        scheme: "xavier": `xavier_`, biases 0. "pytorch": weights and biases as PyTorch's layers start.
    """
    if getattr(module, "keeps_initial_values", False):
        return
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        if scheme == "pytorch":
            module.reset_parameters()
        else:
            xavier_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, FreeKernel):
        module.draw(DRAWS[scheme])
    for part in module.children():
        initialise(part, scheme)
