"""Matting as a task: samples made from layers, Adam with two rates, SAD / MSE / Grad / Conn at full resolution."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader

from a2u.data import EpochSampler, TrainingSamples, build_data
from a2u.data.sampling.compose_batch import compose_batch
from a2u.data.sampling.settings import SampleConfig
from a2u.data.types import Composite, MattingData, MattingDatasetConfig
from a2u.engine import distributed
from a2u.engine.evaluate import evaluate, seen_in_training
from a2u.engine.kernels import kernel_health, kernel_picture
from a2u.engine.memory import machine_memory
from a2u.engine.prefetch import mapping
from a2u.engine.provenance import available_cores
from a2u.engine.settings import Loss, MattingEvaluationConfig, MattingTrainerConfig, Precision
from a2u.engine.tasks.base import Picture, Seen, Task
from a2u.errors import ConfigError, DataError, NoPlaceError
from a2u.losses import adaptation_loss, gradient_loss, laplacian_loss, matting_loss
from a2u.metrics import MattingMetrics
from a2u.models.aspp import ASPP
from a2u.models.layers import NormActivation
from a2u.models.networks.base import MattingModelConfig, MattingNetwork
from a2u.models.weights.encoder_weights import load_encoder_weights
from a2u.network_input import UNKNOWN
from a2u.upsampling import Upsampler

SAMPLE_BYTES = 4 * 15  # per pixel of a composed sample: float32 maps of 15 channels
STRIPS = 4  # test images shown in TensorBoard
STRIP_SIDE = 320  # pixels at most, so that event files stay small


class Matting(Task):
    """Alpha of an image and its trimap (Sec. 6)."""

    parts: ClassVar = {
        "model": MattingModelConfig,
        "dataset": MattingDatasetConfig,
        "sample": SampleConfig,
        "trainer": MattingTrainerConfig,
        "metrics": MattingEvaluationConfig,
    }
    measured_by = "matlab or released_python"
    best_by = "sad"  # the authors keep the epoch with the lowest SAD

    def __init__(self, dataset: DictConfig, metrics: DictConfig, device: torch.device, threads: int = 1) -> None:
        cv2.setNumThreads(1)  # images are small; PyTorch has the cores
        data = build_data(dataset)
        assert isinstance(data, MattingData)
        self.data, self.how, self.device, self.threads = data, metrics, device, threads
        self.train_names, self.health = [], {}
        self.test_images = len(data.test)
        self.metrics: MattingMetrics | None = None  # of the latest evaluation
        with mapping(threads) as each:
            cases = each(data.test.__getitem__, distributed.share_of(len(data.test)))
            measurable = [bool((case.trimap == UNKNOWN).any()) for case in cases]
        if not any(distributed.gathered(any(measurable))):
            raise DataError(
                f"none of the {len(data.test)} test images of {dataset.name} has an unknown pixel (trimap value "
                f"{UNKNOWN}): there is nothing to measure; check the folder of trimaps"
            )

    @staticmethod
    def check(cfg: DictConfig, model: nn.Module) -> None:
        assert isinstance(model, MattingNetwork)
        model.check_packages()
        if cfg.sample.crop % model.multiple:
            raise ConfigError(
                f"sample.crop must be a multiple of {model.multiple}, by which the network divides; "
                f"got {cfg.sample.crop}."
            )
        check_memory(cfg.trainer.batch_size, cfg.sample.crop)
        learns = any(True for _ in model.parameters())
        if learns and model.adapts_trimap != (cfg.trainer.loss is Loss.adaptation):
            raise NoPlaceError(
                f"model={model.name} {'adapts' if model.adapts_trimap else 'does not adapt'} the trimap, so "
                f"trainer.loss={cfg.trainer.loss.name} cannot train it: set trainer.loss="
                f"{'adaptation' if model.adapts_trimap else 'matting'}."
            )
        if learns and cfg.trainer.operator_lr_ratio != 1 and not _operator_prefixes(model):
            raise NoPlaceError(
                f"model={model.name} with upsampler={cfg.upsampler.name} has no upsampling operator that learns, so "
                f"trainer.operator_lr_ratio={cfg.trainer.operator_lr_ratio:g} would have no effect: leave it out."
            )
        batch, accumulate = cfg.trainer.batch_size, cfg.trainer.accumulate
        shares = accumulate * distributed.count()
        if cfg.runtime.recompute and cfg.trainer.precision is Precision.bfloat16:
            raise ConfigError(
                "runtime.recompute=true undoes norms, for which trainer.precision=bfloat16 has too few digits: leave "
                "one of the two out."
            )
        one_sample = "trainer.batch_size=1"
        if batch > 1:
            one_sample = f"trainer.batch_size={batch} with trainer.accumulate={accumulate}, one sample a part,"
        if distributed.count() > 1:
            one_sample = f"trainer.batch_size={batch} by {shares} processes and parts, one sample each,"
        if batch % accumulate:
            raise ConfigError(
                f"trainer.accumulate must divide trainer.batch_size, so that parts are of one size; got {accumulate} "
                f"and {batch}."
            )
        if learns and batch == shares and cfg.sample.crop == model.multiple:
            raise ConfigError(
                f"{one_sample} cannot be trained on crops of {cfg.sample.crop}, which are 1x1 maps at the "
                "bottom of the network, where a norm has one value to normalise; raise one of the two."
            )
        if batch == shares and any(isinstance(part, ASPP) for part in model.modules()):
            instead = ", or model.aspp=false" if "aspp" in cfg.model else ""
            raise ConfigError(
                f"{one_sample} cannot be trained with pyramid pooling: its global pooling branch normalises "
                f"1x1 maps over the batch; set trainer.batch_size to {2 * shares} or more{instead}."
            )

    def prepare_training(self, cfg: DictConfig, model: nn.Module) -> None:
        if not any(True for _ in model.parameters()):
            return  # nothing to train
        sample_config = OmegaConf.to_object(cfg.sample)
        assert isinstance(sample_config, SampleConfig)
        self.reduced = cfg.trainer.precision is Precision.bfloat16  # the network runs in it
        self.kind = cfg.trainer.loss
        self.terms = [  # added to the loss: weight, function
            (weight, term)
            for weight, term in (
                (cfg.trainer.laplacian_weight, laplacian_loss),
                (cfg.trainer.gradient_weight, gradient_loss),
            )
            if weight
        ]
        load_encoder_weights(model, cfg.model.encoder_weights)
        self.draw_samples(cfg, sample_config)

    def draw_samples(self, cfg: DictConfig, how: SampleConfig) -> None:
        """Draw an epoch's batches from the training layers. Raises DataError without any."""
        self.samples = TrainingSamples(self.data, how, cfg.seed, cfg.trainer.iterations * cfg.trainer.batch_size)
        self.train_names = self.samples.names
        self.train_images = len(self.train_names)
        self.steps_per_epoch = cfg.trainer.iterations

    def optimizer(self, cfg: DictConfig, model: nn.Module) -> Optimizer:
        """Return Adam with two rates: new layers at lr, a pretrained encoder at lr / encoder_lr_ratio (Sec. 6.3).

        With an operator_lr_ratio other than 1 there is a third, of the upsampling operators.
        """
        lr, pretrained = cfg.trainer.lr, cfg.model.encoder_weights != "none"
        rates: dict[tuple[str, ...], float] = {}  # by prefixes of names
        rates[("encoder.",)] = lr / cfg.trainer.encoder_lr_ratio if pretrained else lr
        if cfg.trainer.operator_lr_ratio != 1:
            rates[_operator_prefixes(model)] = lr / cfg.trainer.operator_lr_ratio
        rates[("",)] = lr  # all others
        groups: dict[tuple[str, ...], list[nn.Parameter]] = {prefixes: [] for prefixes in rates}
        for name, parameter in model.named_parameters():
            groups[next(prefixes for prefixes in rates if name.startswith(prefixes))].append(parameter)
        return Adam([{"params": groups[prefixes], "lr": rate} for prefixes, rate in rates.items()], fused=True)

    def training_mode(self, cfg: DictConfig, model: nn.Module) -> None:
        """Set training mode; fix the encoder's batch norms, statistics and scale, if so configured (Sec. 6.3)."""
        model.train()
        for part in model.modules():
            if isinstance(part, NormActivation):
                part.recompute = cfg.runtime.recompute
        frozen = cfg.trainer.freeze_encoder_norm
        if frozen is None:
            frozen = cfg.model.encoder_weights != "none"
        if not frozen:
            return
        for part in model.get_submodule("encoder").modules():
            if hasattr(part, "running_mean"):  # any norm over the batch
                part.eval()
                part.requires_grad_(False)

    def batches(self, cfg: DictConfig, epoch: int, done: int) -> Iterator[dict[str, Any]]:
        size, share = cfg.trainer.batch_size, distributed.share_of_batch(cfg.trainer.batch_size)
        keys = EpochSampler(len(self.samples), epoch, done * size, distributed.rank(), distributed.count())
        loader = DataLoader(
            self.samples,
            share,
            sampler=keys,
            num_workers=_workers(cfg, self.device),
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # the loader's own draws must not move the global generator
        )
        for batch in with_plain_errors(loader):
            tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
            crops = {key: value.to(self.device, non_blocking=True) for key, value in tensors.items()}
            yield {"origin": batch["origin"]} | compose_batch(crops)

    def step(self, cfg: DictConfig, model: nn.Module) -> Callable[[Any], Tensor]:
        """Compute a step in trainer.accumulate parts and trainer.precision; weights and loss stay float32."""

        def backward(batch: dict[str, Any]) -> Tensor:
            model.zero_grad(set_to_none=True)
            total = torch.zeros((), device=self.device)
            parts = list(_parts(batch, cfg.trainer.accumulate))
            for part in parts:
                with distributed.no_sync_if(model, part is not parts[-1]):
                    loss = self.loss(model, part) / len(parts)
                    loss.backward()
                total += loss.detach()
            return total

        return backward

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        adapts = self.kind is Loss.adaptation
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
            outputs = model(batch["input"], for_loss=True) if adapts else (model(batch["input"]),)
        prediction, *others = (part.float() if self.reduced else part for part in outputs)
        alpha, unknown = batch["alpha"], batch["unknown"]
        if adapts:
            trimap, log_deviations = others
            loss = adaptation_loss(prediction, trimap, log_deviations, alpha)
        elif self.kind is Loss.laplacian:
            loss = laplacian_loss(prediction, alpha, unknown)
        else:
            loss = matting_loss(prediction, alpha, unknown, *(batch[key] for key in ("fg", "bg", "image")))
        for weight, term in self.terms:
            loss = loss + weight * term(prediction, alpha, unknown)
        return loss

    def origin(self, batch: dict[str, Any]) -> str:
        return ", ".join(batch["origin"])

    def evaluate(self, model: nn.Module, predictions: Path | None, seen: Seen) -> dict[str, float]:
        def one(done: int, total: int, case: Composite, prediction: np.ndarray) -> None:
            seen(done, total, strip(case, prediction) if done <= STRIPS and distributed.is_rank_zero() else None)

        assert isinstance(model, MattingNetwork)
        self.metrics = evaluate(model, self.data.test, self.how, predictions, one, self.threads, self.tile, self.ablate)
        if not distributed.is_rank_zero():
            return self.metrics.mean()
        first = self.data.test[0]
        self.health = kernel_health(model, first)
        picture = kernel_picture(model, first)
        if picture is not None:
            seen(len(self.data.test), len(self.data.test), ("kernels/" + first.name, picture))
        return self.metrics.mean()

    def per_image(self) -> list[dict[str, Any]]:
        return list(self.metrics.rows()) if self.metrics else []

    def write_details(self, path: Path) -> None:
        assert self.metrics is not None
        self.metrics.write_csv(path)

    def extra_fields(self) -> dict[str, Any]:
        return {
            "undefined": self.metrics.undefined if self.metrics else [],
            "warnings": seen_in_training(self.train_names, list(self.data.test_names)),
        }

    def checksum(self) -> str:
        return self.data.checksum()


