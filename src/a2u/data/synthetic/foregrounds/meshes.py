"""Foregrounds with thin meshes: nets and lace."""

import numpy as np

from a2u.data.synthetic.raster import SAMPLES, Drawn, area, hole, mask, solid, strips
from a2u.data.synthetic.shapes import TURN, blade, blob, disc, mesh, waves
from a2u.data.synthetic.textures import foreground_palette, soft, surface


def net(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a warped net of thin threads in a solid frame."""
    warp = waves(rng, size, size * rng.uniform(0.01, 0.04))
    outline = warp(blob(rng, size * rng.uniform(0.4, 0.6, 2), size * rng.uniform(0.3, 0.42), 0.2))
    spacing = rng.uniform(5, 14)
    threads = warp(mesh(rng, size, spacing, zigzag=bool(rng.random() < 0.5)))
    width = min(rng.uniform(0.4, 1.8), spacing / 5)
    rim = np.concatenate([outline, outline[:3]])[None]  # closed with an overlap
    frame = mask([strips(rim, rng.uniform(12, 18))], size, samples)
    threads_inside = mask([strips(threads, width)], size, samples) & mask([outline], size, samples)
    alpha = area(frame | threads_inside, samples)
    palette = foreground_palette(rng)
    colours = surface(rng, size, palette)
    near_frame = soft(area(frame, samples), 1.5)[..., None]
    return colours + near_frame * (surface(rng, size, foreground_palette(rng)) - colours), alpha


def lace(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a hanging of fine tulle with flowers, a solid hem at the top and a scalloped edge at the bottom."""
    warp = waves(rng, size, size * rng.uniform(0.01, 0.03))
    top, bottom = size * rng.uniform(0.12, 0.2), size * rng.uniform(0.6, 0.8)
    slope = size * rng.uniform(-0.12, 0.12)
    scallops = int(rng.integers(4, 9))
    x = np.linspace(-0.2 * size, 1.2 * size, 240)

    def across(height: np.ndarray | float) -> np.ndarray:
        return np.stack([x, height + slope * (x / size - 0.5)], axis=1)

    edge = warp(across(bottom + size * 0.06 * np.abs(np.sin(x / size * np.pi * scallops))))
    above = np.array([[1.2 * size, -size], [-0.2 * size, -size]])
    cloth = solid(np.concatenate([edge, above]))
    hem = solid(np.concatenate([warp(across(top)), above]))
    spacing = rng.uniform(3.5, 7)
    tulle = strips(warp(mesh(rng, size, spacing, zigzag=True)), rng.uniform(0.35, 0.2 * spacing))
    patterns = [hem, strips(edge[None], rng.uniform(3, 7))]
    for _ in range(int(rng.integers(6, 16))):
        centre = size * rng.uniform([0, 0.15], [1, 0.9])
        patterns += [warp(part) for part in _flower(rng, centre, size * rng.uniform(0.035, 0.09))]
    inside = mask([tulle], size, samples) | mask(patterns, size, samples)
    alpha = area(inside & (mask([cloth], size, samples) | mask(patterns[1:2], size, samples)), samples)
    return surface(rng, size, foreground_palette(rng)), alpha


def _flower(rng: np.random.Generator, centre: np.ndarray, radius: float) -> list[np.ndarray]:
    """Draw petals around an eyelet: solid polygons, with a hole in each petal."""
    petals = int(rng.integers(4, 8))
    parts = []
    for angle in np.arange(petals) / petals * TURN + rng.uniform(0, TURN):
        tip = np.array([np.cos(angle), np.sin(angle)])
        path = centre + radius * np.linspace(0.2, 1.2, 16)[:, None] * tip
        parts.append(blade(path, radius * 3.2 / petals))
        parts.append(hole(disc(centre + 0.75 * radius * tip, radius * 0.11, 12)))
    return parts
