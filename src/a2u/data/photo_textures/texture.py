"""Make colours out of a photograph: cut out at any scale, tinted, shaded, out of focus."""

import math
from typing import NamedTuple

import cv2
import numpy as np

LARGEST_SCALE, SMALLEST_SCALE = 2.0, 0.05  # pixels of the photograph per pixel: fine texture to nearly uniform
NEUTRAL = 128  # of a shading that changes nothing
SOFTEST = 0.03  # radius of the strongest blur, as a share of the side


class Tint(NamedTuple):
    """How colours change: first linearly, then by a curve."""

    matrix: np.ndarray  # (3, 3): saturation and gain of each channel
    curve: np.ndarray  # (256,) uint8

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Tint a picture, (H, W, 3) uint8 RGB."""
        return cv2.LUT(cv2.transform(picture, self.matrix), self.curve)


def draw_tint(rng: np.random.Generator) -> Tint:
    """Draw gain, saturation and gamma, most of them mild."""
    gain = np.exp(rng.normal(0, 0.12, 3) + rng.normal(0, 0.2))
    saturation = rng.uniform(0.2, 1.4)
    grey = np.full((3, 3), 1 / 3)
    matrix = gain[:, None] * (saturation * np.eye(3) + (1 - saturation) * grey)
    curve = 255 * (np.arange(256) / 255) ** math.exp(rng.normal(0, 0.25))
    return Tint(matrix.astype(np.float32), np.rint(curve).astype(np.uint8))


def texture(photograph: np.ndarray, tint: Tint, rng: np.random.Generator, size: int) -> np.ndarray:
    """Cut a turned square from a photograph at a random scale, and tint it.

    The photograph is mirrored at its borders. All scales of a factor are equally likely.

    Args:
        photograph: (H, W, 3) uint8 RGB.
        tint: of `draw_tint`.
        rng: draws scale, place and angle.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    scale = math.exp(rng.uniform(math.log(SMALLEST_SCALE), math.log(LARGEST_SCALE)))
    angle, mirror = rng.uniform(0, 2 * math.pi), -1 if rng.random() < 0.5 else 1
    place = rng.random(2)
    if scale > 1:  # reduced first, since a warp does not average
        photograph = cv2.resize(photograph, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
        scale = 1.0
    height, width = photograph.shape[:2]
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    x, y = place * (width, height)
    half = size / 2
    origin = np.array([[mirror * c, -s, x - half * (mirror * c - s)], [mirror * s, c, y - half * (mirror * s + c)]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(photograph, origin, (size, size), flags=how, borderMode=cv2.BORDER_REFLECT_101)
    return tint.apply(cut)


def shading_of(colours: np.ndarray) -> np.ndarray:
    """Return the light and shade of a layer's own colours, (H, W) uint8: its brightness by that of its surroundings.

    Args:
        colours: (H, W, 3) uint8 RGB.
    """
    light = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY).astype(np.float32) + 16
    around = cv2.GaussianBlur(light, (0, 0), max(colours.shape[0] / 16, 1))
    return np.rint(np.clip(NEUTRAL * light / around, 0, 255)).astype(np.uint8)


def shaded(colours: np.ndarray, shading: np.ndarray) -> np.ndarray:
    """Multiply colours (H, W, 3) by a shading (H, W), both uint8."""
    return cv2.multiply(colours, cv2.merge([shading] * 3), scale=1 / NEUTRAL)


def out_of_focus(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave a picture (H, W, 3) sharp, or blur it, each with probability 1/2."""
    if rng.random() < 0.5:
        return picture
    radius = int(math.exp(rng.uniform(0, math.log(max(SOFTEST * picture.shape[0], 1.5)))))
    side = 2 * radius + 1
    return cv2.blur(cv2.blur(picture, (side, side)), (side, side))  # close to a Gaussian, at any radius
