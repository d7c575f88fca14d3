"""One foreground, or one over another, transformed lazily: any window can be computed without the rest.

Every step before the crop maps pixel coordinates (affine.py), and the maps compose into one. Pixels are then read from
the foreground once, by nearest neighbour, so that colours under alpha 0 never bleed in.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from a2u.data.types import Layer


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in an array (H, W, ...)."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def shared(self, other: "Window") -> tuple[slice, slice]:
        """Index of the pixels shared with another window, in an array of this window's pixels."""
        top, left = other.top - self.top, other.left - self.left
        bottom, right = top + other.height, left + other.width
        return slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))


class Placed(NamedTuple):
    """A foreground and its place in an image."""

    layer: Layer
    origin: np.ndarray  # (2, 3) map from pixel coordinates (x, y) of the image to those of the foreground


@dataclass(frozen=True)
class View:
    """An image of height x width pixels, transparent outside its foregrounds."""

    height: int
    width: int
    first: Placed
    second: Placed | None = None  # under the first

    @property
    def whole(self) -> Window:
        return Window(0, 0, self.height, self.width)

    def alpha(self, window: Window) -> np.ndarray:
        """Return the alpha of a window, (H, W) uint8."""
        alpha = look_up(self.first.layer.alpha, self.first.origin, window)
        if self.second is None:
            return alpha
        return combined_alpha(alpha, look_up(self.second.layer.alpha, self.second.origin, window))

    def pixels(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return colours (H, W, 3) and alpha (H, W) of a window, uint8."""
        (colours, alpha), *under = (
            (
                look_up(placed.layer.foreground, placed.origin, window),
                look_up(placed.layer.alpha, placed.origin, window),
            )
            for placed in (self.first, self.second)
            if placed is not None
        )
        return combine(colours, alpha, *under[0]) if under else (colours, alpha)

    def around(self, window: Window, reach: int) -> tuple[Window, Window]:
        """Return a window widened by `reach` pixels inside the image, and the original window relative to it."""
        top, left = max(window.top - reach, 0), max(window.left - reach, 0)
        bottom = min(window.top + window.height + reach, self.height)
        right = min(window.left + window.width + reach, self.width)
        inside = window._replace(top=window.top - top, left=window.left - left)
        return Window(top, left, bottom - top, right - left), inside


def look_up(array: np.ndarray, origin: np.ndarray, window: Window) -> np.ndarray:
    """Return the pixels of a window, read from `array` at the nearest pixel to its image under the (2, 3) map `origin`.

    Outside `array` they are 0.
    """
    (xx, xy, x), (yx, yy, y) = origin.tolist()
    top, left, height, width = window
    matrix = np.array([[xx, xy, x + xx * left + xy * top], [yx, yy, y + yx * left + yy * top]])
    return cv2.warpAffine(array, matrix, (width, height), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)


def combine(
    foreground: np.ndarray,
    alpha: np.ndarray,
    second_foreground: np.ndarray,
    second_alpha: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a second foreground under the first.

    alpha = 1 - (1 - a1)(1 - a2), colours = (f1 a1 + f2 (1 - a1) a2) / (alpha + 1e-5), both rounded to 8 bits.

    Args:
        foreground, second_foreground: (H, W, 3) uint8 RGB.
        alpha, second_alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 RGB and (H, W) uint8.
    """
    weight = alpha.astype(np.float32) / 255
    second_weight = (1 - weight) * (second_alpha.astype(np.float32) / 255)
    # OpenCV's blendLinear computes this quotient, including the 1e-5.
    colours = cv2.blendLinear(foreground, second_foreground, weight, second_weight)
    return colours, combined_alpha(alpha, second_alpha)


def combined_alpha(alpha: np.ndarray, second_alpha: np.ndarray) -> np.ndarray:
    """Return the alpha of one foreground over another, 1 - (1 - a1)(1 - a2), rounded to 8 bits."""
    return 255 - cv2.multiply(255 - alpha, 255 - second_alpha, scale=1 / 255)


def opaque_together(alpha: np.ndarray, second_alpha: np.ndarray) -> bool:
    """Return whether a foreground is opaque everywhere over a second one resized to it by nearest neighbour.

    Args:
        alpha, second_alpha: (H, W) and (H2, W2) uint8.
    """
    height, width = alpha.shape
    second_height, second_width = second_alpha.shape
    for step in (64, 8, 1):  # usually a few pixels suffice
        rows = np.arange(0, height, step) * second_height // height
        columns = np.arange(0, width, step) * second_width // width
        if (combined_alpha(alpha[::step, ::step], second_alpha[rows[:, None], columns]) < 255).any():
            return False
    return True
