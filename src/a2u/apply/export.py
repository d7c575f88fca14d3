"""From a checkpoint to a file for others, with a manifest that says what it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig
from torch import nn

from a2u.apply.systems import load_network
from a2u.engine.checkpoint import load_checkpoint, mark_of, task_of, trained_config
from a2u.engine.identity import finished
from a2u.errors import ConfigError
from a2u.models.build import count_parameters
from a2u.models.weights.exported import write_exported
from a2u.models.weights.exported_onnx import write_onnx
from a2u.settings import field, plain, schema

# By the ending of the file: (where to, the network, the manifest but for what only the file's writer knows).
WRITERS: dict[str, Callable[[Path, nn.Module, Mapping[str, Any]], dict[str, Any]]] = {
    ".safetensors": write_exported,
    ".onnx": write_onnx,
}


@schema("export")
@dataclass
class ExportConfig:
    """configs/export.yaml: a checkpoint as a file for others."""

    weights: str = field(MISSING, "a last.pt or best.pt of ours")
    to: str = field(MISSING, "FILE.safetensors or FILE.onnx; its manifest FILE.json comes to lie beside it")


def export(weights: Path, to: Path) -> dict[str, Any]:
    """Write the network of a checkpoint and its manifest; return the manifest (see a2u.models.weights.exported).

    Raises:
        ConfigError: no file has the ending of `to`, or it cannot be written.
        A2UError: the network has no form in that kind of file, or a package is missing that writes it.
        CheckpointError, WeightsError: `weights` is no whole checkpoint of ours, or has NaN or infinite values.
    """
    if to.suffix not in WRITERS:
        raise ConfigError(f"to={to} has an ending of another kind; files are exported as {', '.join(WRITERS)}.")
    checkpoint = load_checkpoint(weights)
    trained = trained_config(weights, checkpoint)
    model = load_network(weights, trained, checkpoint)
    mark, step = mark_of(weights, checkpoint), checkpoint["step"]
    result = _result(weights, trained, mark)
    about = {
        "task": task_of(trained),
        **{key: trained[key] for key in ("table", "row", "scale", "seed")},
        "dataset": trained.dataset.name,
        "steps": step,
        "params": count_parameters(model),
        "metrics": _metrics(result, step) if result else None,
        "hash": mark,
        "config": plain(trained),
        "train_names": checkpoint["train_names"],
        "provenance": {
            **{key: value for key, value in (result["provenance"] if result else {}).items() if key != "steps"},
            "wall_seconds": round(checkpoint["wall_seconds"], 1),
            "commits": checkpoint["commits"],
            "devices": checkpoint.get("devices", []),
        },
    }
    try:
        return WRITERS[to.suffix](to, model, about)
    except OSError as error:
        raise ConfigError(f"to={to} cannot be written: {error.strerror or error}.") from error


def _result(weights: Path, trained: DictConfig, mark: str) -> dict[str, Any] | None:
    """The finished result of the run that a checkpoint is of, where the checkpoint still lies in the run's folder."""
    folder = weights.absolute().parent
    if folder.name != f"seed{trained.seed}-{mark[:8]}":
        return None
    return finished(folder.parent).get(mark)


def _metrics(result: dict[str, Any], step: int) -> dict[str, float] | None:
    """Those of the evaluation after `step` steps; None where the run had none then."""
    epoch_steps = result["provenance"]["steps"] / result["config"]["trainer"]["epochs"]
    for score in result["curve"]:
        if score["epoch"] * epoch_steps == step:
            return {name: value for name, value in score.items() if name != "epoch"}
    return None
