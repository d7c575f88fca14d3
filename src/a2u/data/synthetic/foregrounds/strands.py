"""Foregrounds with strands: hair, fur and feathers."""

import numpy as np

from a2u.data.synthetic.raster import SAMPLES, Drawn, coverage, solid, strips
from a2u.data.synthetic.shapes import TURN, blob, grow, ring, waves
from a2u.data.synthetic.textures import (
    faded,
    foreground_palette,
    grid,
    soft,
    strands,
    streaks,
    surface,
)


def hair(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a head with locks and stray hairs, whose widths taper from over a pixel to a tenth of one."""
    centre = size * np.array([rng.uniform(0.38, 0.62), rng.uniform(0.4, 0.52)])
    radius = size * rng.uniform(0.17, 0.25)
    head = blob(rng, centre, radius, 0.06) * [0.85, 1] + centre * [0.15, 0]
    shoulders = _bust(centre, radius, radius * rng.uniform(1.3, 2.0))

    # Locks start at the upper head and turn, by a share g, in the direction in which gravity or wind pulls them.
    locks, each = int(rng.integers(30, 60)), int(rng.integers(8, 16))
    pull, g, reach = rng.normal(np.pi / 2, 0.7), rng.uniform(0, 1), rng.uniform(0.7, 2.0)
    side = rng.normal(-np.pi / 2, 1.1, locks)
    turn = (pull - side + np.pi) % TURN - np.pi
    angle = side + rng.normal(0, 0.25, locks)
    bend = turn * g * rng.uniform(0.6, 1.1, locks)
    length = radius * reach * rng.uniform(0.6, 1.2, locks)
    of = np.repeat(np.arange(locks), each)  # (P,) the lock of every strand
    count = len(of)
    around = side[of] + rng.normal(0, 0.16, count)
    curl = rng.choice([0.1, 0.3, 0.8])
    tidy = grow(
        rng,
        centre + ring(around) * radius * rng.uniform(0.5, 0.95, (count, 1)) * [0.85, 1],
        angle[of] + rng.normal(0, 0.1, count),
        length[of] * rng.uniform(0.6, 1.15, count),
        bend[of] + rng.normal(0, 0.2, count),
        curl,
    )
    count = int(rng.integers(20, 70))
    around = rng.normal(-np.pi / 2, 1.2, count)
    stray = grow(
        rng,
        centre + ring(around) * radius * [0.75, 0.9],
        around + rng.normal(0, 0.6, count),
        radius * rng.uniform(0.4, 1.7, count),
        rng.normal(0, 1.2, count),
        curl=0.6,
    )
    paths = np.concatenate([tidy, stray])  # (P, N, 2)
    widths = rng.uniform(0.5, 1.3, (len(paths), 1)) * np.linspace(1, 0.15, paths.shape[1])
    alpha = coverage([head, shoulders, strips(paths, widths)], size, samples)

    palette, skin, clothes = (foreground_palette(rng) for _ in range(3))
    colours = streaks(rng, surface(rng, size, palette), paths, faded(palette), 3)
    y = grid(size)[1] * size
    for part, part_palette in ((shoulders, clothes), (head, skin)):
        inside = coverage([part], size, 2) * (y > centre[1] - 0.3 * radius)
        colours += soft(inside, 1.5)[..., None] * (surface(rng, size, part_palette) - colours)
    return streaks(rng, colours, paths, palette, 1), alpha


def _bust(centre: np.ndarray, radius: float, half: float) -> np.ndarray:
    """Return neck and shoulders below a head: a polygon that leaves the image at the bottom."""
    t = np.linspace(0, 1, 40)
    widths = 0.4 * radius + (half - 0.4 * radius) * (t * t * (3 - 2 * t)) ** 0.6
    right = centre + np.stack([widths, radius * (0.6 + 1.1 * t)], axis=1)
    right = np.concatenate([right, [[centre[0] + 1.1 * half, centre[1] + 20 * radius]]])
    left = right * [-1, 1] + centre * [2, 0]
    return solid(np.concatenate([left, right[::-1]]))


def fur(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a body covered in short combed tapering hairs."""
    centre = size * rng.uniform(0.38, 0.62, 2)
    outline = blob(rng, centre, size * rng.uniform(0.26, 0.38), 0.35)
    count = int(size * rng.uniform(6, 10))
    edge = rng.integers(0, len(outline), count)
    inward = 0.95 * rng.random((count, 1)) ** 2
    roots = outline[edge] * (1 - inward) + centre * inward + rng.normal(0, 0.4, (count, 2))
    outward = roots - centre
    comb = waves(rng, size, 1.0)
    combed = (comb(roots) - roots) * 2
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1) + combed * rng.uniform(0.1, 0.9)
    length = size * rng.uniform(0.05, 0.13) * rng.uniform(0.5, 1.4, count)
    angles = np.arctan2(outward[:, 1], outward[:, 0]) + rng.normal(0, 0.25, count)
    paths = grow(rng, roots, angles, length, rng.normal(0, 0.5, count), curl=0.25, points=10)
    bands = strips(paths, rng.uniform(0.6, 1.8, (count, 1)) * np.linspace(1, 0.05, 10))
    alpha = coverage([outline, bands], size, samples)
    palette = foreground_palette(rng)
    return strands(rng, surface(rng, size, palette), paths, palette), alpha


