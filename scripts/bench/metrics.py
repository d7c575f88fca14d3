"""The four metrics of matting against the textbook, and evaluation against one image after the other."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from scipy import ndimage

from a2u.config import compose
from a2u.data.files.folders import CompositeFile, CompositeFiles
from a2u.data.files.images import write_png
from a2u.engine.evaluate import evaluate, predict
from a2u.metrics import all_metrics
from a2u.models.networks.trimap_only import TrimapOnly
from scripts.bench.measure import Line, seconds

SIZE = (1240, 1600)  # of a usual test image, pixels
IMAGES = 6  # evaluated
THREADS = (1, 2)


def lines() -> Iterator[Line]:
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)  # as in an evaluation
    torch.set_num_threads(1)
    try:
        yield metrics_line()
        yield from evaluation_lines()
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def metrics_line() -> Line:
    images = matte(SIZE)
    ours, textbook = seconds(lambda: all_metrics(*images), lambda: textbook_metrics(*images), clock=time.process_time)
    return Line(
        group="metrics",
        what=f"SAD, MSE, Grad, Conn of one {SIZE[0]} × {SIZE[1]} image, a fifth of it unknown; CPU time",
        unit="s",
        ours=ours,
        reference=textbook,
        target=15,
        plain="NumPy and SciPy on whole images: dense filters; components, their areas and distances per threshold",
    )


def evaluation_lines() -> Iterator[Line]:
    """Images a second of reading, predicting and measuring, where the network takes next to nothing."""
    how, model = compose([]).metrics, TrimapOnly()
    with TemporaryDirectory() as folder:
        test = CompositeFiles([_written(Path(folder), seed) for seed in range(IMAGES)])

        def one_after_the_other() -> None:
            for index in range(len(test)):
                case = test[index]
                all_metrics(predict(model, case.image, case.trimap), case.alpha, case.trimap)

        plain, *ours = seconds(
            one_after_the_other, *(partial(evaluate, model, test, how, threads=count) for count in THREADS), repeats=3
        )
    for count, taken in zip(THREADS, ours, strict=True):
        yield Line(
            group="evaluation",
            what=f"{SIZE[0]} × {SIZE[1]} PNG images, the trimap as prediction, evaluation_threads={count}; wall time",
            unit="1/s",
            ours=IMAGES / taken,
            reference=IMAGES / plain,
            plain="a loop that reads, predicts and measures one image after the other",
        )


def _written(folder: Path, seed: int) -> CompositeFile:
    """A test case in PNG files."""
    _, alpha, trimap = matte(SIZE, seed)
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    files = CompositeFile(str(seed), *(folder / f"{seed}_{kind}.png" for kind in ("image", "trimap", "alpha")))
    for path, picture in zip(files[1:], (cv2.GaussianBlur(image, (0, 0), 2), trimap, alpha), strict=True):
        write_png(path, picture)
    return files


def matte(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, true alpha and trimap, (H, W) uint8 each: a smooth shape with hair, a fifth of it unknown."""
    height, width = size
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = np.arctan2(y, x)
    # Distance from a wavy outline, in units of its radius; negative inside.
    outside = np.hypot(x, y) / (0.6 + 0.05 * np.cos(3 * angle) + 0.03 * np.sin(7 * angle)) - 1
    hair = cv2.GaussianBlur(generator.standard_normal(size), (0, 0), sigmaX=1.2, sigmaY=12)  # strands that hang
    hair = hair / hair.std()
    # Between opaque and clear lies a band in which strands decide.
    near = np.abs(outside)
    unknown = near <= np.quantile(near, 0.2)
    truth = np.where(unknown, 0.5 - outside / near[unknown].max() / 2 + 0.3 * hair, outside < 0)
    found = cv2.GaussianBlur(truth.clip(0, 1), (0, 0), 2) + 0.03 * generator.standard_normal(size)
    trimap = np.where(unknown, 128, np.where(outside < 0, 255, 0)).astype(np.uint8)
    pred, alpha = (np.rint(255 * values.clip(0, 1)).astype(np.uint8) for values in (found, truth))
    return np.where(unknown, pred, trimap), alpha, trimap


def textbook_metrics(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """{"sad", "mse", "grad", "conn"} as the formulas are written, whole images at every step.

    Arguments as for `a2u.metrics.all_metrics`.
    """
    unknown = trimap == 128
    p, a = pred / 255, alpha / 255
    gradients = _magnitude(p) - _magnitude(a)
    return {
        "sad": float((np.abs(p - a) * unknown).sum() / 1000),
        "mse": float(((p - a) ** 2 * unknown).sum() / unknown.sum()),
        "grad": float((gradients**2 * unknown).sum() / 1000),
        "conn": float((np.abs(_phi_difference(p, a)) * unknown).sum() / 1000),
    }


def _magnitude(image: np.ndarray) -> np.ndarray:
    """|∇| of the stretched image by the whole 9 × 9 filters."""
    stretched = (image - image.min()) / (image.max() - image.min())
    y, x = np.mgrid[-4:5, -4:5]
    kernel = x * np.exp(-(x**2 + y**2) / (2 * 1.4**2))
    kernel /= np.sqrt((kernel**2).sum())
    along_x, along_y = (ndimage.convolve(stretched, k, mode="nearest") for k in (kernel, kernel.T))
    return np.sqrt(along_x**2 + along_y**2)


def _phi_difference(pred: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """φ_p - φ_a at every pixel."""
    pred, alpha = pred.astype(np.float32), alpha.astype(np.float32)
    dropped_at = np.full(pred.shape, -1, np.float32)
    thresholds = np.linspace(0, 1, 11).astype(np.float32)
    for last, threshold in pairwise(thresholds):
        labels, count = ndimage.label(((pred >= threshold) & (alpha >= threshold)).T)  # first down the columns
        if count == 0:
            continue
        boxes = ndimage.find_objects(labels)
        areas = [np.count_nonzero(labels[box] == label) for label, box in enumerate(boxes, start=1)]
        component = (labels == 1 + np.argmax(areas)).T
        dropped_at[(dropped_at == -1) & ~component] = last
        ndimage.distance_transform_edt(~component)  # as the benchmark's program does, though no figure needs it
    dropped_at[dropped_at == -1] = 1
    above_pred, above_alpha = pred - dropped_at, alpha - dropped_at
    return above_pred * (above_pred >= 0.15) - above_alpha * (above_alpha >= 0.15)
