"""Evaluation at full resolution (spec of Sec. 6.3: 8-bit alphas, metrics over the unknown region)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import nn

from a2u.data import network_input
from a2u.data.images import write_png
from a2u.data.trimaps import UNKNOWN
from a2u.data.types import Composite, Composites
from a2u.errors import A2UError
from a2u.metrics import MattingMetrics, all_metrics, released

MULTIPLE = 16  # the network halves its input four times
PROGRAMS = {"matlab": all_metrics, "released_python": released.all_metrics}


class PredictionError(A2UError, ArithmeticError):
    """A prediction is not a number."""


def predict(model: nn.Module, image: np.ndarray, trimap: np.ndarray, rounding: str = "nearest") -> np.ndarray:
    """Alpha of one image, at its own size.

    Reflect-padded right and bottom to a multiple of 16, cropped back, clamped, known trimap pixels pasted in,
    8 bit.

    Args:
        model: (N, 4, H, W) -> (N, 1, H, W), in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        trimap: (H, W) uint8, 0 / 128 / 255.
        rounding: "nearest", or "truncate" as the released program does.

    Returns:
        (H, W) uint8.

    Raises:
        PredictionError: the prediction holds NaN or infinite values.
    """
    height, width = trimap.shape
    bottom, right = -height % MULTIPLE, -width % MULTIPLE
    padded_image = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="reflect")
    padded_trimap = np.pad(trimap, ((0, bottom), (0, right)), mode="reflect")
    device = next(model.parameters(), torch.empty(0)).device
    with torch.inference_mode():
        alpha = model(network_input(padded_image, padded_trimap)[None].to(device))
    alpha = alpha[0, 0, :height, :width].float().cpu().numpy()
    if not np.isfinite(alpha).all():
        raise PredictionError("the network's prediction holds NaN or infinite values; its weights cannot be used.")
    alpha = alpha.clip(0, 1) * 255
    alpha = (np.floor(alpha) if rounding == "truncate" else np.rint(alpha)).astype(np.uint8)
    return np.where(trimap == UNKNOWN, alpha, trimap)


def evaluate(
    model: nn.Module,
    test: Composites,
    cfg: DictConfig,
    predictions: Path | None = None,
    seen: Callable[[int, int, Composite, np.ndarray], None] | None = None,
) -> MattingMetrics:
    """The four metrics of every test case.

    Args:
        model: network; put into evaluation mode, and every part back into its own.
        test: the test cases.
        cfg: `metrics` of a configuration (whose program, rounding).
        predictions: folder for the predicted alphas as PNG, or None.
        seen: called after each image with (images done, images, case, prediction).
    """
    metrics = MattingMetrics(PROGRAMS[cfg.program.name])
    modes = {module: module.training for module in model.modules()}  # some may be frozen: restore each, not the whole
    model.eval()
    for index in range(len(test)):
        case = test[index]
        prediction = predict(model, case.image, case.trimap, cfg.rounding.name)
        metrics.update(case.name, prediction, case.alpha, case.trimap)
        if predictions is not None:
            write_png(predictions / f"{case.name}.png", prediction)
        if seen is not None:
            seen(index + 1, len(test), case, prediction)
    for module, mode in modes.items():
        module.training = mode
    return metrics


def seen_in_training(train_names: list[str], test_names: list[str]) -> list[str]:
    """One sentence where test images bear the name of a training foreground (`<fg>` or `<fg>_<number>`)."""
    known = set(train_names)
    shared = [name for name in test_names if name in known or name.rpartition("_")[0] in known]
    if not shared:
        return []
    names = ", ".join(shared[:20]) + (f" and {len(shared) - 20} more" if len(shared) > 20 else "")
    return [
        f"{len(shared)} of {len(test_names)} test images bear the name of a foreground this network was trained on "
        f"({names}): these numbers say nothing about unseen images."
    ]
