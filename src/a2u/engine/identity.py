"""Which run is which: the hash of a configuration, and the places a run writes to."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a2u.config import Config
from a2u.settings import SCHEMAS, default_of, keys_of, plain


def identity(cfg: DictConfig, seed: bool = True) -> str:
    """Return the SHA-256 of what makes a run this run, whatever it is called and wherever it is computed.

    Keys declared with `identity=False` are left out, so that a row of several tables is one run. Without `seed` it is
    the identity of a variant, the same for all its seeds.
    """
    relevant = {key: _relevant(key, value) for key, value in _counted(plain(cfg), [Config]).items()}
    if not seed:
        del relevant["seed"]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def dataset_identity(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return what the resolved `dataset` of a configuration says of the dataset's contents."""
    return _relevant("dataset", dataset)


def _relevant(group: str, value: Any) -> Any:
    """Return what counts of a key of `Config`; of a node, by the schema of its name or by all those of its group."""
    if not isinstance(value, dict):
        return value
    named = SCHEMAS.get(f"{group}/{value.get('name')}")
    return _counted(
        value, [named] if named else [kind for name, kind in SCHEMAS.items() if name.startswith(f"{group}/")]
    )


def _counted(values: dict[str, Any], kinds: Sequence[type]) -> dict[str, Any]:
    """Return the values that make a run another one, by the declarations of their keys in `kinds`."""
    counted = dict(values)
    for kind in kinds:
        for name, key in keys_of(kind).items():
            if name not in values:
                continue
            if key.identity is False or (key.added_later and values[name] == default_of(kind, name)):
                counted.pop(name, None)
            elif callable(key.identity):
                counted[name] = key.identity(values[name])
    return counted


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
