"""Metrics of the authors' Python program, to compare with its logs.

They are not the figures of the paper, which come from the MATLAB program (`matting.py`). What differs in the released
program (github.com/dongdong93/a2u_matting, scripts/utils.py):
- every metric first stretches prediction and true alpha to 0..255 by their own minimum and maximum, in place, so that
  all four measure stretched images and a faded prediction costs nothing;
- Grad uses scipy.ndimage.gaussian_filter (cut at 4 sigma, not divided by its L2 norm, mirrored borders) and divides
  by 10, about 4 % above MATLAB's on photographs;
- Conn takes the first of equally large components in row-major order, not in column-major order.

The released program measures predictions before they are rounded to 8 bits; these functions take 8-bit images. Their
arguments and errors are those of the functions in `matting.py`.
"""

import cv2
import numpy as np

from a2u.metrics.matting import (
    SIGMA,
    absolute_difference,
    checked,
    connectivity_difference,
    squared_difference,
)


def sad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the sum of absolute differences of the stretched images, in thousands."""
    return absolute_difference(*_stretched_images(pred, alpha, trimap))


def mse(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the mean squared difference of the stretched images, in 0..1."""
    return squared_difference(*_stretched_images(pred, alpha, trimap))


def grad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the gradient error, sum (|∇pred| - |∇alpha|)² / 10, with SciPy's Gaussian derivative."""
    return _gradient_difference(*_stretched_images(pred, alpha, trimap))


def conn(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the connectivity error of the stretched images, in thousands."""
    return connectivity_difference(*_stretched_images(pred, alpha, trimap), scan_order="C")


def all_metrics(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """Return {"sad", "mse", "grad", "conn"}, checking and stretching the images once."""
    images = _stretched_images(pred, alpha, trimap)
    return {
        "sad": absolute_difference(*images),
        "mse": squared_difference(*images),
        "grad": _gradient_difference(*images),
        "conn": connectivity_difference(*images, scan_order="C"),
    }


def _stretched_images(
    pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the images; return both alphas stretched to float32 in 0..1 and the bool unknown region, (H, W) each."""
    pred, alpha, unknown = checked(pred, alpha, trimap)
    return _stretch(pred), _stretch(alpha), unknown


def _stretch(image: np.ndarray) -> np.ndarray:
    """Stretch (H, W) uint8 to float32 from 0 to 1; a constant image becomes 0."""
    stretched = image.astype(np.float32, order="C")
    # By OpenCV, as in the program: Conn's thresholds are sensitive to its rounding.
    cv2.normalize(stretched, stretched, 0, 255, cv2.NORM_MINMAX)
    return stretched / np.float32(255)


def _gradient_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Return the Grad of (H, W) float32 images over the bool (H, W) `unknown`, divided by 10."""
    difference = _gradient_magnitude(pred) - _gradient_magnitude(alpha)
    return float(np.square(difference[unknown]).sum(dtype=np.float64) / 10)


def _gradient_magnitude(image: np.ndarray) -> np.ndarray:
    """Return |∇| of the (H, W) float32 image by SciPy's Gaussian derivatives."""
    from scipy.ndimage import gaussian_filter  # takes a third of a second to import, and only Grad needs it

    along_y = gaussian_filter(image, SIGMA, order=(1, 0))
    along_x = gaussian_filter(image, SIGMA, order=(0, 1))
    return np.hypot(along_x, along_y)
