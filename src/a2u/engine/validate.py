"""What numbers of a configuration may be, whatever they are combined with."""

import math
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a2u.config import UntrainedConfig, plain
from a2u.errors import ConfigError

# Least and most, both allowed. Keys that a configuration does not have are passed over.
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, math.inf),
    "erode": (0, 1000),
    "dilate": (0, 1000),
    "tile_above": (0, math.inf),
    "dataset.limit_train": (1, math.inf),
    "dataset.limit_test": (1, math.inf),
    "dataset.cache_mb": (0, math.inf),
    "dataset.decoded_mb": (0, math.inf),
    "dataset.held_out": (0, math.inf),
    "model.dropout": (0, 1),
    "sample.crop": (16, math.inf),
    "sample.combine_probability": (0, 1),
    "sample.resize_probability": (0, 1),
    "sample.resize_to": (1, math.inf),
    "sample.rotation": (0, 180),
    "sample.rotation_min_side": (0, math.inf),
    "sample.shear": (0, 89),
    "sample.trimap_max": (1, math.inf),
    "sample.noise": (0, 255),
    "trainer.epochs": (1, math.inf),
    "trainer.iterations": (1, math.inf),
    "trainer.batch_size": (1, math.inf),
    "trainer.accumulate": (1, math.inf),
    "trainer.evaluate_every": (0, math.inf),
    "trainer.gamma": (0, 1),
    "trainer.momentum": (0, math.inf),
    "trainer.weight_decay": (0, math.inf),
    "runtime.threads": (1, math.inf),
    "runtime.evaluation_threads": (1, math.inf),
    "runtime.workers": (0, math.inf),
    "runtime.log_every": (1, math.inf),
    "runtime.checkpoint_seconds": (0, math.inf),
    "runtime.tile": (1, math.inf),
}
LARGEST = 2**32 - 1  # of any whole number ...
LARGEST_SIZE = 1024  # ... and of those that a network is built from: ranks, kernel sizes, numbers of blocks
POSITIVE = ("trainer.lr", "trainer.encoder_lr_ratio", "trainer.clip_norm", "sample.scale_min")
FOLDERS = ("table", "row", "scale")  # name folders under runtime.outputs


def check_ranges(cfg: DictConfig) -> None:
    """Refuse numbers out of range, and labels that cannot name a folder. Raises ConfigError."""
    given = dict(values(plain(cfg)))
    for key, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key} must be a finite number; got {value}.")
        largest = LARGEST_SIZE if key.startswith(("model.", "upsampler.")) else LARGEST
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, int) and number > largest for number in numbers):
            raise ConfigError(f"{key} must be at most {largest}; got {value}.")
    untrained = "model" in cfg and OmegaConf.get_type(cfg, "model") is UntrainedConfig
    for key, (least, most) in RANGES.items():
        least = 0 if key == "trainer.epochs" and untrained else least
        value = given.get(key)
        if value is not None and not least <= value <= most:
            raise ConfigError(
                f"{key} must be {f'at least {least}' if value < least else f'at most {most}'}; got {value}."
            )
    for key in POSITIVE:
        if given.get(key) is not None and given[key] <= 0:
            raise ConfigError(f"{key} must be positive; got {given[key]}.")
    scales = given.get("sample.scale_min", 1), given.get("sample.scale_max", 1)
    if scales[0] > scales[1]:
        raise ConfigError(f"sample.scale_min must be at most sample.scale_max; got {scales[0]} and {scales[1]}.")
    milestones = given.get("trainer.milestones", [])
    if any(epoch < 1 for epoch in milestones):
        raise ConfigError(f"trainer.milestones must be epochs, each at least 1; got {milestones}.")
    for key in FOLDERS:
        name = given.get(key, "custom")
        if not name or "/" in name or name.startswith("."):
            raise ConfigError(
                f"{key} names a folder of results, so it must not be empty, begin with a dot or hold a slash; got "
                f"{name!r}."
            )


def values(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(key with dots, value) of everything in a configuration."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from values(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
