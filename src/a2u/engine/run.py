"""One run, from a configuration to a result file."""

import datetime
import os
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from a2u.config import Norm, plain
from a2u.data import prepare_data
from a2u.engine import distributed
from a2u.engine.checkpoint import latest_checkpoint
from a2u.engine.distributed import from_rank_zero
from a2u.engine.fit import Trained, fit
from a2u.engine.identity import Places, finished, identity
from a2u.engine.log import QuietLog, RunLog
from a2u.engine.memory import keep_freed_memory
from a2u.engine.provenance import commit, provenance
from a2u.engine.tasks.base import Picture, Task
from a2u.engine.tasks.matting import Matting
from a2u.engine.tasks.reconstruction import Reconstruction
from a2u.engine.validate import check_ranges
from a2u.errors import ConfigError
from a2u.files import flush_folder, locked, naming, sweep, write_json
from a2u.models import build_model, tiled
from a2u.models.build import count_parameters
from a2u.models.networks.base import MattingNetwork
from a2u.models.norms.synchronised import synchronise

TASKS: dict[str, type[Task]] = {"matting": Matting, "reconstruction": Reconstruction}


@dataclass(frozen=True)
class Parts:
    """What a run needs, checked."""

    device: torch.device
    model: nn.Module
    task: Task


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train and evaluate one row with one seed; return its result.

    Where a finished result with the same configuration exists under runtime.outputs, it is returned and nothing
    runs. With runtime.force one that is in this run's own place is put aside, with its checkpoints, and the run
    starts afresh. A killed run goes on from its last checkpoint, a forced one too. Everything that can be checked is
    checked before anything is written.

    Raises:
        A2UError: the configuration or the data cannot be used, another process is running the same, or training
            diverged; the message says why.
    """
    with distributed.process_group(choose_device(cfg.runtime.device)):
        done = from_rank_zero(lambda: _done(cfg))
        if done:
            return done
        code = commit()
        parts = prepare(cfg)
        places = Places.of(cfg)
        with naming(places.folder), ExitStack() as stack:
            lock = locked(places.folder / "lock", f"{cfg.table}/{cfg.row} seed {cfg.seed}")
            from_rank_zero(lambda: stack.enter_context(lock))
            from_rank_zero(lambda: sweep(places.folder))
            return from_rank_zero(lambda: _done(cfg)) or _run(cfg, parts, places, code)


def prepare(cfg: DictConfig) -> Parts:
    """Build and check everything a run needs; write nothing.

    Raises:
        ConfigError, DataError: something cannot be used.
    """
    check(cfg)
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
    device = choose_device(cfg.runtime.device)
    model = make_model(cfg)
    if distributed.count() > 1:
        from_rank_zero(lambda: prepare_data(cfg.dataset))  # by one, or each would fill the cache
        synchronise(model)
    task = TASKS[cfg.task.name](cfg.dataset, cfg.metrics, device, evaluation_threads(cfg))
    task.prepare_training(cfg, model)
    task.tile = cfg.runtime.tile
    if cfg.runtime.channels_last:
        channels_last(model)
    return Parts(device, model.to(device), task)


def _run(cfg: DictConfig, parts: Parts, places: Places, code: tuple[str, bool]) -> dict[str, Any]:
    started, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    keep_freed_memory()
    model, task = parts.model, parts.task
    steps = cfg.trainer.epochs * task.steps_per_epoch
    if cfg.runtime.force:
        from_rank_zero(lambda: _put_aside(places, identity(cfg)))
    checkpoint = from_rank_zero(lambda: latest_checkpoint(places, identity(cfg)))
    done, size = checkpoint["step"] if checkpoint else 0, cfg.trainer.batch_size
    log = (
        RunLog(places, steps, done, size, cfg.runtime.progress) if distributed.is_rank_zero() else QuietLog(done, size)
    )
    trained = Trained()
    try:
        log.settings(_settings(cfg))
        tested = _Tester(cfg, parts, places, log, checkpoint["scores"] if checkpoint else [])
        if steps:
            trained = fit(cfg, model, task, checkpoint, places, log, tested)
        if tested.last is None:  # nothing to train, or killed between the last epoch and the result
            tested(steps)
        log.finished()
    finally:
        log.close()
    return from_rank_zero(lambda: _write_result(cfg, parts, places, code, trained, tested.last, started, clock))


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """What tells rows, seeds and variants apart in a list of runs: names, the operator's options, the main rates."""
    names = {key: cfg[key] for key in ("table", "row", "scale", "seed")}
    parts = {key: plain(cfg[key]) for key in ("dataset", "model", "upsampler", "trainer")}
    names |= {key: parts[key]["name"] for key in ("dataset", "model", "upsampler")}
    options = {f"upsampler.{key}": value for key, value in parts["upsampler"].items() if key != "name"}
    main = {f"trainer.{key}": parts["trainer"].get(key) for key in ("lr", "batch_size", "epochs", "iterations")}
    return names | options | main


