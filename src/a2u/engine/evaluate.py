"""Evaluate mattes at full resolution (Sec. 6.3: 8-bit alphas, metrics over the unknown region)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from omegaconf import DictConfig
from torch import nn

from a2u.data.files.images import write_png
from a2u.data.types import Composite, Composites
from a2u.engine import distributed
from a2u.engine.ablation import Ablation, ablated, next_of_same_size
from a2u.engine.prefetch import mapping
from a2u.errors import A2UError
from a2u.metrics import MattingMetrics, all_metrics, released
from a2u.models.networks.base import MattingNetwork
from a2u.models.tiled import tiled
from a2u.network_input import UNKNOWN, network_input

PROGRAMS = {"matlab": all_metrics, "released_python": released.all_metrics}


class PredictionError(A2UError, ArithmeticError):
    """A prediction holds NaN or infinite values."""


def predict(
    model: MattingNetwork, image: np.ndarray, trimap: np.ndarray, rounding: str = "nearest", tile: int | None = None
) -> np.ndarray:
    """Return the alpha of one image, at its own size: clamped, known trimap pixels pasted in, 8 bit.

    The image is brought to a size the network takes, and the alpha back, as in its authors' program: reflect-padded
    right and bottom, or resized (`model.fit`).

    Args:
        model: in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        trimap: (H, W) uint8, 0 / 128 / 255.
        rounding: "nearest", or "truncate" as the released program does.
        tile: side in pixels of the tiles that a large image is computed in; None: whole.

    Returns:
        (H, W) uint8.

    Raises:
        PredictionError: the prediction holds NaN or infinite values.
        ValueError: the network cannot be computed in tiles, or not in tiles of that side.
    """
    alpha = predict_unit(model, image, trimap, tile) * 255
    return (np.floor(alpha) if rounding == "truncate" else np.rint(alpha)).astype(np.uint8)


def predict_unit(model: MattingNetwork, image: np.ndarray, trimap: np.ndarray, tile: int | None = None) -> np.ndarray:
    """Return the alpha as `predict` does, not rounded: (H, W) float32 in 0..1; the image may be so, too."""
    alpha = FITS[model.fit](model, image, trimap, tile)
    if not np.isfinite(alpha).all():
        raise PredictionError("the network's prediction holds NaN or infinite values; its weights cannot be used.")
    return np.where(trimap == UNKNOWN, alpha.clip(0, 1), trimap / np.float32(255))


def _padded(model: MattingNetwork, image: np.ndarray, trimap: np.ndarray, tile: int | None) -> np.ndarray:
    height, width = trimap.shape
    bottom, right = -height % model.multiple, -width % model.multiple
    x = network_input(  # frees the padded copies, which large images need
        np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="reflect"),
        np.pad(trimap, ((0, bottom), (0, right)), mode="reflect"),
    )
    return _run(model, x, tile)[:height, :width]


def _resized(model: MattingNetwork, image: np.ndarray, trimap: np.ndarray, tile: int | None) -> np.ndarray:
    """Predict at a larger size: (normalised) image resized bicubically, trimap to the nearest, alpha bicubically."""
    height, width = trimap.shape
    larger = (width + -width % model.multiple, height + -height % model.multiple)  # OpenCV's order
    x = network_input(image, trimap).numpy()
    colours = cv2.resize(x[:3].transpose(1, 2, 0), larger, interpolation=cv2.INTER_CUBIC)  # (H', W', 3)
    nearest = cv2.resize(x[3], larger, interpolation=cv2.INTER_NEAREST)
    alpha = _run(model, torch.from_numpy(np.concatenate([colours.transpose(2, 0, 1), nearest[None]])), tile)
    return cv2.resize(alpha, (width, height), interpolation=cv2.INTER_CUBIC)


FITS = {"pad": _padded, "resize": _resized}


def _run(model: MattingNetwork, x: torch.Tensor, tile: int | None) -> np.ndarray:
    """Run the network: (4, H, W) -> alpha (H, W) float32."""
    device = next(model.parameters(), torch.empty(0)).device
    with torch.inference_mode():
        x = x[None].to(device)
        alpha = model(x) if tile is None else tiled(model, x, tile)
        return alpha[0, 0].float().cpu().numpy()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; afterwards every part has its own mode again, since some may be frozen."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def evaluate(
    model: MattingNetwork,
    test: Composites,
    cfg: DictConfig,
    predictions: Path | None = None,
    seen: Callable[[int, int, Composite, np.ndarray], None] | None = None,
    threads: int = 1,
    tile: int | None = None,
    ablate: Ablation = Ablation.none,
) -> MattingMetrics:
    """Return the four metrics of every test case.

    The network predicts in the caller's thread. Others prefetch the next cases, and measure and write the
    latest predictions. Each rank evaluates a part of the test set, and all get all metrics.
    Numbers and order do not depend on the number of threads or processes.

    Args:
        model: put into evaluation mode; every part's own mode is restored.
        test: the test cases.
        cfg: `metrics` of a configuration (whose program, rounding).
        predictions: folder for the predicted alphas as PNG, or None.
        seen: called after each image with (images done, images, case, prediction), in the order of the test set;
            each rank sees its own images.
        threads: number that read, measure and write; 1: no threads. Each holds about two cases in memory.
        tile: as for `predict`.
        ablate: what is taken away from the network's operators; the guides are then those of the next case whose
            image has the same size.

    Raises:
        DataError: there is no such case.
    """
    metrics = MattingMetrics(PROGRAMS[cfg.program.name])
    others = next_of_same_size(test) if ablate is Ablation.other_guide else {}

    def alpha(case: Composite) -> np.ndarray:
        return predict(model, case.image, case.trimap, cfg.rounding.name, tile)

    def predicted(number: int, case: Composite) -> tuple[Composite, np.ndarray]:
        try:
            return case, ablated(ablate, model, lambda: alpha(case), lambda: alpha(test[others[number]]))
        except A2UError as error:
            raise type(error)(f"image {case.name!r}: {error}") from error

    def measured(found: tuple[Composite, np.ndarray]) -> tuple[Composite, np.ndarray, dict[str, float]]:
        case, prediction = found
        values = metrics.measured(case.name, prediction, case.alpha, case.trimap)
        if predictions is not None:
            write_png(predictions / f"{case.name}.png", prediction)
        return case, prediction, values

    share, found = distributed.share_of(len(test)), []
    with evaluation_mode(model), mapping(threads) as each:
        cases = each(test.__getitem__, share)
        for done, (case, prediction, values) in enumerate(each(measured, map(predicted, share, cases)), start=1):
            found.append((case.name, values))
            if seen is not None:
                seen(done, len(share), case, prediction)
    for part in distributed.gathered(found):
        for name, values in part:
            metrics.add(name, values)
    return metrics


def seen_in_training(train_names: list[str], test_names: list[str]) -> list[str]:
    """Return a warning if test images are named like a training foreground (`<fg>` or `<fg>_<number>`)."""
    known = set(train_names)
    shared = [name for name in test_names if name in known or name.rpartition("_")[0] in known]
    if not shared:
        return []
    names = ", ".join(shared[:20]) + (f" and {len(shared) - 20} more" if len(shared) > 20 else "")
    return [
        f"{len(shared)} of {len(test_names)} test images are named like a foreground that this network was trained on "
        f"({names}): these numbers say nothing about unseen images."
    ]
