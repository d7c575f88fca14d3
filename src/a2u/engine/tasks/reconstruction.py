"""Image reconstruction as a task (Sec. 5, Table 1): the pictures are one tensor on the device, a batch is a slice."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from a2u.data import build_data
from a2u.data.files.images import write_png
from a2u.data.sampling.settings import NoSamplingConfig
from a2u.data.sources.digits import DigitsConfig, PictureData
from a2u.engine import distributed
from a2u.engine.ablation import Ablation, ablated
from a2u.engine.cuda_graph import CapturedStep
from a2u.engine.evaluate import evaluation_mode
from a2u.engine.health import watched
from a2u.engine.settings import ImageEvaluationConfig, ReconstructionTrainerConfig
from a2u.engine.tasks.base import Picture, Seen, Task
from a2u.errors import ConfigError, DataError
from a2u.metrics import ImageMetrics
from a2u.models.networks.reconstruction import ReconstructionModelConfig

EVALUATION_BATCH = 250
SHOWN = 16  # test pictures in a strip


class Reconstruction(Task):
    """A grey picture through the 1/8 map and back, L1 loss, SGD; PSNR / SSIM / RMSE / MAE over the test set."""

    parts: ClassVar = {
        "model": ReconstructionModelConfig,
        "dataset": DigitsConfig,
        "sample": NoSamplingConfig,
        "trainer": ReconstructionTrainerConfig,
        "metrics": ImageEvaluationConfig,
    }
    measured_by = "image"
    best_by = "psnr"

    def __init__(self, dataset: DictConfig, metrics: DictConfig, device: torch.device, threads: int = 1) -> None:
        data = build_data(dataset)
        assert isinstance(data, PictureData)
        self.train, self.test = data.train.to(device), data.test.to(device)  # (N, 1, size, size) uint8
        self.checksum_of_test, self.how, self.device = data.checksum, metrics, device
        self.train_names = []
        self.train_images, self.test_images = len(self.train), len(self.test)
        self.health = {}

    @staticmethod
    def check(cfg: DictConfig, model: nn.Module) -> None:
        """Refuse nothing: the settings check themselves."""

    def prepare_training(self, cfg: DictConfig, model: nn.Module) -> None:
        self.steps_per_epoch = len(self.train) // cfg.trainer.batch_size
        if self.steps_per_epoch == 0:
            raise ConfigError(
                f"trainer.batch_size={cfg.trainer.batch_size} is more than the {len(self.train)} training pictures "
                "there are; lower it, or raise dataset.limit_train."
            )

    def optimizer(self, cfg: DictConfig, model: nn.Module) -> Optimizer:
        trainer = cfg.trainer
        return SGD(model.parameters(), trainer.lr, momentum=trainer.momentum, weight_decay=trainer.weight_decay)

    def batches(self, cfg: DictConfig, epoch: int, done: int) -> Iterator[Tensor]:
        """Yield (batch, 1, size, size) uint8, in an order that depends on (seed, epoch) only.

        Each rank takes its share of every batch.
        """
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(cfg.seed * 2**20 + epoch))
        order = order.to(self.device)
        size = cfg.trainer.batch_size
        distributed.share_of_batch(size)
        for step in range(done, self.steps_per_epoch):
            batch = order[step * size : (step + 1) * size]
            yield self.train[batch[distributed.rank() :: distributed.count()]]

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        pictures = unit(batch)
        return nn.functional.l1_loss(model(pictures), pictures)

    def step(self, cfg: DictConfig, model: nn.Module) -> Callable[[Any], Tensor]:
        if self.device.type == "cuda" and distributed.count() == 1:
            return CapturedStep(model, lambda batch: self.loss(model, batch))
        return super().step(cfg, model)

    def evaluate(self, model: nn.Module, predictions: Path | None, seen: Seen) -> dict[str, float]:
        if self.ablate is Ablation.other_guide and len(self.test) == 1:
            raise DataError("ablate=other_guide needs two test pictures; there is one.")
        metrics, starts, found = ImageMetrics(), range(0, len(self.test), EVALUATION_BATCH), []
        following = self.test.roll(-1, dims=0)  # of each picture the next, of the last the first
        for batch in distributed.share_of(len(starts)):  # each rank its own batches
            start = starts[batch]
            pictures, others = (unit(each[start : start + EVALUATION_BATCH]) for each in (self.test, following))
            with evaluation_mode(model), torch.inference_mode():
                if start == 0:
                    with watched(model) as self.health:
                        model(pictures)
                reconstructed = ablated(self.ablate, model, partial(model, pictures), partial(model, others))
            if self.how.clamp:
                reconstructed = reconstructed.clamp(0, 1)
            found.append(metrics.measured(reconstructed, pictures))
            seen(start + len(pictures), len(self.test), _strip(pictures, reconstructed) if start == 0 else None)
            if predictions is not None:
                for index, picture in enumerate(reconstructed, start):
                    values = (picture[0].clamp(0, 1) * 255).round().to(torch.uint8)
                    write_png(predictions / f"{index:05d}.png", values.cpu().numpy())
        for part in distributed.gathered(found):
            for sums in part:
                metrics.add(sums)
        return metrics.mean()

    def checksum(self) -> str:
        return self.checksum_of_test()


def unit(pictures: Tensor) -> Tensor:
    """uint8 -> float32 in 0..1."""
    return pictures.float() / 255


def _strip(pictures: Tensor, reconstructed: Tensor) -> Picture:
    """Return the first pictures above their reconstructions."""
    rows = [torch.cat(list(row[:SHOWN, 0]), dim=1) for row in (pictures, reconstructed)]  # (H, SHOWN * W) each
    return "test/reconstruction", torch.cat(rows).expand(3, -1, -1).cpu()