def feather(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a bunch of feathers: shafts with barbs that leave gaps, and down at the base."""
    foot = size * np.array([rng.uniform(0.3, 0.7), rng.uniform(0.85, 0.95)])
    holder = blob(rng, foot, size * rng.uniform(0.1, 0.15), 0.2)
    count = int(rng.integers(1, 5))
    fan = -np.pi / 2 + np.arange(count) * rng.uniform(0.25, 0.5)
    fan += (0.5 - foot[0] / size) - (fan.mean() + np.pi / 2) + rng.normal(0, 0.08, count)
    palette = foreground_palette(rng)
    colours = surface(rng, size, palette)
    polygons = [holder]
    for heading in fan:
        length = size * rng.uniform(0.65, 0.95)
        bend = rng.normal(0, 0.4, 1)
        shaft = grow(rng, foot[None], heading[None], np.array([length]), bend, 0.1, 200)[0]
        barbs, widths = _barbs(rng, shaft, length)
        polygons += [strips(barbs, widths), strips(shaft[None], np.linspace(0.016 * size, 0.8, 200))]
        colours = strands(rng, colours, barbs, palette)
        colours = streaks(rng, colours, shaft[None], palette * 0.5 + 120, 2)
    return np.clip(colours, 0, 255), coverage(polygons, size, samples)


def _barbs(rng: np.random.Generator, shaft: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw barbs (P, 12, 2) on both sides of a shaft (200, 2); return them and their widths (P, 12)."""
    count = int(length / 0.9)
    t = np.tile(np.linspace(0.12, 0.995, count), 2)
    side = np.repeat([-1.0, 1.0], count)
    place = (t * 199).astype(int)
    along = shaft[np.minimum(place + 1, 199)] - shaft[place - 1]
    # Barbs cling together in bunches that lean differently, which opens gaps in the vane.
    bunch = np.cumsum(rng.random(2 * count) < 0.08)
    lean = rng.normal(0, 0.13, bunch[-1] + 1)[bunch]
    down = np.clip((0.35 - t) / 0.25, 0, 1)
    angle = np.arctan2(along[:, 1], along[:, 0]) + side * (0.75 + 0.5 * down + lean)
    angle += rng.normal(0, 0.02 + 0.5 * down)
    reach = length * rng.uniform(0.15, 0.3) * np.sin(np.pi * np.clip(t, 0, 0.97) ** 1.3) ** 0.5
    reach *= rng.uniform(0.85, 1.1, bunch[-1] + 1)[bunch]
    barbs = grow(rng, shaft[place], angle, reach, -side * rng.uniform(0.3, 0.6), 0.04, 12)
    widths = rng.uniform(1.3, 1.7) * (1 - 0.6 * down[:, None]) * np.linspace(1, 0.2, 12)
    return barbs, widths
