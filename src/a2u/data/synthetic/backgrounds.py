"""Families of backgrounds. Each takes (rng, size) and returns colours (size, size, 3) float32 in 0..255."""

from collections.abc import Callable

import cv2
import numpy as np

from a2u.data.synthetic.shapes import TURN, blade, blob, grow
from a2u.data.synthetic.textures import background_palette, fractal_noise, grid, ramp, stripes

Scene = Callable[[np.random.Generator, int], np.ndarray]


def landscape(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ridges of fractal noise, one behind another, under a sky."""
    _, y = grid(size)
    picture = ramp(0.5 * y + 0.5 * fractal_noise(rng, size, 2), background_palette(rng))
    layers = int(rng.integers(1, 5))
    for number in range(layers):
        ridge = fractal_noise(rng, size, 3)[0]  # (S,) one row of noise is a skyline
        height = 0.25 + 0.6 * (number + rng.random()) / layers + 0.25 * (ridge - 0.5)
        ground = ramp(fractal_noise(rng, size, 6, 0.75), background_palette(rng))
        picture = np.where((y > height)[..., None], ground, picture)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5))


def noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Fractal noise in two palettes: rock, foliage, carpet."""
    field = fractal_noise(rng, size, rng.uniform(2, 12), rng.uniform(0.45, 0.85))
    palette = np.concatenate([background_palette(rng), background_palette(rng)])
    return ramp(field, palette)


def gradient(rng: np.random.Generator, size: int) -> np.ndarray:
    """A plain wall or sky."""
    field = 0.85 * fractal_noise(rng, size, 1, 0.15) + 0.15 * fractal_noise(rng, size, 8)
    return ramp(field, background_palette(rng))


def pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """Stripes, checks or tiles, wavy and unevenly lit."""
    first, second = stripes(rng, size), stripes(rng, size)
    kind = rng.integers(0, 3)
    field = first if kind == 0 else (first * second if kind == 1 else np.abs(first - second))
    two = np.stack([background_palette(rng)[0], background_palette(rng)[3]])
    light = 0.75 + 0.5 * fractal_noise(rng, size, 2, 0.4)
    return ramp(field, two) * light[..., None]


def bokeh(rng: np.random.Generator, size: int) -> np.ndarray:
    """Lights and objects far out of focus."""
    picture = ramp(fractal_noise(rng, size, 2, 0.3), background_palette(rng))
    for _ in range(int(rng.integers(8, 40))):
        outline = blob(rng, rng.uniform(0, size, 2), size * rng.uniform(0.02, 0.12), 0.1, 40)
        before = picture.copy()
        _fill(picture, outline, background_palette(rng)[int(rng.integers(0, 4))])
        picture = before + rng.uniform(0.3, 0.9) * (picture - before)
    return cv2.GaussianBlur(picture, (0, 0), size * rng.uniform(0.006, 0.025))


def clutter(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sharp shapes, blades and strands: structure like the foregrounds', which a network must not mistake for them."""
    picture = noise(rng, size) if rng.random() < 0.5 else gradient(rng, size)
    for _ in range(int(rng.integers(2, 7))):
        at = rng.uniform(0, size, 2)
        palette = background_palette(rng)
        kind = rng.integers(0, 3)
        if kind == 0:
            _fill(picture, blob(rng, at, size * rng.uniform(0.05, 0.25), 0.4), palette[1])
            continue
        count = int(rng.integers(10, 80))
        paths = grow(
            rng,
            at + rng.normal(0, size * 0.12, (count, 2)),
            rng.uniform(0, TURN) + rng.normal(0, 0.6, count),
            size * rng.uniform(0.1, 0.5, count),
            rng.normal(0, 0.8, count),
            0.4,
        )
        for path in paths:
            width = rng.uniform(2, 9) if kind == 1 else rng.uniform(0.4, 1.6)
            _fill(picture, blade(path, width), palette[int(rng.integers(0, 4))])
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))


def _fill(picture: np.ndarray, outline: np.ndarray, colour: np.ndarray) -> None:
    """Fill a polygon in place, without antialiasing: the pictures are blurred afterwards."""
    shift = 4
    fixed = np.rint((outline - 0.5) * 2**shift).astype(np.int32)
    cv2.fillPoly(picture, [fixed], colour.tolist(), cv2.LINE_8, shift)


SCENES: tuple[Scene, ...] = (landscape, clutter, noise, bokeh, pattern, clutter, gradient)
