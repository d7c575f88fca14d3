"""Figure 1: the feature map after the last upsampling, by operator."""

from collections.abc import Sequence

import cv2
import numpy as np

from a2u.data.types import Composite
from a2u.engine.kernels import in_colours, last_upsampling
from a2u.models.networks.base import MattingNetwork
from a2u.reproduce.figures.columns import Column
from a2u.reproduce.figures.sheet import Cell, Sheet

CELL_WIDTH = 512  # pixels
PERCENTILES = (1, 99)  # of a picture, at the ends of its colours


def figure_1(columns: Sequence[Column], case: Composite) -> Sheet:
    """Draw input and feature maps of one image, and below them the window where the true alpha changes most."""
    window = busiest_window(case.alpha)
    top, left, side, _ = window
    maps = [feature_map(column.network(), case) for column in columns]
    parts = [values[top : top + side, left : left + side] for values in maps]
    return Sheet(
        titles=["input", *(column.wanted.title for column in columns)],
        rows=[
            [Cell(picture, box=window) for picture in (case.image, *map(_stretched, maps))],
            [Cell(case.image[top : top + side, left : left + side]), *(Cell(_stretched(part)) for part in parts)],
        ],
        cell_width=CELL_WIDTH,
        caption=f"Feature maps after the last upsampling, at the resolution of the image and before the shortcut is "
        f"added: mean over channels of absolute values. Test image {case.name}; below, the outlined window, the square "
        f"of {side} x {side} pixels in which the true alpha changes most. Each picture runs from its own percentile "
        f"{PERCENTILES[0]} (dark blue) to its own percentile {PERCENTILES[1]} (yellow).",
    )


def _stretched(values: np.ndarray) -> np.ndarray:
    return in_colours(values, *np.percentile(values, PERCENTILES))


def feature_map(model: MattingNetwork, case: Composite) -> np.ndarray:
    """Return the mean over channels of the absolute output of the last stage's operator, (H, W) float32."""
    output = last_upsampling(model, case).output[0]
    height, width = case.trimap.shape
    return output.float().abs().mean(dim=0)[:height, :width].cpu().numpy()


def busiest_window(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """Return the square, a quarter of the shorter side, in which (H, W) alpha changes most: top, left, height, width.

    That is, with the largest sum of gradient magnitudes; of several the first, row by row.
    """
    side = max(1, min(alpha.shape) // 4)
    down, right = np.gradient(alpha.astype(np.float64))
    sums = cv2.integral(np.hypot(down, right))  # (H + 1, W + 1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(np.argmax(np.round(inside, 3)), inside.shape)  # rounded: equal ones stay equal
    return int(top), int(left), side, side
