"""Checkpoints: everything a run needs to go on as if it had never stopped."""

import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from a2u.config import plain
from a2u.engine.identity import Places
from a2u.errors import A2UError
from a2u.files import replacing

FORMAT = 1
log = logging.getLogger(__name__)


class CheckpointError(A2UError, ValueError):
    """A weights file is missing, damaged or of another kind."""


def save_checkpoint(
    path: Path, cfg: DictConfig, train_names: list[str], earlier: Path | None = None, **state: Any
) -> None:
    """Write `state` with the run's configuration and its training foregrounds; `path` is there whole or not at all.

    earlier: where to keep the file that was `path` until then; None: nowhere.
    """
    state |= {"format": FORMAT, "config": json.dumps(plain(cfg)), "train_names": train_names}
    with replacing(path, earlier) as temporary:
        torch.save(state, temporary)


def latest_checkpoint(places: Places) -> dict[str, Any] | None:
    """What a run goes on from: its last checkpoint; the one before where that is damaged, with a warning.

    The damaged one is put aside, or the next save would keep it in the place of the whole one. None where the run has
    no checkpoint. Raises CheckpointError where there are some and none is whole.
    """
    damage: CheckpointError | None = None
    for path in (places.last, places.earlier):
        if not path.exists():
            continue
        try:
            state = load_checkpoint(path)
        except CheckpointError as error:
            damage = damage or error
            continue
        if damage:
            places.last.replace(places.damaged)
            log.warning(
                "%s It is kept as %s. The run goes on from the one before, %s, step %d.",
                damage,
                places.damaged.name,
                path,
                state["step"],
            )
        return state
    if damage:
        raise CheckpointError(f"{damage} The run starts afresh with runtime.force=true.")
    return None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, as tensors and plain values only (a pickle cannot run code).

    Raises:
        CheckpointError: no such file, damaged, or not written by save_checkpoint.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}; give the path of a last.pt or best.pt of a run.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load does not look at checksums
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path} could not be read as a checkpoint ({type(error).__name__}): it is damaged or of another kind."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint written by this program (format {FORMAT}).")
    return state
