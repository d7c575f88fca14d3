"""Checkpoints: everything a run needs to go on as if it had never stopped."""

import json
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from a2u.config import plain
from a2u.errors import A2UError
from a2u.files import replacing

FORMAT = 1


class CheckpointError(A2UError, ValueError):
    """A weights file is missing, damaged or of another kind."""


def save_checkpoint(path: Path, cfg: DictConfig, train_names: list[str], **state: Any) -> None:
    """Write `state` with the run's configuration and its training foregrounds; atomic."""
    state |= {"format": FORMAT, "config": json.dumps(plain(cfg)), "train_names": train_names}
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, as tensors and plain values only (a pickle cannot run code).

    Raises:
        CheckpointError: no such file, damaged, or not written by save_checkpoint.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}; give the path of a last.pt or best.pt of a run.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path} could not be read as a checkpoint ({type(error).__name__}): it is damaged or of another kind. "
            "A run whose own checkpoint this is starts afresh with runtime.force=true."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint written by this program (format {FORMAT}).")
    return state
