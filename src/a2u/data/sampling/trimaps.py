"""Trimaps: which pixels are known background, known foreground or unknown."""

from functools import cache

import cv2
import numpy as np

from a2u.network_input import BACKGROUND, FOREGROUND, UNKNOWN


def trimap_from_alpha(alpha: np.ndarray, fg_size: int, bg_size: int) -> np.ndarray:
    """Return the trimap of an alpha matte: the opaque and the transparent region, each eroded; the rest is unknown.

    The image border does not erode, so an object cut by the border stays known along the cut.

    Args:
        alpha: (H, W) uint8, 255 = opaque.
        fg_size: diameter in pixels, at least 1, of the ellipse that erodes alpha == 255.
        bg_size: the same for alpha == 0.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).

    Source: Sec. 6.3; the released program draws both diameters from 1..29.

    >>> trimap_from_alpha(np.uint8([[0, 0, 0, 90, 255, 255, 255]]), fg_size=3, bg_size=1).tolist()
    [[0, 0, 0, 128, 128, 255, 255]]
    """
    # Known foreground: only 255 within the ellipse. Known background: only 0.
    least = cv2.erode(alpha, _ellipse(fg_size))
    most = cv2.dilate(alpha, _ellipse(bg_size))
    foreground = cv2.threshold(least, FOREGROUND - 1, FOREGROUND, cv2.THRESH_BINARY)[1]
    not_background = cv2.threshold(most, BACKGROUND, UNKNOWN, cv2.THRESH_BINARY)[1]
    return np.maximum(foreground, not_background)


def trimap_from_mask(mask: np.ndarray, erode: int, dilate: int) -> np.ndarray:
    """Return the trimap of a rough mask: a band along its outline is unknown.

    The image border is no outline, as in `trimap_from_alpha`.

    Args:
        mask: (H, W) uint8, 128 and above = foreground.
        erode: width of the band inside the mask in pixels, at least 0.
        dilate: width of the band outside the mask.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).
    """
    foreground = cv2.threshold(mask, 127, FOREGROUND, cv2.THRESH_BINARY)[1]
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_distance(foreground) > erode] = FOREGROUND
    trimap[_distance(FOREGROUND - foreground) > dilate] = BACKGROUND
    return trimap


def _distance(kind: np.ndarray) -> np.ndarray:
    """Return every pixel's exact distance to the nearest 0 in pixels, (H, W) float32; very large if there is none."""
    return cv2.distanceTransform(kind, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def is_unknown(alpha: np.ndarray, y: int, x: int, fg_size: int, bg_size: int) -> bool:
    """Return whether pixel (y, x) is unknown in `trimap_from_alpha`, computed from its surroundings alone.

    `alpha` may be a window of a larger image that contains both ellipses around the pixel, as far as the image does.
    """
    least, _ = _extremes(alpha, y, x, fg_size)
    _, most = _extremes(alpha, y, x, bg_size)
    return least < FOREGROUND and most > BACKGROUND


def _extremes(alpha: np.ndarray, y: int, x: int, size: int) -> tuple[float, float]:
    """Return minimum and maximum of alpha within the ellipse around (y, x)."""
    height, width = alpha.shape
    top, left = y - size // 2, x - size // 2
    around = alpha[max(top, 0) : top + size, max(left, 0) : left + size]
    ellipse = _ellipse(size)[max(-top, 0) : height - top, max(-left, 0) : width - left]
    return cv2.minMaxLoc(around, ellipse)[:2]


@cache
def _ellipse(size: int) -> np.ndarray:
    if size < 1:
        raise ValueError(f"an ellipse of diameter {size} pixels: at least 1 is needed")
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
