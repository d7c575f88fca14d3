"""Export a checkpoint to a file whose metadata describes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from torch import nn

from a2u.apply.systems import load_network
from a2u.engine.checkpoint import load_checkpoint, trained_config
from a2u.engine.identity import read_result
from a2u.errors import ConfigError
from a2u.models.build import count_parameters
from a2u.models.weights.exported import write_exported
from a2u.models.weights.exported_onnx import write_onnx
from a2u.settings import field, plain, schema

# By the ending of the file: (path, network, what is known of it) -> manifest.
WRITERS: dict[str, Callable[[Path, nn.Module, Mapping[str, Any]], dict[str, Any]]] = {
    ".safetensors": write_exported,
    ".onnx": write_onnx,
}


@schema("export")
@dataclass
class ExportConfig:
    """configs/export.yaml: export a checkpoint."""

    weights: str = field(MISSING, "a last.pt or best.pt of ours")
    to: str = field(MISSING, "FILE.safetensors or FILE.onnx")


def export(weights: Path, to: Path) -> dict[str, Any]:
    """Write the network of a checkpoint to `to`; return its manifest (a2u.models.weights.exported).

    Raises:
        ConfigError: `to` has another ending than .safetensors or .onnx, or cannot be written.
        A2UError: the network has no form in that kind of file, or a package is missing that writes it.
        CheckpointError, WeightsError: `weights` is not a whole checkpoint, or has NaN or infinite values.
    """
    if to.suffix not in WRITERS:
        raise ConfigError(f"to={to} has an ending of another kind; files are exported as {', '.join(WRITERS)}.")
    checkpoint = load_checkpoint(weights)
    trained = trained_config(weights, checkpoint)
    model = load_network(weights, trained, checkpoint)
    hash, step = checkpoint["hash"], checkpoint["step"]
    result = _result(weights, hash)
    about = {
        **{key: trained[key] for key in ("task", "table", "row", "scale", "seed")},
        "dataset": trained.dataset.name,
        "steps": step,
        "params": count_parameters(model),
        "metrics": _metrics(result, step) if result else None,
        "hash": hash,
        "config": plain(trained),
        "train_names": checkpoint["train_names"],
        "provenance": {
            **{key: value for key, value in (result["provenance"] if result else {}).items() if key != "steps"},
            "wall_seconds": round(checkpoint["wall_seconds"], 1),
            "commits": checkpoint["commits"],
            "devices": checkpoint["devices"],
        },
    }
    try:
        return WRITERS[to.suffix](to, model, about)
    except OSError as error:
        raise ConfigError(f"to={to} cannot be written: {error.strerror or error}.") from error


def _result(weights: Path, hash: str) -> dict[str, Any] | None:
    """Return the finished result of a checkpoint's run, where the checkpoint is still in the run's folder."""
    result = read_result(weights.with_name("result.json"))
    return result if result and result["hash"] == hash else None


def _metrics(result: dict[str, Any], step: int) -> dict[str, float] | None:
    """Return the metrics evaluated after `step` steps; None where there was no evaluation then."""
    epoch_steps = result["provenance"]["steps"] / result["config"]["trainer"]["epochs"]
    for score in result["curve"]:
        if score["epoch"] * epoch_steps == step:
            return {name: value for name, value in score.items() if name != "epoch"}
    return None
