"""Evaluate a network without what its operators read off the picture."""

from enum import Enum

from torch import nn

from a2u.errors import ConfigError
from a2u.upsampling import Upsampler
from a2u.upsampling.content import Content, readers


class Ablation(Enum):
    """What is taken away: nothing; every kernel, index map, offset and gate, for its mean; the picture's own guides."""

    none = 1
    mean_kernel = 2
    other_guide = 3


def check_ablation(ablate: Ablation, model: nn.Module, tile: int | None = None) -> None:
    """Refuse what cannot be taken away from a network. Raises ConfigError.

    tile: of the evaluation; None: whole images.
    """
    if ablate is Ablation.none:
        return
    names = {part.name for part in model.modules() if isinstance(part, Upsampler)}
    what = " and ".join(sorted(names)) or f"{type(model).__name__}, which has no upsampling operator,"
    if ablate is Ablation.mean_kernel and not any(isinstance(part, Content) for part in model.modules()):
        raise ConfigError(
            f"ablate=mean_kernel: {what} has no kernel, index map, offset or gate that its mean could replace."
        )
    if ablate is Ablation.other_guide and not readers(model):
        raise ConfigError(f"ablate=other_guide: {what} reads no guide.")
    if tile is not None:
        raise ConfigError(f"ablate={ablate.name} takes an image whole: leave out runtime.tile={tile}.")
