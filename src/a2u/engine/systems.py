"""What can be evaluated: checkpoints of ours, the authors' weights, systems without weights."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from a2u.config import System, compose
from a2u.engine.checkpoint import CheckpointError, load_checkpoint
from a2u.errors import ConfigError
from a2u.models import build_model
from a2u.models.released import SYSTEMS, load_released, read_weights, variant


@dataclass(frozen=True)
class Loaded:
    """A network ready to predict, and where it comes from."""

    model: nn.Module
    name: str  # of the row, or of the released configuration
    task: str
    description: dict[str, Any]  # for the result
    mark: str  # SHA-256 of the weights file; the system's name where there is none
    train_names: Sequence[str] = ()  # of what it was trained on, where that is known


def load_system(system: System, weights: str | None) -> Loaded:
    """The network of a configuration's `system` and `weights`, in evaluation mode.

    Raises:
        CheckpointError, ReleasedError: the file cannot be used; the message names it.
        ConfigError: a file is missing, or has no meaning.
    """
    if system.name in SYSTEMS or system is System.checkpoint:
        if weights is None:
            what = "a last.pt or best.pt of a run" if system is System.checkpoint else "the authors' weights file"
            raise ConfigError(f"system={system.name} needs weights=FILE, {what}.")
        path = Path(weights)
        return _checkpoint(path) if system is System.checkpoint else _released(system.name, path)
    if weights is not None:
        raise ConfigError(
            f"system={system.name} has nothing to learn, so weights={weights} have no meaning: leave it out."
        )
    model = build_model(compose([f"model={system.name}"])).eval()
    return Loaded(model, system.name, "matting", {"system": system.name}, mark=system.name)


def weights_mark(system: System, weights: str | None) -> str:
    """SHA-256 of the weights file; the system's name where none is given. Raises OSError as reading a file does."""
    return system.name if weights is None else _digest(Path(weights))


def load_network(path: Path, trained: DictConfig, checkpoint: dict[str, Any]) -> nn.Module:
    """The network that `trained` describes, with the weights of `checkpoint`, in evaluation mode.

    Raises:
        CheckpointError: they do not belong together; the message names `path`.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            model = build_model(trained)
        model.load_state_dict(checkpoint["model"])
    except (RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be put into the network its own configuration describes: {error}"
        ) from error
    return model.eval()


def _checkpoint(path: Path) -> Loaded:
    checkpoint = load_checkpoint(path)
    trained = OmegaConf.create(json.loads(checkpoint["config"]))
    model = load_network(path, trained, checkpoint)
    task = trained.get("task", "matting")  # checkpoints of matting once did not say
    description = {"task": task, "steps": checkpoint["step"], "dataset": trained.dataset.name}
    description |= {key: trained[key] for key in ("table", "row", "scale", "seed")}
    return Loaded(model, trained.row, task, description, _digest(path), checkpoint["train_names"])


def _released(system: str, path: Path) -> Loaded:
    model = load_released(read_weights(path), system).float()
    name = variant(model, system)
    return Loaded(model, name, "matting", {"system": system, "variant": name}, _digest(path))


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
