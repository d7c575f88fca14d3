"""Measure whether an operator's kernels are alive: not saturated, and not the same at every position."""

import logging
import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from a2u.upsampling import Upsampler
from a2u.upsampling.content import Content, mean_over_positions, removed_at_the_end

SATURATED = 4.0  # beyond which a sigmoid has lost 93% of its slope
CONSTANT = 0.01  # of the mean weight: a smaller deviation over positions is none

Health = dict[str, dict[str, float]]  # operator's name in the network -> measure -> value
log = logging.getLogger(__name__)


@contextmanager
def watched(network: nn.Module) -> Iterator[Health]:
    """Measure the operators while the network runs inside; the dictionary is filled at the end.

    Of each operator with content, one by name:

    saturated: share of the values beyond ±4 that its sigmoids are given; only of one with sigmoids.
    over_positions: standard deviation over the positions of an image, divided by the mean absolute value; of several
        kinds of content (kernels, offsets, gates) the largest.
    over_window: the same over the window of a kernel, and entropy: of a kernel, 1 where all weights are equal; only of
        one with kernels of several weights.
    """
    operators = {name: part for name, part in network.named_modules() if isinstance(part, Upsampler)}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in operators}

    def note(name: str, measure: str, value: float) -> None:
        found[name].setdefault(measure, []).append(value)

    def watch(name: str, operator: Upsampler, part: nn.Module) -> Any:
        def saturation(sigmoid: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
            note(name, "saturated", float((given[0].abs() > SATURATED).double().mean()))

        def variation(layer: nn.Module, given: tuple[Any, ...], maps: Tensor) -> None:
            maps = maps.double()
            note(name, "over_positions", _relative(maps - mean_over_positions(maps, *given[1:]), maps))
            if operator.has_kernels and maps.dim() == 5 and maps.shape[1] > 1:  # (N, k*k, r*r, h, w)
                note(name, "over_window", _relative(maps - maps.mean(dim=1, keepdim=True), maps))
                note(name, "entropy", _entropy(maps))

        return part.register_forward_hook(saturation if isinstance(part, nn.Sigmoid) else variation)

    hooks = [
        watch(name, operator, part)
        for name, operator in operators.items()
        for part in operator.modules()
        if isinstance(part, nn.Sigmoid | Content)
    ]
    health: Health = {}
    with removed_at_the_end(hooks):
        yield health
    for name, measures in found.items():
        if not measures:
            continue
        health[name] = {
            measure: max(values) if measure == "over_positions" else statistics.fmean(values)
            for measure, values in measures.items()
        }


def warn_of_constant_kernels(health: Health, operator: str) -> None:
    """Log in a sentence which of a network's operators have the same kernels at every position."""
    constant = [name for name, measures in health.items() if measures.get("over_positions", math.inf) < CONSTANT]
    if constant:
        log.warning(
            "The content of %s (kernels, index maps, offsets, gates) is constant in %s of %s: on the first test image "
            "it varies by less than %g%% of its mean from position to position.",
            operator,
            ", ".join(constant),
            len(health),
            100 * CONSTANT,
        )


def _relative(deviation: Tensor, maps: Tensor) -> float:
    size = float(maps.abs().mean())
    return float(deviation.square().mean().sqrt()) / size if size > 0 else 0.0


def _entropy(kernel: Tensor) -> float:
    """The mean entropy of kernels of positive weights (dim 1), in units of that of equal weights."""
    share = kernel.clamp(min=1e-12)
    share = share / share.sum(dim=1, keepdim=True)
    return float(-(share * share.log()).sum(dim=1).mean()) / math.log(kernel.shape[1])
