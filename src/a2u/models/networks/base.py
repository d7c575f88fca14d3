"""What every network promises; training and evaluation ask the network, not its name."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from a2u.settings import field
from a2u.upsampling.base import Upsampler

MOST_WIDTH = 16  # in units of the network as published


@dataclass
class ModelConfig:
    """Keys of `model` that no constructor has."""

    name: str = "???"


@dataclass
class MattingModelConfig(ModelConfig):
    """Keys of a network for mattes that no constructor has."""

    encoder_weights: str = field(
        "none", "none, imagenet (torchvision's, downloaded) or a file (.pth, .safetensors) by torchvision's names"
    )


class Network(nn.Module):
    """A whole network: a class with a `name`, which configs call it, and a typed constructor, which is its config.

    A constructor with the parameters `upsampler` and `options`, an operator's name and options, takes an upsampling
    operator from the config; every other parameter is a key of `model`. Impossible values raise a ValueError that names
    the key.
    """

    name: ClassVar[str] = ""
    settings: ClassVar[type[ModelConfig]] = ModelConfig
    trained: ClassVar[bool] = True  # False: there is nothing to learn
    later_options: ClassVar[tuple[str, ...]] = ()  # keys newer than published results, without effect at their default

    def __init__(self) -> None:  # no keys
        super().__init__()


class MattingNetwork(Network):
    """(N, 4, H, W) -> alpha (N, 1, H, W), not clamped.

    Input channels: RGB normalised with the ImageNet mean and standard deviation, and trimap / 255. A network that is
    pretrained calls that part `encoder`, which may learn at a rate of its own.
    """

    settings = MattingModelConfig
    multiple: ClassVar[int] = 1  # H and W have to be multiples of it
    fit: ClassVar[Literal["pad", "resize"]] = "pad"  # how its authors bring an image to such a size in evaluation

    # It adapts the trimap, too, and is trained by adaptation_loss: `forward(x, for_loss=True)` gives what that reads
    adapts_trimap: ClassVar[bool] = False

    # Why the network cannot be computed in tiles; None: it can, since it is a MattingUNet, whose steps a2u.models.tiled
    # takes one by one, or it has no parameters and takes an image of any size whole.
    indivisible: str | None = "its computation is not laid out for that"

    def check_packages(self) -> None:
        """Raise A2UError if a package that the network needs is not installed."""

    def last_operator(self) -> Upsampler | None:
        """Return the operator of the last decoder stage, whose kernels are drawn; None if there is none to draw."""
        return None

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless x is a batch this network takes."""
        if x.dim() != 4 or x.shape[1] != 4 or x.shape[2] % self.multiple or x.shape[3] % self.multiple:
            raise ValueError(
                f"the matting network takes (N, 4, H, W), RGB and trimap, with H and W multiples of {self.multiple}; "
                f"got {tuple(x.shape)}."
            )


def scaled(width: float, *channels: int) -> list[int]:
    """Return channel counts times `width`. Raises ValueError unless all are whole numbers."""
    counts = [width * count for count in channels]
    if not 0 < width <= MOST_WIDTH or any(count != int(count) for count in counts):
        raise ValueError(
            f"model.width={width} must leave whole numbers of channels of {', '.join(map(str, channels))}; "
            "take 1, 1/2, 1/4 or 1/8."
        )
    return [int(count) for count in counts]