def _write_result(
    cfg: DictConfig,
    parts: Parts,
    places: Places,
    code: tuple[str, bool],
    trained: Trained,
    metrics: dict[str, float] | None,
    started: str,
    clock: float,
) -> dict[str, Any]:
    assert metrics is not None
    task = parts.task
    # The authors keep the epoch that is best on the test set; here that is a second column, never the result.
    best = task.best(trained.scores) if len(trained.scores) > 1 else None
    one_commit = set(trained.commits) <= {code[0]}
    result = {
        "table": cfg.table,
        "row": places.result.parent.name,
        "dataset": cfg.dataset.name,
        "scale": cfg.scale,
        "seed": cfg.seed,
        "params": count_parameters(parts.model),
        "metrics": metrics,
        "best": best,
        "curve": trained.scores,
        **task.extra_fields(),
        "hash": identity(cfg),
        "config": plain(cfg),
        "provenance": provenance(
            (code[0], code[1] or not one_commit),
            started,
            trained.wall_seconds or time.monotonic() - clock,
            task.checksum(),
            commits=trained.commits,
            devices=trained.devices,
            device=str(parts.device),
            threads=torch.get_num_threads(),
            processes=distributed.count(),
            channels_last=cfg.runtime.channels_last,
            tf32=parts.device.type == "cuda" and torch.backends.cudnn.allow_tf32,
            samples_per_second=round(trained.samples_per_second, 2),
            steps=cfg.trainer.epochs * task.steps_per_epoch,
            train_images=task.train_images,
            test_images=task.test_images,
        ),
    }
    with _row_locked(places):
        _keep_other(places, result["hash"])
        write_json(places.result, result)
    return result


def check(cfg: DictConfig) -> None:
    """Refuse impossible values and combinations in a sentence. Raises ConfigError."""
    check_parts(cfg, cfg.task.name, f"task={cfg.task.name}")
    check_ranges(cfg)
    with torch.device("meta"):
        model = make_model(cfg)
    TASKS[cfg.task.name].check(cfg, model)
    if distributed.count() > 1:
        _check_shared(cfg)
    check_tile(cfg.runtime.tile, model)


def _check_shared(cfg: DictConfig) -> None:
    """What several processes cannot do: their batch norms are a kind of their own. Raises ConfigError."""
    distributed.share_of_batch(cfg.trainer.batch_size, OmegaConf.select(cfg, "trainer.accumulate") or 1)
    if cfg.runtime.recompute:
        raise ConfigError("runtime.recompute=true has no meaning for several processes: leave it out.")
    if OmegaConf.select(cfg, "model.norm") is Norm.inplace_abn:
        raise ConfigError("model.norm=inplace_abn knows its own process alone: set model.norm=batch.")


def check_parts(cfg: DictConfig, task: str, asker: str) -> None:
    """A network, dataset, trainer or metric of one task cannot serve another. Raises ConfigError.

    asker: what asks for `task`, in words.
    """
    for key, kind in TASKS[task].parts.items():
        found: type | None = OmegaConf.get_type(cfg, key) if key in cfg else None
        if found is not None and not issubclass(found, kind):
            name = OmegaConf.select(cfg, f"{key}.name")
            what = f"{key}={getattr(name, 'name', name)}" if name else f"{key} as composed"
            owner = next((name for name, other in TASKS.items() if issubclass(found, other.parts[key])), "another task")
            raise ConfigError(f"{what} is for {owner}, but {asker} is for {task}: choose {TASKS[task].goes_with}.")


