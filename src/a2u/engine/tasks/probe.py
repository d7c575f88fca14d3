"""The probe as a task: restore alpha from its own eighth, L1 loss, Adam; MAE, MSE and Grad in the mixed region."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, l1_loss
from torch.optim import Adam, Optimizer

from a2u.data.files.images import write_png
from a2u.data.sampling.settings import SampleConfig
from a2u.data.types import Composite, MattingDatasetConfig
from a2u.engine import distributed
from a2u.engine.ablation import Ablation, ablated, next_of_same_size
from a2u.engine.evaluate import evaluation_mode
from a2u.engine.health import watched
from a2u.engine.settings import MixedEvaluationConfig, ProbeTrainerConfig
from a2u.engine.tasks.base import Seen, Task
from a2u.engine.tasks.matting import STRIPS, Matting, check_memory, strip
from a2u.errors import ConfigError
from a2u.metrics import MattingMetrics
from a2u.metrics.mixed import NAMES, mixed_metrics
from a2u.models.networks.probe import ProbeModelConfig, ProbeNet
from a2u.network_input import network_input


class Probe(Matting):
    """Samples and test images of matting; the true alpha, averaged, takes the place of the trimap."""

    parts: ClassVar = {
        "model": ProbeModelConfig,
        "dataset": MattingDatasetConfig,
        "sample": SampleConfig,
        "trainer": ProbeTrainerConfig,
        "metrics": MixedEvaluationConfig,
    }
    measured_by = "mixed"
    best_by = "mae"

    @staticmethod
    def check(cfg: DictConfig, model: nn.Module) -> None:
        assert isinstance(model, ProbeNet)
        if cfg.sample.crop % model.multiple:
            raise ConfigError(f"sample.crop must be a multiple of {model.multiple}; got {cfg.sample.crop}.")
        check_memory(cfg.trainer.batch_size, cfg.sample.crop)
        if distributed.count() > 1:
            raise ConfigError("the probe is a network of minutes and trains in one process: leave out torchrun.")

    def prepare_training(self, cfg: DictConfig, model: nn.Module) -> None:
        sample_config = OmegaConf.to_object(cfg.sample)
        assert isinstance(sample_config, SampleConfig)
        self.draw_samples(cfg, sample_config)

    def optimizer(self, cfg: DictConfig, model: nn.Module) -> Optimizer:
        return Adam(model.parameters(), cfg.trainer.lr, fused=True)

    training_mode, step = Task.training_mode, Task.step  # nothing is frozen, a batch is one part

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> Tensor:
        return l1_loss(model(torch.cat([batch["input"][:, :3], batch["alpha"]], dim=1)), batch["alpha"])

    def evaluate(self, model: nn.Module, predictions: Path | None, seen: Seen) -> dict[str, float]:
        assert isinstance(model, ProbeNet)
        self.metrics = MattingMetrics(lambda pred, alpha, trimap: mixed_metrics(pred, alpha), NAMES)
        test = self.data.test
        others = next_of_same_size(test) if self.ablate is Ablation.other_guide else {}
        restore = partial(self._restored, model)

        def restore_ablated(index: int, case: Composite) -> tuple[np.ndarray, np.ndarray]:
            return ablated(self.ablate, model, partial(restore, case), lambda: restore(test[others[index]]))

        with evaluation_mode(model), torch.inference_mode():
            with watched(model) as self.health:
                restore(test[0])
            for index in range(len(test)):
                case = test[index]
                restored, given = restore_ablated(index, case)
                self.metrics.update(case.name, restored, case.alpha, case.trimap)
                if predictions is not None:
                    write_png(predictions / f"{case.name}.png", restored)
                shown = strip(case._replace(trimap=given), restored) if index < STRIPS else None
                seen(index + 1, len(test), shown)
        return self.metrics.mean()

    def _restored(self, model: ProbeNet, case: Composite) -> tuple[np.ndarray, np.ndarray]:
        """Return the restored alpha, clamped and rounded to 8 bits, and the averaged one that the decoder was given."""
        height, width = case.alpha.shape
        sides = ((0, -height % model.multiple), (0, -width % model.multiple))
        image, alpha = np.pad(case.image, (*sides, (0, 0)), mode="reflect"), np.pad(case.alpha, sides, mode="reflect")
        x = network_input(image, alpha)[None].to(self.device)
        given = interpolate(avg_pool2d(x[:, 3:], model.multiple), scale_factor=model.multiple)
        pair = torch.cat([model(x), given])[:, 0, :height, :width]
        restored, shown = (255 * pair.clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
        return restored, shown
