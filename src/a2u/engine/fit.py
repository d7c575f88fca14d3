"""Training: a fixed number of steps an epoch, checkpoints to go on from, evaluation between epochs."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import torch
from omegaconf import DictConfig
from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, OneCycleLR
from torch.utils.data import DataLoader

from a2u.config import Schedule
from a2u.data import EpochSampler, TrainingSamples
from a2u.engine.checkpoint import save_checkpoint
from a2u.engine.identity import Places
from a2u.engine.log import RunLog
from a2u.engine.provenance import available_cores, commit
from a2u.errors import A2UError, DataError
from a2u.losses import matting_loss


class DivergedError(A2UError, ArithmeticError):
    """The loss is not a number any more."""


@dataclass
class Trained:
    """What training leaves behind."""

    scores: list[dict[str, float]] = field(default_factory=list)  # of every evaluated epoch: epoch and metrics
    samples_per_second: float = 0.0
    wall_seconds: float = 0.0  # over all resumes
    commits: list[str] = field(default_factory=list)  # of the code, one an uninterrupted stretch


def fit(
    cfg: DictConfig,
    model: nn.Module,
    samples: TrainingSamples,
    checkpoint: dict[str, Any] | None,
    places: Places,
    log: RunLog,
    evaluate: Callable[[int], dict[str, float]],
) -> Trained:
    """Train `model` in place for trainer.epochs epochs, from `checkpoint` if there is one.

    Args:
        cfg: configuration of the run.
        model: on its device.
        samples: trainer.iterations * trainer.batch_size of them an epoch.
        checkpoint: what load_checkpoint returned for the run's last.pt, or None.
        places: where checkpoints go: last.pt after every epoch and now and then between, best.pt at the lowest SAD.
        log: scalars and progress.
        evaluate: called with the number of steps done; returns the metrics on the test set.

    Raises:
        DivergedError: the loss is NaN or infinite.
    """
    trainer = cfg.trainer
    device = next(model.parameters()).device
    optimizer = make_optimizer(cfg, model)
    scheduler = make_scheduler(cfg, optimizer)
    trained = Trained()
    step = _restore(checkpoint, model, optimizer, scheduler, trained) if checkpoint else 0
    trained.commits.append(commit()[0])
    started, earlier = time.monotonic(), trained.wall_seconds
    saved = started

    def save(path: Any) -> None:
        trained.wall_seconds = earlier + time.monotonic() - started
        save_checkpoint(
            path,
            cfg,
            samples.names,
            model=model.state_dict(),
            optimizer=optimizer.state_dict(),
            scheduler=scheduler.state_dict(),
            step=step,
            scores=trained.scores,
            wall_seconds=trained.wall_seconds,
            random=torch.get_rng_state(),
            random_cuda=torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            commits=trained.commits,
        )

    model.train()
    freeze_norms(cfg, model)
    for epoch in range(step // trainer.iterations, trainer.epochs):
        sampler = EpochSampler(len(samples), epoch, start=(step % trainer.iterations) * trainer.batch_size)
        loader = DataLoader(
            samples,
            trainer.batch_size,
            sampler=sampler,
            num_workers=_workers(cfg, device),
            pin_memory=device.type == "cuda",
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # the loader's own draws must not move the global generator
        )
        log.resume()
        for batch in _with_plain_errors(loader):
            names = batch.pop("name")
            batch = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
            loss = matting_loss(model(batch.pop("input")), **batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss became {value} at step {step + 1} (learning rate "
                    f"{optimizer.param_groups[-1]['lr']:.3g}, foregrounds {', '.join(names)}); lower trainer.lr. "
                    f"The last checkpoint is {places.last}."
                )
            optimizer.step()
            scheduler.step()
            step += 1
            log.step(step, value)
            if step % cfg.runtime.log_every == 0 or step == trainer.epochs * trainer.iterations:
                log.scalars(step, _scalars(value, optimizer, model, log.samples_per_second(step)))
            # The end of an epoch is saved after its evaluation, or a resume would skip that.
            if step % trainer.iterations and time.monotonic() - saved > cfg.runtime.checkpoint_seconds:
                save(places.last)
                saved = time.monotonic()
        if _is_due(epoch + 1, trainer):
            trained.scores.append({"epoch": epoch + 1, **evaluate(step)})
            if trained.scores[-1]["sad"] == min(score["sad"] for score in trained.scores):
                save(places.best)
        save(places.last)
        saved = time.monotonic()
    trained.samples_per_second = log.samples_per_second(step)
    return trained


def make_optimizer(cfg: DictConfig, model: nn.Module) -> Optimizer:
    """Adam with two learning rates: new layers at lr, the encoder at lr / encoder_lr_ratio (Sec. 6.3)."""
    encoder = [parameter for name, parameter in model.named_parameters() if name.startswith("encoder.")]
    rest = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    lr = cfg.trainer.lr
    return Adam([{"params": encoder, "lr": lr / cfg.trainer.encoder_lr_ratio}, {"params": rest, "lr": lr}])


def make_scheduler(cfg: DictConfig, optimizer: Optimizer) -> LRScheduler:
    """The learning rate as a function of the step."""
    trainer = cfg.trainer
    if trainer.schedule == Schedule.one_cycle:
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=trainer.epochs * trainer.iterations, cycle_momentum=False)
    if trainer.schedule == Schedule.multistep:
        return MultiStepLR(optimizer, [epoch * trainer.iterations for epoch in trainer.milestones], trainer.gamma)
    return LambdaLR(optimizer, lambda step: 1.0)


def freeze_norms(cfg: DictConfig, model: nn.Module) -> None:
    """Fix the encoder's batch norms, statistics and scale, where the configuration says so (Sec. 6.3)."""
    frozen = cfg.trainer.freeze_encoder_norm
    if frozen is None:
        frozen = cfg.model.encoder_weights != "none"
    if not frozen:
        return
    encoder = model.get_submodule("encoder")  # convolutions and norms, nothing else that knows a mode
    encoder.eval()
    for parameter in encoder.parameters():
        if parameter.dim() == 1:  # scale and shift of a norm; convolutions have no bias
            parameter.requires_grad_(False)


