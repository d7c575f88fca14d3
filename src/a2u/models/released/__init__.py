"""Load the weights released with A2U and the systems it is compared with. One file per system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from a2u.models.networks.base import MattingNetwork
from a2u.models.released import a2u, context_aware, dim, gca, indexnet_matting
from a2u.models.weights.files import WeightsError, differences, enumerated, read_weights, without_prefix

__all__ = ["SYSTEMS", "ReleasedError", "load_released", "read_weights", "variant"]


class ReleasedError(WeightsError):
    """The tensors are not those of the system."""


def plain_names(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without a leading "module." in their names and without batch counters."""
    named = without_prefix(given, "module.")
    return {name: value for name, value in named.items() if not name.endswith("num_batches_tracked")}


@dataclass(frozen=True)
class ReleasedSystem:
    """How weights of a released program are loaded into a network of ours."""

    network: Callable[[Mapping[str, Tensor]], MattingNetwork]  # the one that these tensors fit, by names and shapes
    sources: Callable[[nn.Module], dict[str, list[str]]]  # our tensor -> theirs, several are stacked
    # (their name, all of theirs) -> our value, where it is another
    adjust: Callable[[str, Mapping[str, Tensor]], Tensor] = lambda name, given: given[name]
    variant: Callable[[nn.Module], str] | None = None  # which of several released configurations a network is
    prepare: Callable[[Mapping[str, Any]], dict[str, Tensor]] = plain_names  # their values as tensors in our layout


SYSTEMS = {
    "a2u": ReleasedSystem(a2u.network, a2u.sources, a2u.adjust, a2u.variant),
    "indexnet_matting": ReleasedSystem(indexnet_matting.network, indexnet_matting.sources),
    "gca": ReleasedSystem(gca.network, gca.sources),
    "gca_baseline": ReleasedSystem(gca.network_without_attention, gca.sources),
    "dim": ReleasedSystem(dim.network, dim.sources),
    "context_aware": ReleasedSystem(context_aware.network, context_aware.sources, prepare=context_aware.prepare),
}


def load_released(weights: Mapping[str, Any] | str | Path, system: str = "a2u") -> MattingNetwork:
    """Load the network of a released weights file, ready to predict.

    Args:
        weights: tensors by their released names, a leading "module." is dropped; for context_aware arrays in
            TensorFlow's layout. Or a file of them (`read_weights`).
        system: whose program the file belongs to: a2u (both released configurations), indexnet_matting (index blocks
            of any width), gca, gca_baseline, dim, context_aware (with and without colour).

    Returns:
        Network (N, 4, H, W) -> (N, 1, H, W) in evaluation mode, in the dtype of the state dict; the output is not
        clamped. Input: RGB normalised with the ImageNet mean and deviation, and trimap / 255.

    Raises:
        ReleasedError: another system, or tensors that are missing, unknown, of another shape or not floating-point.
        WeightsError: the file cannot be read.
    """
    if system not in SYSTEMS:
        raise ReleasedError(f"released weights are known for system {', '.join(SYSTEMS)}; got {system!r}.")
    how = SYSTEMS[system]
    given = how.prepare(read_weights(Path(weights)) if isinstance(weights, str | Path) else weights)
    with torch.random.fork_rng(devices=[]):
        model = how.network(given)
    found, sources = differences(given, _wanted(how, model)), how.sources(model)
    if found:
        raise ReleasedError(
            f"these are not the tensors of the released network of system={system}: {enumerated(found)}."
        )
    state = {ours: torch.cat([how.adjust(name, given) for name in theirs]) for ours, theirs in sources.items()}
    model.to(next(iter(state.values())).dtype).load_state_dict(state, strict=False)  # but for the batch counters
    return model.eval()


def recognise(weights: Mapping[str, Tensor]) -> str | None:
    """Return the system whose released network has these tensors, by names and shapes; None if there is none."""
    for system, how in SYSTEMS.items():
        given = how.prepare(weights)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = how.network(given)
        if given and not differences(given, _wanted(how, model)):
            return system
    return None


def _wanted(how: ReleasedSystem, model: nn.Module) -> dict[str, Tensor]:
    """Return a released network's tensors by their names, without values."""
    own, wanted = model.state_dict(), dict[str, Tensor]()
    for ours, theirs in how.sources(model).items():
        first, *rest = own[ours].shape
        wanted |= dict.fromkeys(theirs, torch.empty(first // len(theirs), *rest, device="meta"))
    return wanted


def variant(model: nn.Module, system: str) -> str:
    """Return which released configuration of a system a network is: "a2u_unshared" if U and V are; else `system`."""
    tell = SYSTEMS[system].variant
    return tell(model) if tell else system
