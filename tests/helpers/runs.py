"""Small configurations and a small network."""

import json
from pathlib import Path

from omegaconf import DictConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from a2u.config import compose
from a2u.engine.prepare import make_model
from a2u.models.build import count_parameters
from a2u.models.weights.exported import write_exported
from a2u.settings import plain


def smoke(outputs: Path, *overrides: str) -> DictConfig:
    """A smoke run that writes under `outputs` alone."""
    return compose(
        [
            "scale=smoke",
            f"runtime.outputs='{outputs}'",
            f"dataset.cache='{outputs / 'cache'}'",
            "runtime.progress=false",
            "runtime.threads=1",
            "runtime.device=cpu",
            "runtime.workers=0",
            *overrides,
        ]
    )


def exported_untrained(path: Path, *overrides: str) -> Path:
    """Export a small network with its initial values to `path`."""
    cfg = compose(["scale=smoke", "upsampler=a2u", *overrides])
    model = make_model(cfg)
    about = {key: cfg[key] for key in ("table", "row", "scale", "seed")}
    about |= {"task": cfg.task.name, "dataset": cfg.dataset.name, "hash": "", "config": plain(cfg), "metrics": None}
    about |= {"steps": 0, "params": count_parameters(model), "provenance": {}, "train_names": []}
    write_exported(path, model, about)
    return path


def change_manifest(path: Path, **values: object) -> None:
    """Put other values into the manifest of an exported file."""
    with safe_open(path, "pt") as file:
        manifest = json.loads(file.metadata()["a2u"])
    save_file(load_file(path), path, {"a2u": json.dumps(manifest | values)})
