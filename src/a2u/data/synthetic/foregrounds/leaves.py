"""Foregrounds with blades: branches of serrated leaves and fronds of narrow ones."""

import numpy as np

from a2u.data.synthetic.raster import SAMPLES, Drawn, coverage, hole, strips
from a2u.data.synthetic.shapes import blade, blob, grow
from a2u.data.synthetic.textures import foreground_palette, soft, streaks, surface


def leaf(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a branch of serrated leaves, some with holes, or a frond of narrow ones, rising from a bulb."""
    foot = size * np.array([rng.uniform(0.2, 0.8), rng.uniform(0.88, 0.95)])
    bulb = blob(rng, foot, size * rng.uniform(0.11, 0.15), 0.15)
    heading = -np.pi / 2 + 0.6 * (0.5 - foot[0] / size)
    length = size * rng.uniform(0.75, 0.9)
    stem = grow(rng, foot[None], np.array([heading]), np.array([length]), rng.normal(0, 0.5, 1), 0.2, 60)[0]
    parts = [bulb, strips(stem[None], np.linspace(0.02 * size, 1, 60))]
    veins = [stem]
    frond = rng.random() < 0.4
    count = 2 * int(rng.integers(14, 26) if frond else rng.integers(3, 6))
    for number in range(count):
        t = 0.15 + 0.85 * number / count
        place = int(t * 59)
        along = stem[min(place + 1, 59)] - stem[place - 1]
        side = 1 if number % 2 else -1
        angle = np.arctan2(along[1], along[0]) + side * rng.normal(1.0, 0.15)
        length = size * rng.uniform(0.28, 0.42) * (1.15 - 0.7 * t)
        bend = side * rng.normal(0.3, 0.4, 1)
        rib = grow(rng, stem[place][None], np.array([angle]), np.array([length]), bend, 0.1, 120)[0]
        veins.append(rib[:100:5])
        if frond:
            parts.append(blade(rib, length * rng.uniform(0.04, 0.1)))
        else:
            parts += _serrated(rng, rib, length * rng.uniform(0.4, 0.6))

    palette = foreground_palette(rng)
    colours = surface(rng, size, palette)
    inside = soft(coverage([bulb], size, 2), 1.5)[..., None]
    colours += inside * (surface(rng, size, foreground_palette(rng)) - colours)
    for vein in veins:
        colours = streaks(rng, colours, vein[None], palette * 1.15 + 15, 1)
    return np.clip(colours, 0, 255), coverage(parts, size, samples)


def _serrated(rng: np.random.Generator, rib: np.ndarray, width: float) -> list[np.ndarray]:
    """Draw a broad leaf with a toothed edge along a rib (120, 2), with holes left by insects."""
    parts = [blade(rib, width, int(rng.integers(8, 22)), rng.uniform(0.05, 0.25))]
    for _ in range(int(rng.integers(0, 5))):
        spot = rib[int(rng.integers(40, 90))] + rng.normal(0, 0.14 * width, 2)
        parts.append(hole(blob(rng, spot, width * rng.uniform(0.02, 0.09), 0.3, 24)))
    return parts