def _operator_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Return what the names of the operators' parameters start with: a prefix for every operator that learns."""
    operators = [(name, part) for name, part in model.named_modules() if isinstance(part, Upsampler)]
    return tuple(f"{name}." for name, part in operators if any(True for _ in part.parameters()))


def check_memory(batch: int, crop: int) -> None:
    """Raise ConfigError if the maps of a batch alone, which `compose_batch` makes, exceed this machine's memory."""
    memory, one = machine_memory(), SAMPLE_BYTES * crop**2
    if memory and batch * one > memory:
        raise ConfigError(
            f"trainer.batch_size={batch}: one batch of crops of {crop} x {crop} would take {batch * one / 2**30:,.0f} "
            f"GB, and this machine has {memory / 2**30:,.0f} GB; set it to {memory // one:,} at the very most."
        )


def _parts(batch: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Split the batch's tensors into `count` parts of equal size."""
    tensors = {key: value.chunk(count) for key, value in batch.items() if isinstance(value, Tensor)}
    for values in zip(*tensors.values(), strict=True):
        yield dict(zip(tensors, values, strict=True))


def strip(case: Composite, prediction: np.ndarray) -> Picture:
    """Return image | trimap | prediction | truth | error, side by side."""
    factor = min(1.0, STRIP_SIDE / max(case.trimap.shape))
    shown = [
        cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for picture in (case.image, case.trimap, prediction, case.alpha)
    ]
    image, *maps = (torch.from_numpy(picture.copy()) / 255 for picture in shown)
    maps.append((maps[1] - maps[2]).abs())
    return f"test/{case.name}", torch.cat([image.permute(2, 0, 1), *(m.expand(3, -1, -1) for m in maps)], dim=2)


def with_plain_errors(loader: Iterable[Any]) -> Iterator[Any]:
    """Say in a sentence what went wrong in a data worker, whose errors come with their traceback.

    Raises:
        DataError: a worker's, whose sentence is its last line.
        ConfigError: the memory in which workers hand samples over is too small.
    """
    try:
        yield from loader
    except DataError as error:
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("a2u.errors.DataError: ")) from error
    except RuntimeError as error:
        if "shared memory" not in str(error) and "</torch_" not in str(error):  # how PyTorch calls its files there
            raise
        raise ConfigError(
            "data-loading processes hand samples over in shared memory, and there is too little of it in /dev/shm: set "
            "runtime.workers=0, or enlarge it (of a container: --shm-size=8g)."
        ) from error


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def _workers(cfg: DictConfig, device: torch.device) -> int:
    """Return the number of data-loading processes; samples do not depend on it."""
    if cfg.runtime.workers is not None:
        return cfg.runtime.workers
    return min(8, available_cores() - 1) if device.type == "cuda" else 0
