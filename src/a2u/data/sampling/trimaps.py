"""Trimaps: which pixels are known background, known foreground or unknown."""

from functools import cache

import cv2
import numpy as np

from a2u.network_input import BACKGROUND, FOREGROUND, UNKNOWN

__all__ = ["BACKGROUND", "FOREGROUND", "UNKNOWN", "is_unknown", "trimap_from_alpha", "trimap_from_mask"]


def trimap_from_alpha(alpha: np.ndarray, fg_size: int, bg_size: int) -> np.ndarray:
    """Trimap of an alpha matte: the opaque and the clear region, each eroded; the rest is unknown.

    The border of the picture does not erode: what lies beyond it is taken to be like what lies
    within, so an object cut by the border stays known along the cut.

    Args:
        alpha: (H, W) uint8, 255 = opaque.
        fg_size: diameter in pixels, at least 1, of the ellipse that erodes alpha == 255.
        bg_size: likewise for alpha == 0.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).

    Source: Sec. 6.3; the released program draws both diameters from 1..29.
    """
    # Nothing but 255 within the one ellipse, nothing but 0 within the other.
    least = cv2.erode(alpha, _ellipse(fg_size))
    most = cv2.dilate(alpha, _ellipse(bg_size))
    foreground = cv2.threshold(least, FOREGROUND - 1, FOREGROUND, cv2.THRESH_BINARY)[1]
    not_background = cv2.threshold(most, BACKGROUND, UNKNOWN, cv2.THRESH_BINARY)[1]
    return np.maximum(foreground, not_background)


def trimap_from_mask(mask: np.ndarray, erode: int, dilate: int) -> np.ndarray:
    """Trimap of a rough mask: unknown along its outline, in discs about its pixels.

    What lies beyond the border of the picture does not count, as in `trimap_from_alpha`.

    Args:
        mask: (H, W) uint8, 128 and above = foreground.
        erode: how far the unknown region reaches into the mask, in pixels, at least 0.
        dilate: how far it reaches out of it.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).
    """
    foreground = cv2.threshold(mask, 127, FOREGROUND, cv2.THRESH_BINARY)[1]
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_distance(foreground) > erode] = FOREGROUND
    trimap[_distance(FOREGROUND - foreground) > dilate] = BACKGROUND
    return trimap


def _distance(kind: np.ndarray) -> np.ndarray:
    """Of every pixel the distance to the nearest 0, exact, in pixels; enormous where there is none. (H, W) float32."""
    return cv2.distanceTransform(kind, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def is_unknown(alpha: np.ndarray, y: int, x: int, fg_size: int, bg_size: int) -> bool:
    """Whether `trimap_from_alpha` would call the pixel (y, x) unknown, found from its surroundings alone.

    `alpha` may be cut from a larger picture, so long as both ellipses about the pixel lie in the cut or end where
    the picture does.
    """
    least, _ = _extremes(alpha, y, x, fg_size)
    _, most = _extremes(alpha, y, x, bg_size)
    return least < FOREGROUND and most > BACKGROUND


def _extremes(alpha: np.ndarray, y: int, x: int, size: int) -> tuple[float, float]:
    """Least and greatest alpha within the ellipse about (y, x)."""
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
