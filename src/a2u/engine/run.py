"""One run, from a configuration to a result file."""

import datetime
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from a2u.engine import distributed
from a2u.engine.checkpoint import latest_checkpoint
from a2u.engine.distributed import from_rank_zero
from a2u.engine.fit import Trained, fit
from a2u.engine.health import warn_of_constant_kernels
from a2u.engine.identity import Places, finished, identity, read_result
from a2u.engine.log import QuietLog, RunLog
from a2u.engine.memory import keep_freed_memory
from a2u.engine.prepare import Run, choose_device, prepare
from a2u.engine.provenance import provenance
from a2u.engine.tasks.base import Picture
from a2u.files import flush_folder, locked, naming, sweep, write_json
from a2u.models.build import count_parameters
from a2u.settings import plain, validate


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train and evaluate one row with one seed; return its result.

    A finished result of the same configuration under runtime.outputs is returned without running. With
    runtime.force, the one in the run's own folder moves away with its checkpoints, and the run starts again. A killed
    run, forced or not, resumes from its last checkpoint. Everything is checked before anything is written.

    Raises:
        A2UError: the configuration or the data cannot be used, another process is running the same, or training
            diverged; the message says why.
    """
    validate(cfg)
    outputs, hash = Path(cfg.runtime.outputs), identity(cfg)
    with distributed.process_group(choose_device(cfg.runtime.device)):
        done = None if cfg.runtime.force else from_rank_zero(lambda: finished(outputs, [hash]).get(hash))
        if done:
            return done
        prepared = prepare(cfg)
        with naming(prepared.places.folder), ExitStack() as stack:
            lock = locked(prepared.places.folder / "lock", f"{cfg.table}/{cfg.row} seed {cfg.seed}")
            from_rank_zero(lambda: stack.enter_context(lock))
            from_rank_zero(lambda: sweep(prepared.places.folder))
            meanwhile = None if cfg.runtime.force else from_rank_zero(lambda: read_result(prepared.places.result))
            return meanwhile or _run(prepared)


def _run(prepared: Run) -> dict[str, Any]:
    started, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    keep_freed_memory()
    cfg, places, task = prepared.cfg, prepared.places, prepared.task
    steps = cfg.trainer.epochs * task.steps_per_epoch
    if cfg.runtime.force:
        from_rank_zero(lambda: _put_aside(places))
    checkpoint = from_rank_zero(lambda: latest_checkpoint(places, prepared.hash))
    done, size = checkpoint["step"] if checkpoint else 0, cfg.trainer.batch_size
    log = (
        RunLog(places, steps, done, size, cfg.runtime.progress) if distributed.is_rank_zero() else QuietLog(done, size)
    )
    trained = Trained()
    try:
        log.settings(_settings(cfg))
        if prepared.start is not None and checkpoint is None:
            log.started_from(prepared.start.report)
        tester = _Tester(prepared, log, checkpoint["scores"] if checkpoint else [])
        if steps:
            trained = fit(prepared, checkpoint, log, tester)
        if tester.last is None:  # nothing to train, or killed between the last epoch and the result
            tester(steps)
        log.finished()
    finally:
        log.close()
    assert tester.last is not None
    warn_of_constant_kernels(task.health, cfg.upsampler.name)
    wall_seconds = trained.wall_seconds or time.monotonic() - clock
    result = _result(prepared, trained, tester.last, started, wall_seconds)
    from_rank_zero(lambda: write_json(places.result, result))
    return result


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings that distinguish runs in a list: names, the operator's options, the main rates."""
    names = {key: cfg[key] for key in ("table", "row", "scale", "seed")} | {"init_from": str(cfg.init_from)}
    parts = {key: plain(cfg[key]) for key in ("dataset", "model", "upsampler", "trainer")}
    names |= {key: parts[key]["name"] for key in ("dataset", "model", "upsampler")}
    options = {f"upsampler.{key}": value for key, value in parts["upsampler"].items() if key != "name"}
    main = {f"trainer.{key}": parts["trainer"].get(key) for key in ("lr", "batch_size", "epochs", "iterations")}
    return names | options | main


def _result(
    prepared: Run, trained: Trained, metrics: dict[str, float], started: str, wall_seconds: float
) -> dict[str, Any]:
    cfg, task = prepared.cfg, prepared.task
    # The authors keep the best epoch on the test set; here that is a separate column, never the result.
    best = task.best(trained.scores) if len(trained.scores) > 1 else None
    commit, dirty = prepared.code
    return {
        "table": cfg.table,
        "row": prepared.places.folder.parent.name,
        "dataset": cfg.dataset.name,
        "scale": cfg.scale,
        "seed": cfg.seed,
        "params": count_parameters(prepared.model),
        "metrics": metrics,
        "best": best,
        "curve": trained.scores,
        "health": task.health,
        **task.extra_fields(),
        "hash": prepared.hash,
        "config": plain(cfg),
        "provenance": provenance(
            (commit, dirty or not set(trained.commits) <= {commit}),
            started,
            wall_seconds,
            task.checksum(),
            commits=trained.commits,
            devices=trained.devices,
            device=str(prepared.device),
            threads=torch.get_num_threads(),
            processes=distributed.count(),
            channels_last=cfg.runtime.channels_last,
            tf32=prepared.device.type == "cuda" and torch.backends.cudnn.allow_tf32,
            samples_per_second=round(trained.samples_per_second, 2),
            steps=cfg.trainer.epochs * task.steps_per_epoch,
            train_images=task.train_images,
            test_images=task.test_images,
        ),
    }


class _Tester:
    """Evaluate the model on the test set when called with the number of steps done.

    Writes metrics.csv, one line per image, of the latest evaluation, and metrics_best.csv of the best one, where the
    task measures image by image.
    """

    def __init__(self, prepared: Run, log: QuietLog, scores: list[dict[str, float]]) -> None:
        self.prepared, self.log = prepared, log
        self.scores = list(scores)
        self.last: dict[str, float] | None = None

    def __call__(self, step: int) -> dict[str, float]:
        def seen(done: int, total: int, picture: Picture | None) -> None:
            self.log.evaluating(step, done, total)
            if picture is not None:
                self.log.strip(step, *picture)

        task, folder = self.prepared.task, self.prepared.places.folder
        predictions = folder / "predictions" if self.prepared.cfg.runtime.save_predictions else None
        self.last = task.evaluate(self.prepared.model, predictions, seen)
        self.scores.append(self.last)
        if distributed.is_rank_zero():
            task.write_details(folder / "metrics.csv")
            if task.best(self.scores) is self.last:
                task.write_details(folder / "metrics_best.csv")
        self.log.metrics(step, self.last)
        self.log.health(step, task.health)
        return self.last


def _put_aside(places: Places) -> None:
    """Move a finished result and its checkpoints to `replaced`, for a forced run.

    The checkpoints move first. If the process is killed in between, the result is still there, and the next forced run
    moves the rest. Were the result moved first, that run would resume from the checkpoints of the run it replaces.
    """
    if read_result(places.result) is None:
        return
    places.replaced.mkdir(exist_ok=True)
    for path in (places.last, places.earlier, places.best):
        if path.exists():
            path.replace(places.replaced / path.name)
    flush_folder(places.folder)
    places.result.replace(places.replaced / "result.json")
