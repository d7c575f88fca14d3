"""A checkpoint of ours on any matting dataset, with provenance."""

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
from a2u.data import build_data
from a2u.engine.checkpoint import CheckpointError, load_checkpoint
from a2u.engine.evaluate import evaluate, seen_in_training
from a2u.engine.provenance import commit, provenance
from a2u.engine.run import choose_device
from a2u.files import write_json
from a2u.models import build_model


def evaluate_weights(cfg: DictConfig) -> dict[str, Any]:
    """Evaluate the network of checkpoint `cfg.weights` on `cfg.dataset`.

    Writes runtime.outputs/evaluate/<dataset>/<row>-<mark of weights, dataset and metrics>/ with result.json,
    metrics.csv (one line an image) and, where runtime.save_predictions, the predicted alphas. Warns where a training
    foreground and a test image share a name.

    Raises:
        CheckpointError: the file is not a checkpoint of ours, or does not fit its own configuration.
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
    data = build_data(cfg.dataset)
    model.to(choose_device(cfg.runtime.device))
    warnings = seen_in_training(checkpoint["train_names"], list(data.test_names))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    how = json.dumps([plain(cfg.dataset), plain(cfg.metrics)], sort_keys=True)
    mark = hashlib.sha256((digest + how).encode()).hexdigest()
    folder = Path(cfg.runtime.outputs) / "evaluate" / cfg.dataset.name / f"{trained.row}-{mark[:8]}"
    with tqdm(total=len(data.test), unit="image", disable=not cfg.runtime.progress, dynamic_ncols=True) as bar:
        metrics = evaluate(
            model,
            data.test,
            cfg.metrics,
            folder / "predictions" if cfg.runtime.save_predictions else None,
            lambda *_: bar.update(1) and None,
        )
    metrics.write_csv(folder / "metrics.csv")
    result = {
        "weights": str(path),
        "weights_sha256": digest,
        "trained": {
            "table": trained.table,
            "row": trained.row,
            "dataset": trained.dataset.name,
            "scale": trained.scale,
            "seed": trained.seed,
            "steps": checkpoint["step"],
        },
        "dataset": cfg.dataset.name,
        "metrics": metrics.mean(),
        "images": metrics.rows(),
        "undefined": metrics.undefined,
        "warnings": warnings,
        "config": plain(cfg),
        "provenance": provenance(code, started, time.monotonic() - clock, data.checksum(), test_images=len(data.test)),
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
