"""One run, from a configuration to a result file."""

import datetime
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from a2u.config import SampleConfig, plain
from a2u.data import TrainingSamples, build_data
from a2u.data.types import Composite, MattingData
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.evaluate import evaluate, seen_in_training
from a2u.engine.fit import Trained, fit
from a2u.engine.identity import Places, finished, identity
from a2u.engine.log import RunLog, picture_strip
from a2u.engine.provenance import commit, provenance
from a2u.errors import ConfigError
from a2u.files import locked, write_json
from a2u.metrics import MattingMetrics
from a2u.models import build_model
from a2u.models.build import count_parameters
from a2u.models.encoder_weights import load_encoder_weights

STRIPS = 4  # test images shown in TensorBoard
STRIP_SIDE = 320  # pixels at most, so that event files stay small


@dataclass(frozen=True)
class Parts:
    """What a run needs, checked."""

    device: torch.device
    model: nn.Module
    data: MattingData
    samples: TrainingSamples | None  # None where there is nothing to train


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train and evaluate one row with one seed; return its result.

    Where a finished result with the same configuration exists under runtime.outputs, it is returned and nothing
    runs. A killed run goes on from its last checkpoint. Everything that can be checked is checked before anything
    is written.

    Raises:
        A2UError: the configuration or the data cannot be used, another process is running the same, or training
            diverged; the message says why.
    """
    done = _done(cfg)
    if done:
        return done
    code = commit()
    _use_threads(cfg)
    parts = prepare(cfg)
    places = Places.of(cfg)
    with locked(places.folder / "lock", f"{cfg.table}/{cfg.row} seed {cfg.seed}"):
        return _done(cfg) or _run(cfg, parts, places, code)


def prepare(cfg: DictConfig) -> Parts:
    """Build and check everything a run needs; write nothing.

    Every test case is read once: a damaged file is better found now than after the first epoch.

    Raises:
        ConfigError, DataError: something cannot be used.
    """
    check(cfg)
    device = choose_device(cfg.runtime.device)
    model = make_model(cfg)
    data = build_data(cfg.dataset)
    for index in range(len(data.test)):
        data.test[index]
    trains = count_parameters(model) > 0
    if trains:
        load_encoder_weights(model, cfg.model.encoder_weights)
    return Parts(device, model.to(device), data, make_samples(cfg, data) if trains else None)


def _run(cfg: DictConfig, parts: Parts, places: Places, code: tuple[str, bool]) -> dict[str, Any]:
    started, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    model, data, trainer = parts.model, parts.data, cfg.trainer
    checkpoint = load_checkpoint(places.last) if places.last.is_file() and not cfg.runtime.force else None
    log = RunLog(
        places,
        steps=trainer.epochs * trainer.iterations if parts.samples else 0,
        first_step=checkpoint["step"] if checkpoint else 0,
        batch_size=trainer.batch_size,
        terminal=cfg.runtime.progress,
    )
    trained = Trained()
    try:
        tested = _Tester(cfg, parts, places, log, checkpoint["scores"] if checkpoint else [])
        torch.manual_seed(cfg.seed)  # dropout starts the same whatever the operator drew for its initial values
        if parts.samples:
            trained = fit(cfg, model, parts.samples, checkpoint, places, log, tested)
        if tested.last is None:  # nothing to train, or killed between the last epoch and the result
            tested(trainer.epochs * trainer.iterations)
    finally:
        log.close()
    assert tested.last is not None
    # The authors keep the epoch with the lowest SAD on the test set; here that is a second column, never the result.
    best = min(trained.scores, key=lambda score: score["sad"]) if len(trained.scores) > 1 else None
    one_commit = set(trained.commits) <= {code[0]}
    result = {
        "table": cfg.table,
        "row": places.result.parent.name,
        "dataset": cfg.dataset.name,
        "scale": cfg.scale,
        "seed": cfg.seed,
        "params": count_parameters(model),
        "metrics": tested.last.mean(),
        "best": best,
        "undefined": tested.last.undefined,
        "warnings": seen_in_training(list(data.layer_names), list(data.test_names)) if parts.samples else [],
        "hash": identity(cfg),
        "config": plain(cfg),
        "provenance": provenance(
            (code[0], code[1] or not one_commit),
            started,
            trained.wall_seconds or time.monotonic() - clock,
            data.checksum(),
            commits=trained.commits,
            device=str(parts.device),
            threads=torch.get_num_threads(),
            samples_per_second=round(trained.samples_per_second, 2),
            test_images=len(data.test),
        ),
    }
    with locked(places.result.parent / ".lock", "a variant of this row", wait=True):
        _keep_other(places, result["hash"])
        write_json(places.result, result)
    return result


def check(cfg: DictConfig) -> None:
    """Refuse impossible values and combinations in a sentence. Raises ConfigError."""
    lowest = {
        "seed": 0,
        "sample.crop": 16,
        "sample.resize_to": 1,
        "sample.trimap_max": 1,
        "trainer.epochs": 1 if cfg.model.name.name != "trimap_only" else 0,
        "trainer.iterations": 1,
        "trainer.batch_size": 1,
        "trainer.evaluate_every": 0,
        "runtime.log_every": 1,
        "runtime.threads": 1,
        "runtime.workers": 0,
        "dataset.cache_mb": 0,
    }
    for key, least in lowest.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and value < least:
            raise ConfigError(f"{key} must be at least {least}; got {value}.")
    for key in ("trainer.lr", "trainer.encoder_lr_ratio"):
        if OmegaConf.select(cfg, key) <= 0:
            raise ConfigError(f"{key} must be positive; got {OmegaConf.select(cfg, key)}.")
    if cfg.sample.crop % 16:
        raise ConfigError(f"sample.crop must be a multiple of 16, by which the network divides; got {cfg.sample.crop}.")
    if cfg.trainer.batch_size == 1 and cfg.model.aspp:
        raise ConfigError(
            "trainer.batch_size=1 cannot be trained with model.aspp=true: its global pooling branch normalises 1x1 "
            "maps over the batch; set trainer.batch_size to 2 or more, or model.aspp=false."
        )
    with torch.device("meta"):
        make_model(cfg)


def make_samples(cfg: DictConfig, data: MattingData) -> TrainingSamples:
    """Training samples of one run. Raises DataError where the dataset has no training part."""
    sample_config = OmegaConf.to_object(cfg.sample)
    assert isinstance(sample_config, SampleConfig)
    return TrainingSamples(data, sample_config, cfg.seed, cfg.trainer.iterations * cfg.trainer.batch_size)


def make_model(cfg: DictConfig) -> nn.Module:
    """The network with the initial values of cfg.seed. Raises ConfigError for an impossible option."""
    torch.manual_seed(cfg.seed)
    try:
        return build_model(cfg)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def choose_device(name: str) -> torch.device:
    """ "auto" is the GPU where there is one. Raises ConfigError where the device does not exist."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"runtime.device={name} cannot be used here: {reason}; use auto or cpu.") from error
    return device


