"""Identify a run by the hash of its configuration, and name the files it writes."""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from a2u.settings import SCHEMAS, default_of, keys_of, plain


def identity(cfg: DictConfig, seed: bool = True) -> str:
    """Return the SHA-256 of the settings that affect a run's result, whatever its name and machine.

    Keys declared with `identity=False` are left out, so that a row of several tables is one run. Without `seed` it is
    the identity of a variant, the same for all its seeds.
    """
    relevant = {key: _relevant(key, value) for key, value in _counted(plain(cfg), [SCHEMAS["config"]]).items()}
    if not seed:
        del relevant["seed"]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def dataset_identity(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved `dataset` config that determines the dataset's contents."""
    return _relevant("dataset", dataset)


def _relevant(group: str, value: Any) -> Any:
    """Return the identity part of a run's key; of a node, by the schema of its name or all of its group."""
    if not isinstance(value, dict):
        return value
    named = SCHEMAS.get(f"{group}/{value.get('name')}")
    return _counted(
        value, [named] if named else [kind for name, kind in SCHEMAS.items() if name.startswith(f"{group}/")]
    )


def _counted(values: dict[str, Any], kinds: Sequence[type]) -> dict[str, Any]:
    """Return the values that are part of the identity, by the declarations of their keys in `kinds`."""
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


def short(hash: str) -> str:
    """Return the first digits of a hash, by which folders are named."""
    return hash[:8]


LAYOUT = "{table}/{dataset}/{scale}/{row}/seed{seed}-{hash}"  # folder of a run, under runtime.outputs
RUNS = re.sub(r"{\w+}", "*", LAYOUT) + "/result.json"  # pattern of their results


@dataclass(frozen=True)
class Places:
    """Files of one run, all in one folder under runtime.outputs."""

    folder: Path

    @classmethod
    def of(cls, cfg: DictConfig) -> "Places":
        variant = f"{cfg.upsampler.name}-{short(identity(cfg, seed=False))}"  # variants do not overwrite each other
        row = cfg.row if cfg.row != "custom" else variant
        names = {"table": cfg.table, "dataset": cfg.dataset.name, "scale": cfg.scale, "row": row, "seed": cfg.seed}
        return cls(Path(cfg.runtime.outputs, LAYOUT.format(**names, hash=short(identity(cfg)))))

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def log(self) -> Path:
        """The output of the run's own process, if it has one."""
        return self.folder / "log.txt"

    @property
    def last(self) -> Path:
        return self.folder / "last.pt"

    @property
    def earlier(self) -> Path:
        """The checkpoint before the last one."""
        return self.folder / "earlier.pt"

    @property
    def damaged(self) -> Path:
        """The new name of a damaged last checkpoint."""
        return self.folder / "damaged.pt"

    @property
    def replaced(self) -> Path:
        """Folder for the result that a forced run replaces, and for its checkpoints."""
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
    def start(self) -> Path:
        """What the network took from the weights of init_from."""
        return self.folder / "init_from.txt"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"


def finished(outputs: Path, hashes: Collection[str] | None = None, files: str = RUNS) -> dict[str, dict[str, Any]]:
    """Return every finished result under `outputs`, by hash; the latest of several. Damaged files are skipped.

    Args:
        outputs: folder that `files` is relative to.
        hashes: of the runs asked for, whose files alone are read; None: all.
        files: a pattern of paths. The name of each one's folder ends in the first digits of its hash.
    """
    wanted = None if hashes is None else {short(hash) for hash in hashes}
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(outputs.glob(files)):
        result = read_result(path) if wanted is None or path.parent.name.rpartition("-")[2] in wanted else None
        if result is None:
            continue
        hash, started = result["hash"], result["provenance"]["started"]
        if hash not in found or started > found[hash]["provenance"]["started"]:
            found[hash] = result
    return found


def read_result(path: Path) -> dict[str, Any] | None:
    """Return a result with its `path`; None if there is none, or, with a warning in the log, if the file is not one."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        result["hash"], result["provenance"]["started"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logging.getLogger(__name__).warning("%s is not a result and is ignored (%r)", path, error)
        return None
    return result | {"path": str(path)}
