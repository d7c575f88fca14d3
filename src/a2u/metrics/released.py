"""The metrics that the authors' Python program prints in training and test, to compare with logs.

Not the figures of the paper: those come from the MATLAB program (`matting.py`). What differs in the
released program (github.com/dongdong93/a2u_matting, scripts/utils.py):
- every metric first stretches prediction and true alpha to 0..255 by their own minimum and maximum,
  in place, so all four see stretched images: a faded prediction costs nothing anywhere;
- Grad takes the Gaussian derivatives of scipy.ndimage.gaussian_filter (cut at 4 sigma, not divided
  by their L2 norm, borders mirrored) and divides by 10: about 4 % above MATLAB's on photographs;
- Conn prefers the first of equal components along the rows, not down the columns.

The released program measures its predictions before they are rounded to 8 bits; these functions
take the 8-bit images. Arguments and errors are those of the same functions in `matting.py`.
"""

import cv2
import numpy as np

from a2u.metrics.matting import (
    SIGMA,
    absolute_difference,
    connectivity_difference,
    squared_difference,
    unknown_region,
)


def sad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Sum of absolute differences of the stretched images, in thousands."""
    return absolute_difference(*_stretched_images(pred, alpha, trimap))


def mse(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Mean squared difference of the stretched images, in 0..1."""
    return squared_difference(*_stretched_images(pred, alpha, trimap))


def grad(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Gradient error: sum (|∇pred| - |∇alpha|)² / 10, with SciPy's Gaussian derivative."""
    return _gradient_difference(*_stretched_images(pred, alpha, trimap))


def conn(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Connectivity error of the stretched images, in thousands."""
    return connectivity_difference(*_stretched_images(pred, alpha, trimap), scan_order="C")


def all_metrics(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """The four together, checked and stretched once: {"sad", "mse", "grad", "conn"}."""
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
    """The checked images, (H, W): both alphas stretched to float32 0..1, bool unknown region."""
    unknown = unknown_region(pred, alpha, trimap)
    return _stretch(pred), _stretch(alpha), unknown


def _stretch(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> float32 from 0 to 1; a constant image becomes 0."""
    stretched = image.astype(np.float32, order="C")
    # OpenCV's stretch, as in the program: Conn's thresholds are sensitive to how it rounds.
    cv2.normalize(stretched, stretched, 0, 255, cv2.NORM_MINMAX)
    return stretched / np.float32(255)


def _gradient_difference(pred: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> float:
    """Grad of (H, W) float32 images over the bool (H, W) `unknown`, in tenths."""
    difference = _gradient_magnitude(pred) - _gradient_magnitude(alpha)
    return float(np.square(difference[unknown]).sum(dtype=np.float64) / 10)


def _gradient_magnitude(image: np.ndarray) -> np.ndarray:
    """|∇| of the (H, W) float32 image by SciPy's Gaussian derivatives."""
    from scipy.ndimage import gaussian_filter  # a third of a second to import, and only these metrics need it

    along_y = gaussian_filter(image, SIGMA, order=(1, 0))
    along_x = gaussian_filter(image, SIGMA, order=(0, 1))
    return np.hypot(along_x, along_y)
