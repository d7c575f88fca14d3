"""Trimaps: which pixels are known background, known foreground or unknown."""

from functools import cache

import cv2
import numpy as np

from a2u.inputs import BACKGROUND, FOREGROUND, UNKNOWN

__all__ = ["BACKGROUND", "FOREGROUND", "UNKNOWN", "trimap_from_alpha"]


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
    foreground = cv2.erode((alpha == 255).astype(np.uint8), _ellipse(fg_size))
    background = cv2.erode((alpha == 0).astype(np.uint8), _ellipse(bg_size))
    trimap = np.full(alpha.shape, UNKNOWN, np.uint8)
    trimap[foreground == 1] = FOREGROUND
    trimap[background == 1] = BACKGROUND
    return trimap


@cache
def _ellipse(size: int) -> np.ndarray:
    if size < 1:
        raise ValueError(f"an ellipse of diameter {size} pixels: at least 1 is needed")
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
