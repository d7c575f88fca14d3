"""Small configurations and a small network."""

from pathlib import Path

from omegaconf import DictConfig

from a2u.config import compose
from a2u.engine.run import make_model
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
    """A small network as it starts, exported to `path` with a manifest."""
    cfg = compose(["scale=smoke", "upsampler=a2u", *overrides])
    model = make_model(cfg)
    about = {key: cfg[key] for key in ("table", "row", "scale", "seed")}
    about |= {"task": cfg.task.name, "dataset": cfg.dataset.name, "hash": "", "config": plain(cfg), "metrics": None}
    about |= {"steps": 0, "params": count_parameters(model), "provenance": {}, "train_names": []}
    write_exported(path, model, about)
    return path
