"""Start a network from the weights of another: every tensor that fits, by name and shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from a2u.errors import ConfigError
from a2u.files import sha256, user_path
from a2u.models.released import load_released, recognise
from a2u.models.shipped import shipped_weights
from a2u.models.weights.exported import METADATA, read_manifest
from a2u.models.weights.files import WeightsError, differences, fits, read_content, tensors_of, without_prefix

SHIPPED = "checkpoint"  # the model in the package, as a2u.load calls it


@dataclass(frozen=True)
class Start:
    """What a network took from the weights of another."""

    report: str  # how many tensors, then those that do not fit, one per line
    train_names: Sequence[str]  # training foregrounds of these weights, if known


def initial_hash(source: str) -> str:
    """Return the SHA-256 of the file that `init_from` names. Raises ConfigError if there is none."""
    try:
        return sha256(_file(source))
    except OSError as error:
        raise ConfigError(f"init_from={source} cannot be read: {error.strerror or error}.") from error
    except WeightsError as error:
        raise ConfigError(f"init_from={source}: {error}") from error


def start_from(model: nn.Module, source: str, expected: str) -> Start:
    """Load every tensor of a weights file that fits into `model`; the others keep their values.

    Args:
        model: a network of any task.
        source: a last.pt or best.pt of a run, exported weights, a released weights file, or a file of tensors by this
            network's names, "module." before them or not; "checkpoint": the model in the package.
        expected: SHA-256 of the file.

    Raises:
        ConfigError: the file cannot be used, is another one, or none of the network's parameters fits.
    """
    found = initial_hash(source)
    if found != expected:
        raise ConfigError(f"init_from={source} has the SHA-256 {found}; init_from_sha256 expects {expected}.")
    path, own = _file(source), model.state_dict()
    try:
        content = read_content(path)
        given, train_names = without_prefix(tensors_of(content, path), "module."), _train_names(path, content)
    except WeightsError as error:
        raise ConfigError(f"init_from={source}: {error}") from error
    system = None if _fitting(given, own) else recognise(given)
    if system is not None:
        given = load_released(given, system).state_dict()
    fitting = _fitting(given, own)
    parameters = {name: value.numel() for name, value in model.named_parameters()}
    taken = sum(parameters.get(name, 0) for name in fitting)
    if not taken:
        raise ConfigError(
            f"init_from={source}: no tensor in it has name and shape of a parameter of {type(model).__name__}; it "
            f"holds {', '.join(sorted(given)[:3])}, ... ImageNet weights of an encoder go to model.encoder_weights."
        )
    model.load_state_dict(fitting, strict=False)
    left = differences(given, own)
    report = (
        f"init_from={source}: {len(fitting)} of the network's {len(own)} tensors are taken, {taken:,} of its "
        f"{sum(parameters.values()):,} parameters{'; what does not fit:' if left else '.'}"
    )
    return Start("\n  ".join([report, *left]), train_names)


def _file(source: str) -> Path:
    return shipped_weights() if source == SHIPPED else user_path(source)


def _fitting(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in given.items() if name in own and fits(value, own[name])}


def _train_names(path: Path, content: Mapping[str, Any]) -> Sequence[str]:
    """Return the training foregrounds that a checkpoint or the manifest of an export records."""
    if path.suffix != ".safetensors":
        return content.get("train_names", [])
    with safe_open(path, "pt") as file:
        exported = METADATA in (file.metadata() or {})
    return read_manifest(path)["train_names"] if exported else []
