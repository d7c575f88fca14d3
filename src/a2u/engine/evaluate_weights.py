"""A checkpoint of ours on any dataset of its task, with provenance."""

import datetime
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from tqdm import tqdm

from a2u.config import plain
from a2u.engine.checkpoint import CheckpointError, load_checkpoint
from a2u.engine.provenance import commit, provenance
from a2u.engine.run import TASKS, check_parts, choose_device
from a2u.engine.task import Picture
from a2u.files import write_json
from a2u.models import build_model


def evaluate_weights(cfg: DictConfig) -> dict[str, Any]:
    """Evaluate the network of checkpoint `cfg.weights` on `cfg.dataset`.

    Writes runtime.outputs/evaluate/<dataset>/<row>-<mark of weights, dataset and metrics>/ with result.json,
    for mattes metrics.csv (one line an image), and the predictions where runtime.save_predictions. Warns where a
    training foreground and a test image share a name.

    Raises:
        CheckpointError: the file is not a checkpoint of ours, or does not fit its own configuration.
        ConfigError: dataset or metrics are of another task than the network.
        DataError: the dataset cannot be used.
    """
    started, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    path = Path(cfg.weights)
    checkpoint = load_checkpoint(path)
    trained = OmegaConf.create(json.loads(checkpoint["config"]))
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
    code = commit()
    model = _load(path, trained, checkpoint)
    name = trained.get("task", "matting")  # checkpoints of matting once did not say
    check_parts(cfg, name, f"the network in {path}")
    device = choose_device(cfg.runtime.device)
    task = TASKS[name](cfg.dataset, cfg.metrics, device)
    task.train_names = checkpoint["train_names"]
    model.to(device)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    how = json.dumps([plain(cfg.dataset), plain(cfg.metrics)], sort_keys=True)
    mark = hashlib.sha256((digest + how).encode()).hexdigest()
    folder = Path(cfg.runtime.outputs) / "evaluate" / cfg.dataset.name / f"{trained.row}-{mark[:8]}"
    predictions = folder / "predictions" if cfg.runtime.save_predictions else None
    with tqdm(total=task.test_images, unit="image", disable=not cfg.runtime.progress, dynamic_ncols=True) as bar:

        def seen(done: int, total: int, picture: Picture | None) -> None:
            bar.update(done - bar.n)

        metrics = task.evaluate(model, predictions, seen)
    task.write_details(folder / "metrics.csv")
    result = {
        "weights": str(path),
        "weights_sha256": digest,
        "trained": {
            "task": name,
            "table": trained.table,
            "row": trained.row,
            "dataset": trained.dataset.name,
            "scale": trained.scale,
            "seed": trained.seed,
            "steps": checkpoint["step"],
        },
        "dataset": cfg.dataset.name,
        "metrics": metrics,
        "images": task.images(),
        **task.further(),
        "config": plain(cfg),
        "provenance": provenance(
            code, started, time.monotonic() - clock, task.checksum(), test_images=task.test_images
        ),
        "folder": str(folder),
    }
    write_json(folder / "result.json", result)
    return result


def _load(path: Path, trained: DictConfig, checkpoint: dict[str, Any]) -> nn.Module:
    try:
        with torch.random.fork_rng(devices=[]):
            model = build_model(trained)
        model.load_state_dict(checkpoint["model"])
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be put into the network its own configuration describes: {error}"
        ) from error
    return model.eval()
