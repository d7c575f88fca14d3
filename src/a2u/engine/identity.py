"""Which run is which: the hash of a configuration, and the places a run writes to."""

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a2u.config import plain

# What a run is called, where it writes and how fast: not what it computes. The task is told by the network.
LABELS = ("task", "table", "row", "runtime")
# Of a dataset: where it is kept and how it came there, not what it is.
CACHES = ("cache", "cache_mb", "decoded", "decoded_mb", "download")
# Newer than earlier runs, which are what they were where these have the values that change nothing.
LATER: dict[str, dict[str, Any]] = {
    "model": {"encoder": "resnet34"},
    "dataset": {"trimap": None, "split": "train"},
    "sample": {"noise": 0.0},
    "upsampler": {"groups": 1, "dilation": 1},  # of CARAFE
    "trainer": {"accumulate": 1, "precision": "float32", "clip_norm": None},
}


def identity(cfg: DictConfig, seed: bool = True) -> str:
    """SHA-256 of the resolved configuration without LABELS and CACHES, so that a row of several tables is one run.

    Without `seed` it is the identity of a variant, the same for all its seeds.
    """
    relevant: dict[str, Any] = {key: value for key, value in plain(cfg).items() if key not in LABELS}
    if not seed:
        del relevant["seed"]
    relevant["dataset"] = dataset_identity(relevant["dataset"])
    for node in ("sample", "trainer", "upsampler"):
        relevant[node] = _without_later(relevant[node], node)
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def dataset_identity(dataset: dict[str, Any]) -> dict[str, Any]:
    """What the resolved `dataset` of a configuration says of the dataset's contents.

    A root counts as the absolute path it leads to, however it is spelled.
    """
    relevant = {key: value for key, value in dataset.items() if key not in CACHES}
    relevant = _without_later(relevant, "dataset")
    if "download" in dataset:
        relevant["root"] = None  # these files' contents are verified, wherever they lie
    if relevant["root"] is not None:
        relevant["root"] = os.path.abspath(os.path.expanduser(relevant["root"]))
    return relevant


def _without_later(node: dict[str, Any], name: str) -> dict[str, Any]:
    later = LATER[name]
    return {key: value for key, value in node.items() if key not in later or value != later[key]}


@dataclass(frozen=True)
class Places:
    """Files of one run, under runtime.outputs."""

    result: Path  # <table>/<dataset>/<scale>/<row>/seed<k>.json
    folder: Path  # beside it: checkpoints, logs, per-image metrics; named by seed and hash

    @classmethod
    def of(cls, cfg: DictConfig) -> "Places":
        variant = f"{cfg.upsampler.name}-{identity(cfg, seed=False)[:8]}"  # variants do not overwrite each other
        row = cfg.row if cfg.row != "custom" else variant
        parent = Path(cfg.runtime.outputs) / cfg.table / cfg.dataset.name / cfg.scale / row
        return cls(parent / f"seed{cfg.seed}.json", parent / f"seed{cfg.seed}-{identity(cfg)[:8]}")

    @property
    def last(self) -> Path:
        return self.folder / "last.pt"

    @property
    def earlier(self) -> Path:
        """The checkpoint before the last one."""
        return self.folder / "earlier.pt"

    @property
    def damaged(self) -> Path:
        """Where a last checkpoint that cannot be read is put aside."""
        return self.folder / "damaged.pt"

    @property
    def replaced(self) -> Path:
        """Folder of the result that a forced run replaces, and of its checkpoints."""
        return self.folder / "replaced"

    @property
    def diverged(self) -> Path:
        return self.folder / "diverged.pt"

    @property
    def best(self) -> Path:
        return self.folder / "best.pt"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"


def finished(outputs: Path, files: str = "seed*.json") -> dict[str, dict[str, Any]]:
    """Every finished result under `outputs`, by hash; of several the latest. Damaged files are passed over.

    files: a pattern of their names.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(outputs.rglob(files)):
        result = read_result(path)
        if result is None:
            continue
        mark, started = result["hash"], result["provenance"]["started"]
        if mark not in found or started > found[mark]["provenance"]["started"]:
            found[mark] = result
    return found


def read_result(path: Path) -> dict[str, Any] | None:
    """A result with its `path`; None, and a warning in the log, where the file is not one."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        result["hash"], result["provenance"]["started"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        logging.getLogger(__name__).warning("%s is not a result and is passed over (%r)", path, error)
        return None
    return result | {"path": str(path)}
