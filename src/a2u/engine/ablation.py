"""Evaluate a network without what its operators read off the picture."""

from collections.abc import Callable
from contextlib import nullcontext
from enum import Enum
from typing import TypeVar

from torch import nn

from a2u.data.types import Composites
from a2u.errors import ConfigError, DataError
from a2u.upsampling import Upsampler
from a2u.upsampling.content import Content, mean_content, readers, with_guides_of

Value = TypeVar("Value")


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


def ablated(ablate: Ablation, model: nn.Module, own: Callable[[], Value], other: Callable[[], object]) -> Value:
    """Return `own()`, which runs the network once, without what `ablate` takes away; `other()` gives the other guides.

    other: runs the network once on another picture of the same size; not called unless guides are exchanged.
    """
    if ablate is Ablation.other_guide:
        return with_guides_of(model, other, own)
    with mean_content(model) if ablate is Ablation.mean_kernel else nullcontext():
        return own()


def next_of_same_size(test: Composites) -> dict[int, int]:
    """Return for each case the next one, after the last the first, with an image of the same size."""
    of_size: dict[tuple[int, ...], list[int]] = {}
    names = []
    for number in range(len(test)):
        case = test[number]
        names.append(case.name)
        of_size.setdefault(case.trimap.shape, []).append(number)
    for size, numbers in of_size.items():
        if len(numbers) == 1:
            raise DataError(
                f"ablate=other_guide needs two test images of each size; {names[numbers[0]]!r} alone is "
                f"{size[1]} x {size[0]}."
            )
    return {number: same[place - len(same) + 1] for same in of_size.values() for place, number in enumerate(same)}
