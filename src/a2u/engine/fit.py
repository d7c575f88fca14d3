"""Training: epochs of a fixed number of steps, checkpoints to resume from, evaluation between epochs."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, OneCycleLR

from a2u.data.sampling.samples import Stream
from a2u.engine import distributed
from a2u.engine.average import Average
from a2u.engine.checkpoint import CheckpointError, save_checkpoint, start_again
from a2u.engine.identity import Places
from a2u.engine.log import QuietLog
from a2u.engine.prepare import Run
from a2u.engine.provenance import device_name
from a2u.engine.settings import Schedule
from a2u.errors import A2UError
from a2u.models.weights.files import differences, enumerated


class DivergedError(A2UError, ArithmeticError):
    """The loss, or the norm of its gradient, became NaN or infinite."""


@dataclass
class Trained:
    """What training leaves behind."""

    scores: list[dict[str, float]] = field(default_factory=list)  # of every evaluated epoch: epoch and metrics
    samples_per_second: float = 0.0
    wall_seconds: float = 0.0  # over all resumes
    commits: list[str] = field(default_factory=list)  # one per uninterrupted part; "…-dirty": with uncommitted changes
    devices: list[str] = field(default_factory=list)  # one per uninterrupted part: "cpu", or the name of a GPU


def fit(
    run: Run,
    checkpoint: dict[str, Any] | None,
    log: QuietLog,
    evaluate: Callable[[int], dict[str, float]],
) -> Trained:
    """Train `run.model` in place for trainer.epochs epochs, from `checkpoint` if there is one.

    With trainer.ema the average of the weights is evaluated, saved as the checkpoint's model, and left in the network.
    Writes last.pt after every epoch and at intervals, keeping the one before it, and best.pt at the best score.

    Args:
        run: as `prepare` returns it.
        checkpoint: what latest_checkpoint returned, or None.
        log: scalars and progress.
        evaluate: called with the number of steps done; returns the metrics on the test set.

    Raises:
        CheckpointError: `checkpoint` is of another network.
        DivergedError: the loss or the norm of its gradient is NaN or infinite. State and batch were
            saved in diverged.pt.
    """
    cfg, model, task, places = run.cfg, run.model, run.task, run.places
    trainer = cfg.trainer
    epoch_steps, steps = task.steps_per_epoch, trainer.epochs * task.steps_per_epoch
    optimizer = task.optimizer(cfg, model)
    scheduler = make_scheduler(cfg, optimizer, epoch_steps)
    trained = Trained()
    average = Average(model, trainer.ema) if trainer.ema else None
    try:
        step = _restore(checkpoint, model, average, optimizer, scheduler, trained) if checkpoint else 0
    except (AttributeError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{places.last} is not a checkpoint of this run ({error}); {start_again(places)}."
        ) from error
    head, dirty = run.code
    trained.commits.append(f"{head}-dirty" if dirty else head)  # as git describe writes it
    trained.devices.append(device_name(run.device))
    started, earlier = time.monotonic(), trained.wall_seconds
    saved = started

    def save(path: Path, before: Path | None = None, **extra: Any) -> None:
        trained.wall_seconds = earlier + time.monotonic() - started
        if not distributed.is_rank_zero():
            return
        save_checkpoint(
            path,
            cfg,
            task.train_names,
            before,
            **({"model": average.state, "trained": model.state_dict()} if average else {"model": model.state_dict()}),
            optimizer=optimizer.state_dict(),
            scheduler=scheduler.state_dict(),
            step=step,
            scores=trained.scores,
            wall_seconds=trained.wall_seconds,
            commits=trained.commits,
            devices=trained.devices,
            **extra,
        )

    task.training_mode(cfg, model)
    network = distributed.parallel(model)
    backward = task.step(cfg, torch.compile(network) if cfg.runtime.compile else network)  # type: ignore[arg-type]
    for epoch in range(step // epoch_steps, trainer.epochs):
        log.resume()
        for batch in task.batches(cfg, epoch, done=step % epoch_steps):
            torch.manual_seed(step_seed(cfg.seed, step))
            loss = distributed.mean(backward(batch))
            total_norm = _gradient_norm(model)
            value, norm = float(loss), float(total_norm)  # both at once, so that the GPU is synchronised once
            if not (math.isfinite(value) and math.isfinite(norm)):
                batches = distributed.gathered(_on_cpu(batch))
                save(places.diverged, batches=batches, loss=value, gradient_norm=norm)
                origins = [task.origin(each) for each in batches]
                raise DivergedError(_divergence(value, norm, step, optimizer, origins, places))
            if trainer.clip_norm is not None:
                nn.utils.clip_grads_with_norm_(model.parameters(), trainer.clip_norm, total_norm)
            optimizer.step()
            scheduler.step()
            step += 1
            if average:
                average.update(model, step)
            log.step(step, value)
            if step % cfg.runtime.log_every == 0 or step == steps:
                log.scalars(step, _scalars(value, norm, optimizer, log.samples_per_second(step)))
            # The end of an epoch is saved after its evaluation, or a resume would skip that.
            if step % epoch_steps and time.monotonic() - saved > cfg.runtime.checkpoint_seconds:
                save(places.last, places.earlier)
                saved = time.monotonic()
        if _is_due(epoch + 1, trainer):
            with average.inside(model) if average else nullcontext():
                trained.scores.append({"epoch": epoch + 1, **evaluate(step)})
            if task.best(trained.scores) is trained.scores[-1]:
                save(places.best)
        save(places.last, places.earlier)
        saved = time.monotonic()
    if average:
        model.load_state_dict(average.state)
    trained.samples_per_second = log.samples_per_second(step)
    return trained


def make_scheduler(cfg: DictConfig, optimizer: Optimizer, epoch_steps: int) -> LRScheduler:
    """Return the schedule of the learning rate, per step."""
    trainer = cfg.trainer
    if trainer.schedule == Schedule.one_cycle:
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=trainer.epochs * epoch_steps, cycle_momentum=False)
    if trainer.schedule == Schedule.multistep:
        return MultiStepLR(optimizer, [epoch * epoch_steps for epoch in trainer.milestones], trainer.gamma)
    return LambdaLR(optimizer, lambda step: 1.0)


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step's random draws (dropout), so that resuming needs no generator state.

    Ranks have different seeds.
    """
    key = np.random.SeedSequence(seed, spawn_key=(Stream.STEP, step, distributed.rank()))
    return int(key.generate_state(1, np.uint64)[0])


