"""Load what can be evaluated: our checkpoints and exported weights, the authors' weights, systems without weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import nn

from a2u.engine.checkpoint import CheckpointError, load_checkpoint, trained_config
from a2u.errors import ConfigError
from a2u.files import sha256
from a2u.models.build import build_trained
from a2u.models.networks import networks
from a2u.models.released import SYSTEMS, load_released, variant
from a2u.models.weights.exported import network_of, read_manifest
from a2u.models.weights.files import check_finite, read_weights


class System(Enum):
    """A checkpoint of this program, released weights, a system without weights, or the best for a photograph (auto)."""

    checkpoint = 1
    a2u = 2
    indexnet_matting = 3
    gca = 4
    gca_baseline = 5
    dim = 6
    closed_form = 7
    knn = 8
    trimap_only = 9
    context_aware = 10
    auto = 11


WITHOUT_WEIGHTS = [system.name for system in System if system.name not in ("auto", "checkpoint", *SYSTEMS)]


@dataclass(frozen=True)
class Loaded:
    """A network ready to predict, and where it comes from."""

    model: nn.Module
    name: str  # of the row, or of the released configuration
    task: str
    description: dict[str, Any]  # for the result
    weights_hash: (
        str  # SHA-256 of the weights (exported ones without their metadata); the system's name where there are none
    )
    train_names: Sequence[str] = ()  # of the foregrounds it was trained on, if known


def load_system(system: System, weights: str | None) -> Loaded:
    """Return the network of a configuration's `system` and `weights`, in evaluation mode.

    Raises:
        WeightsError: the file cannot be used; the message names it.
        ConfigError: the system needs weights and none were given, or the other way round.
    """
    if system.name in SYSTEMS or system is System.checkpoint:
        if weights is None:
            ours = "a last.pt or best.pt of a run, or an exported .safetensors file"
            what = ours if system is System.checkpoint else "the authors' weights file"
            raise ConfigError(f"system={system.name} needs weights=FILE, {what}.")
        path = Path(weights)
        if system is not System.checkpoint:
            return _released(system.name, path)
        return _exported(path) if path.suffix == ".safetensors" else _checkpoint(path)
    if system is System.auto:
        raise ConfigError("system=auto chooses for a photograph to be matted: name a system, such as closed_form.")
    if weights is not None:
        raise ConfigError(f"system={system.name} has no weights: leave out weights={weights}.")
    model = networks()[system.name]().eval()
    return Loaded(model, system.name, "matting", {"system": system.name}, weights_hash=system.name)


def weights_hash(system: System, weights: str | None) -> str:
    """Return the `Loaded.weights_hash` of a system without building its network. Raises OSError or WeightsError."""
    if weights is None:
        return system.name
    path = Path(weights)
    exported = system is System.checkpoint and path.suffix == ".safetensors"
    hash: str = read_manifest(path)["sha256"] if exported else sha256(path)
    return hash


def load_network(path: Path, trained: DictConfig, checkpoint: dict[str, Any]) -> nn.Module:
    """Return the network that `trained` describes with the weights of `checkpoint`, in evaluation mode.

    Raises:
        CheckpointError: they do not belong together; the message names `path`.
        WeightsError: the weights hold NaN or infinite values.
    """
    try:
        model = build_trained(trained, checkpoint["model"])
    except ValueError as error:
        raise CheckpointError(
            f"{path} cannot be put into the network its own configuration describes: {error}"
        ) from error
    check_finite(checkpoint["model"], path)
    return model


def _checkpoint(path: Path) -> Loaded:
    checkpoint = load_checkpoint(path)
    trained = trained_config(path, checkpoint)
    model = load_network(path, trained, checkpoint)
    description = {"task": trained.task, "steps": checkpoint["step"], "dataset": trained.dataset.name}
    description |= {key: trained[key] for key in ("table", "row", "scale", "seed")}
    return Loaded(model, trained.row, trained.task, description, sha256(path), checkpoint["train_names"])


def _exported(path: Path) -> Loaded:
    manifest = read_manifest(path)
    keys = ("task", "steps", "dataset", "table", "row", "scale", "seed")
    description = {key: manifest[key] for key in keys}
    model, names = network_of(path, manifest), manifest["train_names"]
    return Loaded(model, manifest["row"], manifest["task"], description, manifest["sha256"], names)


def _released(system: str, path: Path) -> Loaded:
    model = load_released(read_weights(path), system).float()
    name = variant(model, system)
    return Loaded(model, name, "matting", {"system": system, "variant": name}, sha256(path))
