"""What the engine asks of a task: data, training step, metrics. `fit` owns the loop, `run` the sequence."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from a2u.metrics import HIGHER_IS_BETTER

Picture = tuple[str, Tensor]  # a name, and (3, H, W) in 0..1
Seen = Callable[[int, int, Picture | None], None]  # (images evaluated, images, a picture of the latest)


class Task(ABC):
    """One task on one dataset.

    Its constructor reads the dataset and checks every test case: damage is better found now than after the first
    epoch. It raises DataError, and writes nothing.

    Args:
        dataset: `dataset` of a configuration.
        metrics: `metrics` of a configuration.
        device: where network and batches live.
        threads: to read and measure test cases with, where that is done case by case.
    """

    parts: ClassVar[dict[str, type]]  # nodes of a configuration that are the task's own, and their dataclasses
    goes_with: ClassVar[str]  # the choices of those parts, for messages
    best_by: ClassVar[str]  # the metric that tells the best epoch

    steps_per_epoch: int = 0  # 0: nothing is trained
    train_names: list[str]  # of what the network was trained on, to be recognised among test images
    train_images: int = 0  # pictures, or foregrounds, to train on
    test_images: int
    tile: int | None = None  # side of the tiles in which test images are computed; None: whole

    @abstractmethod
    def __init__(self, dataset: DictConfig, metrics: DictConfig, device: torch.device, threads: int = 1) -> None: ...

    @staticmethod
    @abstractmethod
    def check(cfg: DictConfig, model: nn.Module) -> None:
        """Refuse impossible values and combinations of a configuration. Raises ConfigError.

        model: the network, without values (on PyTorch's device "meta").
        """

    @abstractmethod
    def prepare_training(self, cfg: DictConfig, model: nn.Module) -> None:
        """Set steps_per_epoch; load what the network starts from. Raises DataError or ConfigError."""

    @abstractmethod
    def optimizer(self, cfg: DictConfig, model: nn.Module) -> Optimizer: ...

    def training_mode(self, cfg: DictConfig, model: nn.Module) -> None:
        model.train()

    @abstractmethod
    def batches(self, cfg: DictConfig, epoch: int, done: int) -> Iterator[Any]:
        """Batches of an epoch, on the device, the first `done` left out; the same ones after a resume."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Scalar loss of a batch."""

    def step(self, cfg: DictConfig, model: nn.Module) -> Callable[[Any], Tensor]:
        """A function of a batch that leaves the loss's gradients in the network and returns the loss."""

        def backward(batch: Any) -> Tensor:
            model.zero_grad(set_to_none=True)
            loss = self.loss(model, batch)
            loss.backward()
            return loss.detach()

        return backward

    def origin(self, batch: Any) -> str:
        """Where a batch comes from, for the message about a loss that is NaN."""
        return ""

    @abstractmethod
    def evaluate(self, model: nn.Module, predictions: Path | None, seen: Seen) -> dict[str, float]:
        """Metrics over the test set; the network keeps the modes of its parts.

        predictions: a folder for predictions as 8-bit PNG, or None.
        """

    def per_image(self) -> list[dict[str, Any]]:
        """The latest evaluation image by image, where the task has that."""
        return []

    def write_details(self, path: Path) -> None:
        """The same as CSV; no file where the task has none."""
        return

    def extra_fields(self) -> dict[str, Any]:
        """What else belongs into a result: images without metrics, reasons to distrust the numbers."""
        return {"undefined": [], "warnings": []}

    @abstractmethod
    def checksum(self) -> str:
        """SHA-256 of the test set."""

    def best(self, scores: list[dict[str, float]]) -> dict[str, float]:
        """The best of several evaluations, the first of equal ones."""
        choose = max if self.best_by in HIGHER_IS_BETTER else min
        return choose(scores, key=lambda score: score[self.best_by])
