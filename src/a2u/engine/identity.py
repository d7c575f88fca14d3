"""Which run is which: the hash of a configuration, and the places a run writes to."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a2u.config import plain

LABELS = ("table", "row", "runtime")  # what a run is called, where it writes and how fast: not what it computes


def identity(cfg: DictConfig) -> str:
    """SHA-256 of the resolved configuration without LABELS, so that a row of several tables is one run."""
    relevant: dict[str, Any] = {key: value for key, value in plain(cfg).items() if key not in LABELS}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Places:
    """Files of one run, under runtime.outputs."""

    result: Path  # <table>/<dataset>/<scale>/<row>/seed<k>.json
    folder: Path  # beside it: checkpoints, logs, per-image metrics; named by seed and hash

    @classmethod
    def of(cls, cfg: DictConfig) -> "Places":
        mark = identity(cfg)[:8]
        row = cfg.row if cfg.row != "custom" else f"{cfg.upsampler.name}-{mark}"  # variants do not overwrite each other
        parent = Path(cfg.runtime.outputs) / cfg.table / cfg.dataset.name / cfg.scale / row
        return cls(parent / f"seed{cfg.seed}.json", parent / f"seed{cfg.seed}-{mark}")

    @property
    def last(self) -> Path:
        return self.folder / "last.pt"

    @property
    def best(self) -> Path:
        return self.folder / "best.pt"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"


def finished(outputs: Path) -> dict[str, dict[str, Any]]:
    """Every finished result under `outputs`, by hash."""
    found = {}
    for path in sorted(outputs.rglob("seed*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if "hash" in result:
            found[result["hash"]] = result | {"path": str(path)}
    return found
