"""One run, from a configuration to a result file."""

import datetime
import sys
import time
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
from a2u.engine.evaluate import evaluate
from a2u.engine.fit import fit
from a2u.engine.identity import Places, finished, identity
from a2u.engine.log import RunLog, picture_strip
from a2u.engine.provenance import provenance
from a2u.errors import ConfigError
from a2u.files import write_json
from a2u.metrics import MattingMetrics
from a2u.models import build_model
from a2u.models.build import count_parameters
from a2u.models.encoder_weights import load_encoder_weights

STRIPS = 4  # test images shown in TensorBoard


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train and evaluate one row with one seed; return its result.

    Where a finished result with the same configuration exists under runtime.outputs, it is returned and nothing
    runs. A killed run goes on from its last checkpoint. Everything that can be checked is checked before anything
    is written.

    Raises:
        A2UError: the configuration or the data cannot be used, or training diverged; the message says why.
    """
    mark = identity(cfg)
    outputs = Path(cfg.runtime.outputs)
    done = finished(outputs).get(mark)
    if done and not cfg.runtime.force:
        print(f"already done: {done['path']}", file=sys.stderr)
        return done
    check(cfg)
    started, clock = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    _use_threads(cfg)
    device = choose_device(cfg.runtime.device)
    model = make_model(cfg)
    data = build_data(cfg.dataset)
    load_encoder_weights(model, cfg.model.encoder_weights)
    model.to(device)
    trainer = cfg.trainer
    trains = count_parameters(model) > 0
    samples = make_samples(cfg, data) if trains else None
    places = Places.of(cfg)
    checkpoint = load_checkpoint(places.last) if places.last.is_file() and not cfg.runtime.force else None

    log = RunLog(
        places.folder,
        steps=trainer.epochs * trainer.iterations if trains else 0,
        first_step=checkpoint["step"] if checkpoint else 0,
        batch_size=trainer.batch_size,
        terminal=cfg.runtime.progress,
    )
    try:
        tested = _Tester(cfg, model, data, places, log)
        torch.manual_seed(cfg.seed)  # dropout starts the same whatever the operator drew for its initial values
        trained = fit(cfg, model, samples, checkpoint, places, log, tested) if samples else None
        if tested.last is None:  # nothing to train, or killed between the last epoch and the result
            tested(trainer.epochs * trainer.iterations)
    finally:
        log.close()
    metrics, best = tested.last, None
    assert metrics is not None
    if (
        trained is not None and len(trained.scores) > 1
    ):  # the authors keep the epoch with the lowest SAD on the test set
        best = min(trained.scores, key=lambda score: score["sad"])
    metrics.write_csv(places.folder / "metrics.csv")
    result = {
        "table": cfg.table,
        "row": places.result.parent.name,
        "dataset": cfg.dataset.name,
        "scale": cfg.scale,
        "seed": cfg.seed,
        "params": count_parameters(model),
        "metrics": metrics.mean(),
        "undefined": metrics.undefined,
        "best": best,
        "hash": mark,
        "config": plain(cfg),
        "provenance": provenance(
            started,
            trained.wall_seconds if trained else time.monotonic() - clock,
            data.checksum(),
            seed=cfg.seed,
            device=str(device),
            threads=torch.get_num_threads(),
            samples_per_second=round(trained.samples_per_second, 2) if trained else None,
            test_images=len(data.test),
        ),
    }
    _keep_other(places, mark)
    write_json(places.result, result)
    return result


def check(cfg: DictConfig) -> None:
    """Refuse impossible combinations in a sentence. Raises ConfigError."""
    sample, trainer = cfg.sample, cfg.trainer
    problems = {
        f"sample.crop must be a positive multiple of 16; got {sample.crop}": sample.crop < 16 or sample.crop % 16,
        f"trainer.batch_size must be at least 1; got {trainer.batch_size}": trainer.batch_size < 1,
        f"trainer.epochs must not be negative; got {trainer.epochs}": trainer.epochs < 0,
        f"trainer.iterations must be at least 1; got {trainer.iterations}": trainer.iterations < 1,
        f"trainer.lr must be positive; got {trainer.lr}": trainer.lr <= 0,
        f"trainer.encoder_lr_ratio must be positive; got {trainer.encoder_lr_ratio}": trainer.encoder_lr_ratio <= 0,
        "trainer.batch_size=1 cannot be trained with model.aspp=true: its global pooling branch normalises 1x1 maps "
        "over the batch; set trainer.batch_size to 2 or more, or model.aspp=false": trainer.batch_size == 1
        and cfg.model.aspp
        and cfg.model.name.name != "trimap_only",
    }
    for problem, found in problems.items():
        if found:
            raise ConfigError(f"{problem}.")
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
    """Evaluates the model on the test set, when called with the number of steps done."""

    def __init__(self, cfg: DictConfig, model: nn.Module, data: MattingData, places: Places, log: RunLog) -> None:
        self.cfg, self.model, self.data, self.places, self.log = cfg, model, data, places, log
        self.last: MattingMetrics | None = None

    def __call__(self, step: int) -> dict[str, float]:
        def seen(done: int, total: int, case: Composite, prediction: np.ndarray) -> None:
            self.log.evaluating(step, done, total)
            if done <= STRIPS:
                self.log.strip(step, f"test/{case.name}", _strip(case, prediction))

        folder = self.places.folder / "predictions" if self.cfg.runtime.save_predictions else None
        self.last = evaluate(self.model, self.data.test, self.cfg.metrics, folder, seen)
        mean = self.last.mean()
        self.log.metrics(step, mean)
        return mean


def _strip(case: Composite, prediction: np.ndarray) -> torch.Tensor:
    image = torch.tensor(case.image).permute(2, 0, 1) / 255
    maps = [torch.tensor(single)[None] / 255 for single in (case.trimap, prediction, case.alpha)]
    return picture_strip(image, *maps)


def _keep_other(places: Places, mark: str) -> None:
    """A finished result of another configuration in the same place gets its hash into its name, and stays."""
    others = finished(places.result.parent)
    for other, result in others.items():
        if other != mark and Path(result["path"]) == places.result:
            places.result.rename(places.result.with_name(f"{places.result.stem}-{other[:8]}.json"))


def _use_threads(cfg: DictConfig) -> None:
    cv2.setNumThreads(1)  # images are small; PyTorch has the cores
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
