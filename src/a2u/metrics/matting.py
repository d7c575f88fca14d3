"""The four metrics of matting, equal to those of the MATLAB evaluation program.

SAD, MSE, Grad and Conn, as the paper's tables print them, over the unknown region (trimap == 128)
of 8-bit images. The program is the one that came with Deep Image Matting and lies in the authors'
release (matlab_testcode); Grad and Conn are due to Rhemann et al., "A Perceptually Motivated Online
Benchmark for Image Matting" (CVPR 2009).

`sad`, `mse`, `grad`, `conn` each check and measure one (prediction, true alpha, trimap);
`all_metrics` measures all four together, and `MattingMetrics` gathers a test set. The functions
below them work on checked images with values in 0..1 and are shared with `released.py`, the
authors' Python metrics.
"""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from a2u.errors import A2UError, DataError
from a2u.files import replacing

NAMES = ("sad", "mse", "grad", "conn")
UNKNOWN = 128  # the trimap's value for "unknown"; 0 is background, 255 foreground
SIGMA = 1.4  # of Grad's Gaussian, pixels


class UndefinedMetric(A2UError, ValueError):
    """There is no pixel to measure on: the trimap has no unknown region."""


def sad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Sum of absolute differences over the unknown region, in thousands.

    Args:
        pred: (H, W) uint8, the predicted alpha, 255 = opaque.
        alpha: (H, W) uint8, the true alpha.
        trimap: (H, W) uint8: 0 background, 128 unknown, 255 foreground.

    Raises:
        DataError: the three are not uint8 images of one size, or the trimap has other values.
        UndefinedMetric: no pixel of the trimap is 128.

    Source: MATLAB evaluation program, compute_sad_loss.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> round(sad(alpha // 5, alpha, np.full_like(alpha, 128)), 6)
    0.0064
    """
    return absolute_difference(*_unit_images(pred, alpha, trimap))


def mse(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Mean squared difference over the unknown region, alphas in 0..1.

    Arguments and errors as for `sad`. Source: MATLAB evaluation program, compute_mse_loss.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> round(mse(alpha // 5, alpha, np.full_like(alpha, 128)), 6)
    0.32
    """
    return squared_difference(*_unit_images(pred, alpha, trimap))


def grad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Gradient error over the unknown region, in thousands: sum (|∇pred| - |∇alpha|)² / 1000.

    Each whole image is first stretched to 0..1 by its own minimum and maximum, so a faded
    prediction costs nothing here; a constant one has no gradient. Arguments and errors as for
    `sad`. Source: MATLAB evaluation program, compute_gradient_loss.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> round(grad(np.zeros_like(alpha), alpha, np.full_like(alpha, 128)), 6)
    0.076064
    """
    return _gradient_difference(*_unit_images(pred, alpha, trimap))


def conn(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Connectivity error over the unknown region, in thousands.

    It asks of each pixel how far its alpha lies above the last threshold (0, 0.1 .. 1) up to which
    it belongs to the largest region that both images share. Thresholds that no pixel reaches in
    both images are skipped, as in the program: a black prediction has Conn 0. Arguments and errors
    as for `sad`. Source: MATLAB evaluation program, compute_connectivity_error.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> pred = np.tile(np.uint8([0, 0, 51, 255]), (4, 1))
    >>> round(conn(pred, alpha, np.full_like(alpha, 128)), 6)
    0.0032
    """
    return connectivity_difference(*_unit_images(pred, alpha, trimap), scan_order="F")


def all_metrics(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """The four metrics together, images checked and scaled once: {"sad", "mse", "grad", "conn"}.

    Arguments and errors as for `sad`.
    """
    images = _unit_images(pred, alpha, trimap)
    return {
        "sad": absolute_difference(*images),
        "mse": squared_difference(*images),
        "grad": _gradient_difference(*images),
        "conn": connectivity_difference(*images, scan_order="F"),
    }


class MattingMetrics:
    """The metrics of a test set, image by image.

    An image without an unknown region has no metrics: it is named in `undefined`, keeps empty cells
    in the CSV and is left out of the mean.

    Args:
        measure: `all_metrics`, or the function of that name in `a2u.metrics.released`.
    """

    def __init__(
        self,
        measure: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, float]] = all_metrics,
    ) -> None:
        self.measure = measure
        self.images: dict[str, dict[str, float]] = {}  # image name -> its metrics; {} where undefined

    def update(self, name: str, pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> None:
        """Measure one image; arguments as for `sad`.

        Raises:
            DataError: as `sad` does, the message naming the image; or `name` was measured before.
        """
        self.add(name, self.measured(name, pred, alpha, trimap))

    def measured(self, name: str, pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
        """The metrics of an image, {} where undefined, for `add`; several threads may measure at a time.

        Arguments and errors as for `sad`, the message naming the image.
        """
        try:
            return self.measure(pred, alpha, trimap)
        except UndefinedMetric:
            return {}
        except DataError as error:
            raise DataError(f"Image {name!r}: {error}") from error

    def add(self, name: str, values: dict[str, float]) -> None:
        """Take in what was `measured`; DataError where the set has an image of that name."""
        if name in self.images:
            raise DataError(
                f"The image {name!r} is measured a second time and would count twice in the mean; "
                "give every image its own name."
            )
        self.images[name] = values

    @property
    def undefined(self) -> list[str]:
        """Names of the images without an unknown region."""
        return [name for name, values in self.images.items() if not values]

    def mean(self) -> dict[str, float]:
        """Mean of each metric over the images that have it; UndefinedMetric where none has."""
        defined = [values for values in self.images.values() if values]
        if not defined:
            raise UndefinedMetric(
                f"There is no mean: of {len(self.images)} images measured, none has an unknown "
                f"region (trimap value {UNKNOWN}); check the folder of trimaps."
            )
        return {name: float(np.mean([values[name] for values in defined])) for name in NAMES}

    def rows(self) -> list[dict[str, str | float | None]]:
        """One {"name", "sad", "mse", "grad", "conn"} an image, in order; None where undefined."""
        return [{"name": image, **{name: values.get(name) for name in NAMES}} for image, values in self.images.items()]

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `rows()` under a header. The file appears whole or not at all."""
        with replacing(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=["name", *NAMES], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows())  # None becomes an empty cell


def unknown_region(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Check the three images of a metric and return (H, W) bool: where the trimap is unknown.

    Arguments and errors as for `sad`.
    """
    for name, image in {"prediction": pred, "true alpha": alpha, "trimap": trimap}.items():
        if not isinstance(image, np.ndarray):
            raise DataError(
                f"The {name} is of type {type(image).__name__}; the metrics take NumPy arrays: "
                "convert it to an array of type uint8."
            )
        if image.dtype != np.uint8:
            raise DataError(
                f"The {name} has type {image.dtype}; the metrics are defined on 8-bit images: "
                "convert it to uint8 with values 0..255, 255 = opaque."
            )
        if image.ndim != 2:
            raise DataError(
                f"The {name} has shape {image.shape}; expected one channel, (height, width): "
                "take a single channel of it."
            )
    if not pred.shape == alpha.shape == trimap.shape:
        raise DataError(
            f"The prediction is {pred.shape}, the true alpha {alpha.shape} and the trimap "
            f"{trimap.shape} (height, width), but the three must have one size: "
            "check that they belong to the same image."
        )
    unknown = trimap == UNKNOWN
    if not (unknown | (trimap == 0) | (trimap == 255)).all():
        raise DataError(
            f"The trimap has the values {_listed(trimap)}; expected only 0 (background), {UNKNOWN} "
            "(unknown) and 255 (foreground): check that it is a trimap, and was not resized with "
            "interpolation or saved with loss."
        )
    if not unknown.any():
        raise UndefinedMetric(
            f"The trimap has no unknown pixel (value {UNKNOWN}), its values are {_listed(trimap)}: "
            "there is nothing to measure; leave the image out or mark an unknown region."
        )
    return unknown


def absolute_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """SAD of (H, W) float images in 0..1 over the bool (H, W) `unknown`, in thousands."""
    return float(np.abs(pred[unknown] - alpha[unknown]).sum() / 1000)


def squared_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """MSE of (H, W) float images in 0..1 over the bool (H, W) `unknown`."""
    return float(np.square(pred[unknown] - alpha[unknown]).mean())


def connectivity_difference(
    pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray, scan_order: Literal["C", "F"]
) -> float:
    """Conn of (H, W) float images in 0..1 over the bool (H, W) `unknown`, in thousands.

    `scan_order` decides between largest components of equal size: the one reached first going
    down the columns, "F", or along the rows, "C".
    """
    # In float32, as the program compares: 153/255 then reaches the threshold 0.6 however 0.6 was rounded.
    pred, alpha = pred.astype(np.float32), alpha.astype(np.float32)
    shared = np.minimum(pred, alpha)  # shared >= t  <=>  pred >= t and alpha >= t

    connected_to = np.ones(np.count_nonzero(unknown), np.float32)  # l; stays 1 where never dropped
    inside = None  # a pixel of the component found last, which is in the mask of every lower threshold too
    for step in range(10, 0, -1):  # downwards, so that the lowest step that drops a pixel has the last word
        component = _largest_component(shared >= np.float32(step / 10), scan_order, inside)
        if component is not None:
            connected_to[~component[unknown]] = (step - 1) / 10
            inside = np.unravel_index(component.argmax(), component.shape)

    # φ = 1 - d·[d >= 0.15], d = value - l; the 1 cancels in φ_p - φ_a
    above_pred, above_alpha = pred[unknown] - connected_to, alpha[unknown] - connected_to
    phi_difference = above_pred * (above_pred >= 0.15) - above_alpha * (above_alpha >= 0.15)
    return float(np.abs(phi_difference).sum(dtype=np.float64) / 1000)


def _unit_images(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The checked images, (H, W): prediction and alpha as float64 in 0..1, bool unknown region."""
    unknown = unknown_region(pred, alpha, trimap)
    return pred / 255.0, alpha / 255.0, unknown


def _gradient_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Grad of (H, W) float64 images over the bool (H, W) `unknown`, in thousands."""
    difference = _gradient_magnitude(pred, unknown) - _gradient_magnitude(alpha, unknown)
    return float(np.square(difference).sum() / 1000)


def _gradient_magnitude(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """|∇| of the stretched (H, W) float64 image by Gaussian derivatives, borders replicated.

    (n,): at the n pixels of the bool (H, W) `where`, of which there is at least one.
    """
    low, high = image.min(), image.max()
    if low == high:
        return np.zeros(np.count_nonzero(where))

    # The filter ends where the Gaussian's density falls below 0.01: 4 pixels from its middle.
    half_size = int(np.ceil(SIGMA * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * SIGMA * 0.01))))
    offset = np.arange(-half_size, half_size + 1, dtype=np.float64)
    gaussian = np.exp(-(offset**2) / (2 * SIGMA**2))
    derivative = offset * gaussian
    # The 2-D filter divided by its L2 norm: that of an outer product is the product of the norms.
    gaussian /= np.linalg.norm(gaussian)
    derivative /= np.linalg.norm(derivative)

    box = _bounding_box(where, margin=half_size)  # the filter sees nothing beyond it
    stretched = (image[box] - low) / (high - low)
    along_x = cv2.sepFilter2D(stretched, cv2.CV_64F, derivative, gaussian, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.sepFilter2D(stretched, cv2.CV_64F, gaussian, derivative, borderType=cv2.BORDER_REPLICATE)
    # Not cv2.magnitude: its last bit depends on where the arrays lie in memory.
    return np.sqrt(along_x[where[box]] ** 2 + along_y[where[box]] ** 2)


def _largest_component(
    mask: np.ndarray, scan_order: Literal["C", "F"], guess: tuple[np.intp, ...] | None
) -> np.ndarray | None:
    """The largest 4-connected component of the bool (H, W) `mask`; None where the mask is empty.

    guess: (row, column) of a pixel of `mask` that may well lie in it, or None; for speed alone.
    """
    if guess is not None:
        filled = mask.astype(np.uint8, order="C")
        row, column = map(int, guess)
        area, *_ = cv2.floodFill(filled, None, seedPoint=(column, row), newVal=2, flags=4)
        if area > np.count_nonzero(mask) / 2:  # nothing else can be as large
            return filled == 2
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    if count == 1:  # label 0 is the background
        return None
    # Counted here: OpenCV's statistics have more to tell, and take longer than the labels.
    sizes = np.bincount(labels.ravel())[1:]
    largest = 1 + np.flatnonzero(sizes == sizes.max())  # labels
    if len(largest) > 1:
        in_scan_order = labels.ravel(scan_order)
        largest = in_scan_order[np.isin(in_scan_order, largest).argmax()]
    return labels == largest


def _bounding_box(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the bool (H, W) `mask`, which is not empty, and `margin` more on each side."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return slice(top, rows[-1] + 1 + margin), slice(left, columns[-1] + 1 + margin)


def _listed(trimap: np.ndarray) -> str:
    """The values of a trimap, for a message."""
    values = [str(value) for value in np.unique(trimap)]
    shown = ", ".join(values[:8]) or "none (it is empty)"
    return shown + (f", ... ({len(values)} values)" if len(values) > 8 else "")
