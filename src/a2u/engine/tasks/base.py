"""The interface of a task: data, training step, metrics. `fit` owns the loop, `run` the sequence."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from a2u.engine.ablation import Ablation
from a2u.engine.health import Health
from a2u.metrics import HIGHER_IS_BETTER
from a2u.settings import SCHEMAS

Picture = tuple[str, Tensor]  # a name, and (3, H, W) in 0..1
Seen = Callable[[int, int, Picture | None], None]  # (images evaluated, images, a picture of the latest)


class Task(ABC):
    """One task on one dataset.

    Its constructor reads the dataset and checks every test case, so that damage is found before the first
    epoch. It raises DataError, and writes nothing.

    Args:
        dataset: `dataset` of a configuration.
        metrics: `metrics` of a configuration.
        device: where network and batches live.
        threads: number that read and measure test cases, if that is done case by case.
    """

    parts: ClassVar[dict[str, type]]  # configuration nodes of this task, and their dataclasses
    measured_by: ClassVar[str]  # the choices of `metrics`, for messages
    best_by: ClassVar[str]  # the metric that selects the best epoch

    steps_per_epoch: int = 0  # 0: nothing is trained
    train_names: list[str]  # of the training foregrounds, to recognise them among test images
    train_images: int = 0  # pictures, or foregrounds, to train on
    test_images: int
    ablate: Ablation = Ablation.none  # what an evaluation takes away from the network's operators
    health: Health  # of the whole operators on the first test image or batch; set by rank 0's evaluations
    tile: int | None = None  # side of the tiles in which test images are computed; None: whole

    @abstractmethod
    def __init__(self, dataset: DictConfig, metrics: DictConfig, device: torch.device, threads: int = 1) -> None: ...

    @classmethod
    def goes_with(cls) -> str:
        """Return the choices of this task's dataset and metrics, for messages."""
        kinds = {name.removeprefix("dataset/"): kind for name, kind in SCHEMAS.items() if name.startswith("dataset/")}
        *names, last = sorted(name for name, kind in kinds.items() if issubclass(kind, cls.parts["dataset"]))
        return f"dataset={', '.join(names)} or {last} and metrics={cls.measured_by}"

    @staticmethod
    @abstractmethod
    def check(cfg: DictConfig, model: nn.Module) -> None:
        """Refuse impossible values and combinations of a configuration. Raises ConfigError.

        model: the network, without values (on PyTorch's device "meta").
        """

    @abstractmethod
    def prepare_training(self, cfg: DictConfig, model: nn.Module) -> None:
        """Set steps_per_epoch; load pretrained weights. Raises DataError or ConfigError."""

    @abstractmethod
    def optimizer(self, cfg: DictConfig, model: nn.Module) -> Optimizer: ...

    def training_mode(self, cfg: DictConfig, model: nn.Module) -> None:
        model.train()

    @abstractmethod
    def batches(self, cfg: DictConfig, epoch: int, done: int) -> Iterator[Any]:
        """Yield the batches of an epoch, on the device, without the first `done`; resuming does not change them."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the scalar loss of a batch."""

    def step(self, cfg: DictConfig, model: nn.Module) -> Callable[[Any], Tensor]:
        """Return a function of a batch that puts the loss's gradients into the network and returns the loss."""

        def backward(batch: Any) -> Tensor:
            model.zero_grad(set_to_none=True)
            loss = self.loss(model, batch)
            loss.backward()
            return loss.detach()

        return backward

    def origin(self, batch: Any) -> str:
        """Return where a batch comes from, for the message about a NaN loss."""
        return ""

    @abstractmethod
    def evaluate(self, model: nn.Module, predictions: Path | None, seen: Seen) -> dict[str, float]:
        """Return the metrics over the test set; the network's parts keep their modes.

        predictions: a folder for predictions as 8-bit PNG, or None.
        """

    def per_image(self) -> list[dict[str, Any]]:
        """Return the latest evaluation image by image, if the task has that."""
        return []

    def write_details(self, path: Path) -> None:
        """Write the latest evaluation image by image as CSV; write nothing if the task does not have that."""
        return

    def extra_fields(self) -> dict[str, Any]:
        """Return more fields of a result: images without metrics, warnings about the numbers."""
        return {"undefined": [], "warnings": []}

    @abstractmethod
    def checksum(self) -> str:
        """Return the SHA-256 of the test set."""

    def best(self, scores: list[dict[str, float]]) -> dict[str, float]:
        """Return the best of several evaluations, the first of equal ones."""
        choose = max if self.best_by in HIGHER_IS_BETTER else min
        return choose(scores, key=lambda score: score[self.best_by])