def check_tile(tile: int | None, model: nn.Module) -> None:
    """Refuse a `runtime.tile` that the network is not computed in. Raises ConfigError."""
    if tile is None:
        return
    if not isinstance(model, MattingNetwork):
        raise ConfigError(f"runtime.tile={tile} is for photographs; this network takes small pictures: leave it out.")
    try:
        tiled.check_tile(model, tile)
    except ValueError as error:
        raise ConfigError(f"runtime.tile={tile}: {error}") from error


def make_model(cfg: DictConfig) -> nn.Module:
    """The network with the initial values of cfg.seed. Raises ConfigError for an impossible option."""
    torch.manual_seed(cfg.seed)
    try:
        return build_model(cfg)
    except ValueError as error:
        said = str(error)
        of_operator = said.startswith(f"{cfg.upsampler.name}: ")  # which does not know what it is called here
        raise ConfigError(f"upsampler={said}" if of_operator else said) from error


def channels_last(model: nn.Module) -> None:
    """Lay the weights of convolutions out with the channels innermost; the maps they make follow."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def choose_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one; of several processes each takes one of its machine.

    Raises ConfigError where the device does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and distributed.started_by_torchrun():
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # streams and graphs are made on the current one
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"runtime.device={name} cannot be used here: {reason}; use auto or cpu.") from error
    return device


def evaluation_threads(cfg: DictConfig) -> int:
    """Threads that read and measure test cases.

    Where none are said they are as many as PyTorch has: rows of a table side by side then keep to a core each.
    """
    return cfg.runtime.evaluation_threads or torch.get_num_threads()


class _Tester:
    """Evaluates the model on the test set, when called with the number of steps done.

    Writes metrics.csv, one line an image, of the latest evaluation, and metrics_best.csv of the best one, where the
    task measures image by image.
    """

    def __init__(
        self, cfg: DictConfig, parts: Parts, places: Places, log: QuietLog, scores: list[dict[str, float]]
    ) -> None:
        self.cfg, self.parts, self.places, self.log = cfg, parts, places, log
        self.scores = list(scores)
        self.last: dict[str, float] | None = None

    def __call__(self, step: int) -> dict[str, float]:
        def seen(done: int, total: int, picture: Picture | None) -> None:
            self.log.evaluating(step, done, total)
            if picture is not None:
                self.log.strip(step, *picture)

        task, folder = self.parts.task, self.places.folder
        predictions = folder / "predictions" if self.cfg.runtime.save_predictions else None
        self.last = task.evaluate(self.parts.model, predictions, seen)
        self.scores.append(self.last)
        if distributed.is_rank_zero():
            task.write_details(folder / "metrics.csv")
            if task.best(self.scores) is self.last:
                task.write_details(folder / "metrics_best.csv")
        self.log.metrics(step, self.last)
        return self.last


def _done(cfg: DictConfig) -> dict[str, Any] | None:
    """The finished result of this configuration, unless it is to be run again all the same."""
    return None if cfg.runtime.force else finished(Path(cfg.runtime.outputs)).get(identity(cfg))


def _row_locked(places: Places) -> AbstractContextManager[None]:
    """To rename results in a folder that variants of a row share."""
    return locked(places.result.parent / ".lock", "a variant of this row", wait=True)


def _put_aside(places: Places, mark: str) -> None:
    """Move a finished result and its checkpoints out of the way of a run that is forced.

    The result goes last. As long as it is there the next forced run begins here again; without it, a killed one goes
    on from the checkpoints it finds, which must not be the earlier run's.
    """
    with _row_locked(places):
        earlier = finished(places.result.parent).get(mark)
        if earlier is None:
            return
        places.replaced.mkdir(exist_ok=True)
        for path in (places.last, places.earlier, places.best):
            if path.exists():
                path.replace(places.replaced / path.name)
        flush_folder(places.folder)
        Path(earlier["path"]).replace(places.replaced / "result.json")


def _keep_other(places: Places, mark: str) -> None:
    """A finished result of another configuration in the same place gets its hash into its name, and stays."""
    for other, result in finished(places.result.parent).items():
        if other != mark and Path(result["path"]) == places.result:
            places.result.rename(places.result.with_name(f"{places.result.stem}-{other[:8]}.json"))