def _with_plain_errors(loader: Iterable[Any]) -> Iterator[Any]:
    """A worker's DataError comes wrapped in its traceback; its sentence is the last line."""
    try:
        yield from loader
    except DataError as error:
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("a2u.errors.DataError: ")) from error


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def _workers(cfg: DictConfig, device: torch.device) -> int:
    """Data-loading processes; what they load does not depend on how many there are."""
    if cfg.runtime.workers is not None:
        return cfg.runtime.workers
    return min(8, available_cores() - 1) if device.type == "cuda" else 0


def _is_due(epoch: int, trainer: DictConfig) -> bool:
    last = epoch == trainer.epochs
    return last or (trainer.evaluate_every > 0 and epoch % trainer.evaluate_every == 0)


def _scalars(loss: float, optimizer: Optimizer, model: nn.Module, rate: float) -> dict[str, float]:
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return {
        "loss": loss,
        "lr": optimizer.param_groups[1]["lr"],
        "gradient_norm": float(nn.utils.get_total_norm(gradients)),
        "samples_per_second": rate,
    }


def _restore(
    checkpoint: dict[str, Any], model: nn.Module, optimizer: Optimizer, scheduler: LRScheduler, trained: Trained
) -> int:
    """Put everything back as the checkpoint has it; return the number of steps done."""
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    torch.set_rng_state(checkpoint["random"])
    device = next(model.parameters()).device
    if device.type == "cuda" and checkpoint["random_cuda"] is not None:
        torch.cuda.set_rng_state(checkpoint["random_cuda"], device)
    trained.commits = checkpoint["commits"]
    trained.scores, trained.wall_seconds = checkpoint["scores"], checkpoint["wall_seconds"]
    return checkpoint["step"]
