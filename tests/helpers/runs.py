"""Small configurations and a small network."""

import json
import os
from functools import cache
from pathlib import Path

from omegaconf import DictConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from a2u.config import compose
from a2u.engine.prepare import make_model
from a2u.models.build import count_parameters
from a2u.models.weights.exported import write_exported
from a2u.settings import plain


def generated() -> str:
    """Override for the layers that a session generates once, for all of its tests and processes."""
    return f"dataset.cache='{os.environ['GENERATED']}'"


@cache
def _smoke(*overrides: str) -> DictConfig:
    here = ["runtime.progress=false", "runtime.threads=1", "runtime.device=cpu", "runtime.workers=0"]
    return compose(["scale=smoke", generated(), *here, *overrides])


def smoke(outputs: Path, *overrides: str) -> DictConfig:
    """A smoke run that writes under `outputs` alone."""
    cfg = _smoke(*overrides).copy()
    cfg.runtime.outputs = str(outputs)
    return cfg


def table_words(outputs: Path, *further: str) -> list[str]:
    """Command line of a table at smoke scale, made in this process: Table 2, unless `further` says which."""
    table = [] if any(word.startswith("table=") for word in further) else ["table=table2"]
    here = ["launcher=inline", "scale=smoke", "runtime.threads=1", "runtime.device=cpu"]
    return [*table, *here, f"runtime.outputs='{outputs}'", generated(), *further]


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
