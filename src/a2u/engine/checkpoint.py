"""Checkpoints: everything a run needs to resume as if it had never stopped."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from a2u.engine.identity import Places, identity
from a2u.files import replacing
from a2u.models.weights.files import WeightsError, read_content
from a2u.settings import plain

FORMAT = 1
PARTS = {
    "format": int,
    "config": str,
    "hash": str,
    "train_names": list,
    "model": dict,
    "step": int,
}  # that every checkpoint has
OF_A_RUN = {"task", "table", "row", "scale", "seed", "model", "upsampler", "dataset", "trainer"}  # in its configuration
log = logging.getLogger(__name__)


class CheckpointError(WeightsError):
    """A checkpoint is missing or damaged, or a file is not a checkpoint."""


def save_checkpoint(
    path: Path, cfg: DictConfig, train_names: list[str], earlier: Path | None = None, **state: Any
) -> None:
    """Write `state` with the run's configuration and its training foregrounds, atomically.

    earlier: where to keep the file that was `path` until then; None: nowhere.
    """
    state |= {"format": FORMAT, "config": json.dumps(plain(cfg)), "hash": identity(cfg), "train_names": train_names}
    with replacing(path, earlier) as temporary, temporary.open("wb") as file:  # a path's errors would be no OSErrors
        torch.save(state, file)


def latest_checkpoint(places: Places, hash: str) -> dict[str, Any] | None:
    """Read the checkpoint that a run resumes from: the last, or, with a warning, the one before if that is damaged.

    The damaged one is renamed, or the next save would keep it instead of the intact one. Returns None if the run has
    no checkpoint. Raises CheckpointError if there are some and none is intact, or one is not of the run whose
    `identity` is `hash`.
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
                "%s It is kept as %s. The run resumes from the one before, %s, step %d.",
                damage,
                places.damaged.name,
                path,
                state["step"],
            )
        if state["hash"] != hash:
            raise CheckpointError(
                f"{path} is the checkpoint of another run, with another configuration; remove it, and this one "
                "starts again."
            )
        return state
    if damage:
        raise CheckpointError(f"{damage} There is no intact one; {start_again(places)}.")
    return None


def start_again(places: Places) -> str:
    """Return advice about checkpoints that no run can resume from."""
    return f"remove {places.last.name} and {places.earlier.name}, and the run starts again"


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, as tensors and plain values only (a pickle cannot run code).

    Raises:
        CheckpointError: no such file, damaged, or not written by save_checkpoint.
    """
    try:
        state = read_content(path)
    except WeightsError as error:
        advice = "" if path.exists() else " Give the path of a last.pt or best.pt of a run."
        raise CheckpointError(f"{error}{advice}") from error
    if not isinstance(state, dict) or any(not isinstance(state.get(key), kind) for key, kind in PARTS.items()):
        raise CheckpointError(f"{path} is not a checkpoint written by this program.")
    if state["format"] != FORMAT:
        raise CheckpointError(f"{path} is a checkpoint of format {state['format']}; this program reads {FORMAT}.")
    return state


def trained_config(path: Path, checkpoint: dict[str, Any]) -> DictConfig:
    """Return the configuration of a checkpoint's run. Raises CheckpointError, which names `path`, if there is none."""
    try:
        config = json.loads(checkpoint["config"])
        missing = OF_A_RUN - config.keys()
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} holds no configuration of a run ({error}).") from error
    if missing:
        raise CheckpointError(f"{path} holds no configuration of a run: {', '.join(sorted(missing))} are missing.")
    return OmegaConf.create(config)