def _gradient_norm(model: nn.Module) -> Tensor:
    return nn.utils.get_total_norm([parameter.grad for parameter in model.parameters() if parameter.grad is not None])


def _on_cpu(batch: Any) -> Any:
    """Copy a batch of any task to the CPU."""
    if isinstance(batch, dict):
        return {key: _on_cpu(value) for key, value in batch.items()}
    return batch.cpu() if isinstance(batch, Tensor) else batch


def _divergence(loss: float, norm: float, step: int, optimizer: Optimizer, origins: list[str], places: Places) -> str:
    what = f"norm of the gradient became {norm}" if math.isfinite(loss) else f"loss became {loss}"
    rate = optimizer.param_groups[-1]["lr"]
    of = [origin for origin in origins if origin]
    return (
        f"the {what} at step {step + 1}, learning rate {rate:.3g}{', on ' if of else ''}{'; '.join(of)}. "
        f"Lower trainer.lr or set trainer.clip_norm. The weights before that step, their optimizer and the batch are "
        f"in {places.diverged}; the last checkpoint is {places.last}."
    )


def _is_due(epoch: int, trainer: DictConfig) -> bool:
    """Return whether to evaluate: every `evaluate_every` epochs, before the learning rate drops, and at the end."""
    falls = trainer.schedule == Schedule.multistep and epoch in trainer.milestones
    return epoch == trainer.epochs or (trainer.evaluate_every > 0 and (falls or epoch % trainer.evaluate_every == 0))


def _scalars(loss: float, norm: float, optimizer: Optimizer, rate: float) -> dict[str, float]:
    return {
        "loss": loss,
        "lr": optimizer.param_groups[-1]["lr"],
        "gradient_norm": norm,  # before trainer.clip_norm
        "samples_per_second": rate,
    }


def match_parameter_layout(optimizer: Optimizer) -> None:
    """Give Adam's moments the layout of the parameters: the fused Adam reads memory in order, whatever the strides."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[key] = torch.empty_like(parameter).copy_(value)


def _restore(
    checkpoint: dict[str, Any],
    model: nn.Module,
    average: Average | None,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    trained: Trained,
) -> int:
    """Restore the state of a checkpoint; return the number of steps done."""
    found = differences(checkpoint["model"], model.state_dict())
    if found:
        raise ValueError(enumerated(found, shown=3))
    model.load_state_dict(checkpoint["model"])
    if average:
        average.state = {key: value.clone() for key, value in model.state_dict().items()}
        model.load_state_dict(checkpoint["trained"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    match_parameter_layout(optimizer)
    scheduler.load_state_dict(checkpoint["scheduler"])
    trained.commits, trained.devices = checkpoint["commits"], checkpoint["devices"]
    trained.scores, trained.wall_seconds = checkpoint["scores"], checkpoint["wall_seconds"]
    return checkpoint["step"]
