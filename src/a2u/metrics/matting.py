"""Metrics of alpha mattes, equal to those of the MATLAB evaluation program: SAD, MSE, Grad and Conn.

They are measured over the unknown region (trimap == 128) of 8-bit images, in the units of the paper's tables. The
program came with Deep Image Matting and is part of the authors' release (matlab_testcode); Grad and Conn are from
Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.

`sad`, `mse`, `grad` and `conn` measure one image, `all_metrics` all four together, and `MattingMetrics` a test set. The
functions after it take checked images in 0..1 and are shared with `released.py`, the authors' Python metrics.
"""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from a2u.errors import A2UError, DataError, printable
from a2u.files import replacing
from a2u.network_input import UNKNOWN, plain_array

NAMES = ("sad", "mse", "grad", "conn")
FORMULA = ("=", "+", "-", "@")  # what a formula begins with in spreadsheets
SIGMA = 1.4  # of Grad's Gaussian, pixels


class UndefinedMetric(A2UError, ValueError):
    """The trimap has no unknown region, so there is nothing to measure."""


def sad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the sum of absolute differences over the unknown region, in thousands.

    Args:
        pred: (H, W) uint8, the predicted alpha, 255 = opaque.
        alpha: (H, W) uint8, the true alpha.
        trimap: (H, W) uint8: 0 background, 128 unknown, 255 foreground.

    Raises:
        DataError: the three are not uint8 images of the same size, one is a masked array, or the trimap has other
            values.
        UndefinedMetric: the trimap has no unknown pixel.

    Source: MATLAB evaluation program, compute_sad_loss.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> round(sad(alpha // 5, alpha, np.full_like(alpha, 128)), 6)
    0.0064
    """
    return absolute_difference(*_unit_images(pred, alpha, trimap))


def mse(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the mean squared difference over the unknown region, alphas in 0..1.

    Arguments and errors as for `sad`. Source: MATLAB evaluation program, compute_mse_loss.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> round(mse(alpha // 5, alpha, np.full_like(alpha, 128)), 6)
    0.32
    """
    return squared_difference(*_unit_images(pred, alpha, trimap))


def grad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the gradient error over the unknown region, in thousands: sum (|∇pred| - |∇alpha|)² / 1000.

    Each image is first stretched to 0..1 by its own minimum and maximum, so fading costs nothing; a constant image has
    no gradient. Arguments and errors as for `sad`. Source: MATLAB evaluation program, compute_gradient_loss.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> round(grad(np.zeros_like(alpha), alpha, np.full_like(alpha, 128)), 6)
    0.076064
    """
    return _gradient_difference(*_unit_images(pred, alpha, trimap))


def conn(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the connectivity error over the unknown region, in thousands.

    It compares how far each pixel's alpha lies above the last threshold (0, 0.1 .. 1) up to which the pixel belongs to
    the largest connected region where both images reach the threshold. Thresholds that no pixel reaches in both are
    skipped, as in the program: a black prediction has Conn 0. Arguments and errors as for `sad`. Source: MATLAB
    evaluation program, compute_connectivity_error.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> pred = np.tile(np.uint8([0, 0, 51, 255]), (4, 1))
    >>> round(conn(pred, alpha, np.full_like(alpha, 128)), 6)
    0.0032
    """
    return connectivity_difference(*_unit_images(pred, alpha, trimap), scan_order="F")


def all_metrics(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """Return {"sad", "mse", "grad", "conn"}, checking and scaling the images once; arguments and errors as for `sad`.

    >>> alpha = np.tile(np.uint8([0, 0, 255, 255]), (4, 1))
    >>> pred = np.tile(np.uint8([0, 0, 51, 255]), (4, 1))
    >>> found = all_metrics(pred, alpha, np.full_like(alpha, 128))
    >>> {name: round(value, 6) for name, value in found.items()}
    {'sad': 0.0032, 'mse': 0.16, 'grad': 0.00897, 'conn': 0.0032}
    """
    images = _unit_images(pred, alpha, trimap)
    return {
        "sad": absolute_difference(*images),
        "mse": squared_difference(*images),
        "grad": _gradient_difference(*images),
        "conn": connectivity_difference(*images, scan_order="F"),
    }


class MattingMetrics:
    """Metrics of a test set, image by image.

    An image without an unknown region has no metrics: it is listed in `undefined`, has empty cells in the CSV and is
    left out of the mean.

    Args:
        measure: `all_metrics`, or the function of that name in `a2u.metrics.released`, or another.
        names: of the metrics that `measure` returns.
    """

    def __init__(
        self,
        measure: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, float]] = all_metrics,
        names: Sequence[str] = NAMES,
    ) -> None:
        self.measure = measure
        self.names = names
        self.images: dict[str, dict[str, float]] = {}  # image name -> its metrics; {} where undefined

    def update(self, name: str, pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> None:
        """Measure an image and add it; arguments as for `sad`.

        Raises:
            DataError: as for `sad`, with the name of the image; or `name` was measured before.
        """
        self.add(name, self.measured(name, pred, alpha, trimap))

    def measured(self, name: str, pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
        """Return the metrics of an image without adding them, {} if undefined; may be called by several threads.

        Arguments and errors as for `sad`, with the name of the image.
        """
        try:
            return self.measure(pred, alpha, trimap)
        except UndefinedMetric:
            return {}
        except DataError as error:
            raise DataError(f"Image {name!r}: {error}") from error

    def add(self, name: str, values: dict[str, float]) -> None:
        """Add the metrics of an image; raise DataError if the set has an image of that name."""
        if name in self.images:
            raise DataError(
                f"The image {name!r} is measured a second time and would count twice in the mean: "
                "give every image a different name."
            )
        self.images[name] = values

    @property
    def undefined(self) -> list[str]:
        """Return the names of the images without an unknown region."""
        return [name for name, values in self.images.items() if not values]

    def mean(self) -> dict[str, float]:
        """Return the mean of each metric over the images that have it; raise UndefinedMetric if none has."""
        defined = [values for values in self.images.values() if values]
        if not defined:
            raise UndefinedMetric(
                f"There is no mean, because none of the {len(self.images)} images measured has an unknown region "
                f"(trimap value {UNKNOWN}); check the folder of trimaps."
            )
        return {name: float(np.mean([values[name] for values in defined])) for name in self.names}

    def rows(self) -> list[dict[str, str | float | None]]:
        """Return one {"name", "sad", "mse", "grad", "conn"} per image, in order; None where undefined."""
        return [
            {"name": image, **{name: values.get(name) for name in self.names}} for image, values in self.images.items()
        ]

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `rows()` under a header; the file appears whole or not at all.

        A name that a spreadsheet would compute as a formula gets an apostrophe before it; control characters in it are
        escaped.
        """
        with replacing(Path(path)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=["name", *self.names], lineterminator="\n")
            writer.writeheader()
            for row in self.rows():
                writer.writerow(
                    {key: _as_text(value) if isinstance(value, str) else value for key, value in row.items()}
                )


def _as_text(name: str) -> str:
    """Return a name as a cell that spreadsheets show and do not compute."""
    return f"'{printable(name)}" if name.startswith(FORMULA) else printable(name)


def checked(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the images of a metric; return prediction and true alpha, and where the trimap is unknown, (H, W) bool.

    Arguments and errors as for `sad`.
    """
    images = {"prediction": pred, "true alpha": alpha, "trimap": trimap}
    for name, image in images.items():
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
    pred, alpha, trimap = (plain_array(image, f"The {name}") for name, image in images.items())
    if not pred.shape == alpha.shape == trimap.shape:
        raise DataError(
            f"The prediction is {pred.shape}, the true alpha {alpha.shape} and the trimap "
            f"{trimap.shape} (height, width), but the three must have the same size: "
            "check that they belong to the same image."
        )
    unknown = trimap == UNKNOWN
    if not (unknown | (trimap == 0) | (trimap == 255)).all():
        raise DataError(
            f"The trimap has the values {_listed(trimap)}; expected only 0 (background), {UNKNOWN} "
            "(unknown) and 255 (foreground): check that it is a trimap and was not interpolated or compressed "
            "with loss."
        )
    if not unknown.any():
        raise UndefinedMetric(
            f"The trimap has no unknown pixel (value {UNKNOWN}), its values are {_listed(trimap)}, so there is nothing "
            "to measure: leave out the image or mark an unknown region."
        )
    return pred, alpha, unknown


def absolute_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Return the SAD of (H, W) float images in 0..1 over the bool (H, W) `unknown`, in thousands."""
    return float(np.abs(pred[unknown] - alpha[unknown]).sum() / 1000)


def squared_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Return the MSE of (H, W) float images in 0..1 over the bool (H, W) `unknown`."""
    return float(np.square(pred[unknown] - alpha[unknown]).mean())


def connectivity_difference(
    pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray, scan_order: Literal["C", "F"]
) -> float:
    """Return the Conn of (H, W) float images in 0..1 over the bool (H, W) `unknown`, in thousands.

    Of several largest components the first counts, in column-major (`scan_order` "F") or row-major order ("C").
    """
    # In float32, as in the program: there 153/255 reaches the threshold 0.6, whatever the rounding of 0.6.
    pred, alpha = pred.astype(np.float32), alpha.astype(np.float32)
    shared = np.minimum(pred, alpha)  # shared >= t  <=>  pred >= t and alpha >= t

    connected_to = np.ones(np.count_nonzero(unknown), np.float32)  # l; 1 if the pixel is in every component
    inside = None  # a pixel of the last component, which also reaches every lower threshold
    for step in range(10, 0, -1):  # downwards, so that the lowest step without the pixel sets its value last
        component = _largest_component(shared >= np.float32(step / 10), scan_order, inside)
        if component is not None:
            connected_to[~component[unknown]] = (step - 1) / 10
            inside = np.unravel_index(component.argmax(), component.shape)

    # φ = 1 - d [d >= 0.15], d = value - l; the 1 cancels in φ_pred - φ_alpha
    above_pred, above_alpha = pred[unknown] - connected_to, alpha[unknown] - connected_to
    phi_difference = above_pred * (above_pred >= 0.15) - above_alpha * (above_alpha >= 0.15)
    return float(np.abs(phi_difference).sum(dtype=np.float64) / 1000)


def _unit_images(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the images; return prediction and alpha as float64 in 0..1 and the bool unknown region, (H, W) each."""
    pred, alpha, unknown = checked(pred, alpha, trimap)
    return pred / 255.0, alpha / 255.0, unknown


def _gradient_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Return the Grad of (H, W) float64 images over the bool (H, W) `unknown`, in thousands."""
    difference = _gradient_magnitude(pred, unknown) - _gradient_magnitude(alpha, unknown)
    return float(np.square(difference).sum() / 1000)


def _gradient_magnitude(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return |∇| of the stretched image by Gaussian derivatives, with replicated borders.

    Args:
        image: (H, W) float64.
        where: (H, W) bool, true at n pixels, at least one.

    Returns:
        (n,) float64.
    """
    low, high = image.min(), image.max()
    if low == high:
        return np.zeros(np.count_nonzero(where))

    # The filter ends where the Gaussian's density falls below 0.01: 4 pixels from its centre.
    half_size = int(np.ceil(SIGMA * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * SIGMA * 0.01))))
    offset = np.arange(-half_size, half_size + 1, dtype=np.float64)
    gaussian = np.exp(-(offset**2) / (2 * SIGMA**2))
    derivative = offset * gaussian
    # The 2-D filter is divided by its L2 norm, which of an outer product is the product of the norms.
    gaussian /= np.linalg.norm(gaussian)
    derivative /= np.linalg.norm(derivative)

    box = _bounding_box(where, margin=half_size)  # the filter reads nothing outside it
    stretched = (image[box] - low) / (high - low)
    along_x = cv2.sepFilter2D(stretched, cv2.CV_64F, derivative, gaussian, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.sepFilter2D(stretched, cv2.CV_64F, gaussian, derivative, borderType=cv2.BORDER_REPLICATE)
    # Not cv2.magnitude: its last bit depends on where the arrays lie in memory.
    return np.sqrt(along_x[where[box]] ** 2 + along_y[where[box]] ** 2)


def _largest_component(
    mask: np.ndarray, scan_order: Literal["C", "F"], guess: tuple[np.intp, ...] | None
) -> np.ndarray | None:
    """Return the largest 4-connected component of the bool (H, W) `mask`; None if the mask is empty.

    guess: (row, column) of a pixel of `mask` that is probably in it, or None; only affects speed.
    """
    if guess is not None:
        filled = mask.astype(np.uint8, order="C")
        row, column = map(int, guess)
        area, *_ = cv2.floodFill(filled, None, seedPoint=(column, row), newVal=2, flags=4)
        if area > np.count_nonzero(mask) / 2:  # no other component can be as large
            return filled == 2
    count, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    if count == 1:  # label 0 is the background
        return None
    # Not OpenCV's connectedComponentsWithStats, whose further statistics take longer than the labels.
    sizes = np.bincount(labels.ravel())[1:]
    largest = 1 + np.flatnonzero(sizes == sizes.max())  # labels
    if len(largest) > 1:
        in_scan_order = labels.ravel(scan_order)
        largest = in_scan_order[np.isin(in_scan_order, largest).argmax()]
    return labels == largest


def _bounding_box(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice]:
    """Return the rows and columns of the non-empty bool (H, W) `mask`, with `margin` more on each side."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return slice(top, rows[-1] + 1 + margin), slice(left, columns[-1] + 1 + margin)


def _listed(trimap: np.ndarray) -> str:
    """List the values of a trimap, for a message."""
    values = [str(value) for value in np.unique(trimap)]
    shown = ", ".join(values[:8]) or "none (it is empty)"
    return shown + (f", ... ({len(values)} values)" if len(values) > 8 else "")
