"""Evaluate a system on any dataset of its task, with provenance."""

import dataclasses
import datetime
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from a2u.apply.systems import WITHOUT_WEIGHTS, System, load_system, weights_hash
from a2u.data.types import DatasetConfig
from a2u.engine import distributed
from a2u.engine.ablation import Ablation, check_ablation
from a2u.engine.identity import dataset_identity, finished, short
from a2u.engine.prepare import TASKS, channels_last, check_parts, check_tile, choose_device, evaluation_threads
from a2u.engine.provenance import commit, provenance
from a2u.engine.settings import EvaluationConfig, RuntimeConfig
from a2u.engine.tasks.base import Picture
from a2u.files import write_json
from a2u.models.build import count_parameters
from a2u.settings import field, plain, schema, validate


@schema("evaluate")
@dataclass
class EvaluateConfig:
    """configs/evaluate.yaml: evaluate a system on a dataset."""

    system: System = field(System.checkpoint, f"{', '.join(WITHOUT_WEIGHTS)}: without weights")
    weights: str | None = field(
        None, "a last.pt or best.pt of ours, one exported, or a released .pth or .safetensors file"
    )
    dataset: DatasetConfig = dataclasses.field(default_factory=DatasetConfig)
    metrics: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    ablate: Ablation = field(
        Ablation.none, "mean_kernel: every kernel, index map, offset or gate is its mean; other_guide: of another image"
    )
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig)


def evaluate_weights(cfg: DictConfig) -> dict[str, Any]:
    """Evaluate `cfg.system` with `cfg.weights` on `cfg.dataset`.

    Writes runtime.outputs/evaluate/<dataset>/<name>-<hash of weights, dataset and metrics>/ with result.json,
    for mattes metrics.csv (one line an image), and the predictions where runtime.save_predictions. Warns where a
    training foreground and a test image share a name.

    Raises:
        WeightsError: the file is not what the system needs.
        ConfigError: weights are missing, or dataset or metrics are of another task than the network.
        DataError: the dataset cannot be used.
    """
    with distributed.process_group(choose_device(cfg.runtime.device)):
        return _evaluate_weights(cfg)


def _evaluate_weights(cfg: DictConfig) -> dict[str, Any]:
    started, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    validate(cfg)
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
    code = commit()
    system = load_system(cfg.system, cfg.weights)
    check_parts(cfg, system.task, f"the network in {cfg.weights}" if cfg.weights else f"system={system.name}")
    check_tile(cfg.runtime.tile, system.model)
    check_ablation(cfg.ablate, system.model, cfg.runtime.tile)
    device = choose_device(cfg.runtime.device)
    task = TASKS[system.task](cfg.dataset, cfg.metrics, device, evaluation_threads(cfg))
    task.train_names = list(system.train_names)
    task.tile, task.ablate = cfg.runtime.tile, cfg.ablate
    if cfg.runtime.channels_last:
        channels_last(system.model)
    system.model.to(device)
    hash = _hash(cfg, system.weights_hash)
    folder = _folder(cfg) / f"{system.name}-{short(hash)}"
    predictions = folder / "predictions" if cfg.runtime.save_predictions else None
    hidden = None if cfg.runtime.progress and distributed.is_rank_zero() else True  # None: where stderr is no terminal
    with tqdm(total=task.test_images, unit="image", disable=hidden, dynamic_ncols=True) as bar:

        def seen(done: int, total: int, picture: Picture | None) -> None:
            bar.total = total  # of this process
            bar.update(done - bar.n)

        metrics = task.evaluate(system.model, predictions, seen)
    if distributed.is_rank_zero():
        task.write_details(folder / "metrics.csv")
    result = {
        "name": system.name,
        "weights": cfg.weights,
        "weights_sha256": system.weights_hash if cfg.weights else None,
        "trained": system.description,
        "dataset": cfg.dataset.name,
        "params": count_parameters(system.model),
        "metrics": metrics,
        "images": task.per_image(),
        **task.extra_fields(),
        "hash": hash,
        "config": plain(cfg),
        "provenance": provenance(
            code,
            started,
            time.monotonic() - clock,
            task.checksum(),
            device=str(device),
            threads=torch.get_num_threads(),
            processes=distributed.count(),
            test_images=task.test_images,
        ),
        "folder": str(folder),
    }
    if distributed.is_rank_zero():
        write_json(folder / "result.json", result)
    return result


def evaluated(cfg: DictConfig, among: dict[str, dict[str, Any]] | None = None) -> dict[str, Any] | None:
    """Return the result of the same weights, dataset and metrics under runtime.outputs; None if there is none.

    among: what `evaluations` of this configuration has read, where many are asked for.

    Raises OSError as reading the weights does.
    """
    found = evaluations(cfg) if among is None else among
    return found.get(_hash(cfg, weights_hash(cfg.system, cfg.weights)))


def evaluations(cfg: DictConfig) -> dict[str, dict[str, Any]]:
    """Return every result on the dataset under runtime.outputs, by hash."""
    return finished(_folder(cfg), files="*/result.json")


def _hash(cfg: DictConfig, weights: str) -> str:
    """Return the SHA-256 of everything that determines an evaluation's numbers; weights: their own hash."""
    how = [dataset_identity(plain(cfg.dataset)), plain(cfg.metrics)]
    how += [] if cfg.ablate is Ablation.none else [cfg.ablate.name]
    return hashlib.sha256((weights + json.dumps(how, sort_keys=True)).encode()).hexdigest()


def _folder(cfg: DictConfig) -> Path:
    return Path(cfg.runtime.outputs) / "evaluate" / cfg.dataset.name