class _Tester:
    """Evaluates the model on the test set, when called with the number of steps done.

    Writes metrics.csv, one line an image, of the latest evaluation, and metrics_best.csv of the one with the lowest
    SAD.
    """

    def __init__(
        self, cfg: DictConfig, parts: Parts, places: Places, log: RunLog, scores: list[dict[str, float]]
    ) -> None:
        self.cfg, self.parts, self.places, self.log = cfg, parts, places, log
        self.lowest = min((score["sad"] for score in scores), default=float("inf"))
        self.last: MattingMetrics | None = None

    def __call__(self, step: int) -> dict[str, float]:
        def seen(done: int, total: int, case: Composite, prediction: np.ndarray) -> None:
            self.log.evaluating(step, done, total)
            if done <= STRIPS:
                self.log.strip(step, f"test/{case.name}", _strip(case, prediction))

        folder = self.places.folder / "predictions" if self.cfg.runtime.save_predictions else None
        self.last = evaluate(self.parts.model, self.parts.data.test, self.cfg.metrics, folder, seen)
        mean = self.last.mean()
        self.last.write_csv(self.places.folder / "metrics.csv")
        if mean["sad"] < self.lowest:
            self.lowest = mean["sad"]
            self.last.write_csv(self.places.folder / "metrics_best.csv")
        self.log.metrics(step, mean)
        return mean


def _strip(case: Composite, prediction: np.ndarray) -> torch.Tensor:
    factor = min(1.0, STRIP_SIDE / max(case.trimap.shape))
    shown = [
        cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for picture in (case.image, case.trimap, prediction, case.alpha)
    ]
    image, *maps = (torch.from_numpy(picture.copy()) / 255 for picture in shown)
    return picture_strip(image.permute(2, 0, 1), *(single[None] for single in maps))


def _done(cfg: DictConfig) -> dict[str, Any] | None:
    """The finished result of this configuration, unless it is to be run again all the same."""
    return None if cfg.runtime.force else finished(Path(cfg.runtime.outputs)).get(identity(cfg))


def _keep_other(places: Places, mark: str) -> None:
    """A finished result of another configuration in the same place gets its hash into its name, and stays."""
    for other, result in finished(places.result.parent).items():
        if other != mark and Path(result["path"]) == places.result:
            places.result.rename(places.result.with_name(f"{places.result.stem}-{other[:8]}.json"))


def _use_threads(cfg: DictConfig) -> None:
    cv2.setNumThreads(1)  # images are small; PyTorch has the cores
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
