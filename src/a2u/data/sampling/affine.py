"""Affine maps of pixel coordinates: (2, 3) float64 matrices that take (x, y, 1) to (x, y).

The centre of pixel (x, y) is the point (x, y), as in OpenCV.
"""

import math

import cv2
import numpy as np

from a2u.data.sampling.settings import SampleConfig


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Compose two maps: `first`, then `second`."""
    both = second[:, :2] @ first
    both[:, 2] += second[:, 2]
    return both


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert a map."""
    return cv2.invertAffineTransform(matrix)


def resize_map(old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Map the pixels of an image resized from `old` to `new` (height, width) back to those of the old one.

    OpenCV's nearest neighbour reads pixel floor(x * scale), scale = p/q in lowest terms, which equals
    round(x * scale - (1 - 1/q) / 2).
    """
    (old_height, old_width), (height, width) = old, new
    x_offset = (math.gcd(old_width, width) / width - 1) / 2
    y_offset = (math.gcd(old_height, height) / height - 1) / 2
    return np.array([[old_width / width, 0, x_offset], [0, old_height / height, y_offset]])


def flip_map(width: int) -> np.ndarray:
    """Flip an image of this width horizontally; its own inverse."""
    return np.array([[-1.0, 0, width - 1], [0, 1, 0]])


def random_affine(height: int, width: int, rng: np.random.Generator, cfg: SampleConfig) -> np.ndarray:
    """Draw a map about the centre of an image: flip, scale, rotation, then shear.

    Each axis is flipped with probability 1/2 and scaled independently. There is no rotation if the longer side is
    below `cfg.rotation_min_side`. The shear is added to the rotation in the row of the matrix
    that gives x, as released.

    Returns:
        (2, 3) float64, from old to new pixel coordinates (x, y).
    """
    reach = cfg.rotation if max(height, width) >= cfg.rotation_min_side else 0.0
    angle = math.radians(rng.uniform(-reach, reach))
    shear = math.radians(rng.uniform(-cfg.shear, cfg.shear))
    x_scale, y_scale = (rng.uniform(cfg.scale_min, cfg.scale_max) * (-1 if rng.random() < 0.5 else 1) for _ in "xy")
    # The columns of the matrix are the images of the unit vectors in x and in y.
    xx, xy = math.cos(angle + shear) * x_scale, -math.sin(angle + shear) * y_scale
    yx, yy = math.sin(angle) * x_scale, math.cos(angle) * y_scale
    x, y = (width - 1) / 2, (height - 1) / 2  # the centre is fixed
    return np.array([[xx, xy, x - xx * x - xy * y], [yx, yy, y - yx * x - yy * y]])
