"""Outlines and curves, in pixels, from which foregrounds and cluttered backgrounds are drawn."""

from collections.abc import Callable

import numpy as np

from a2u.data.synthetic.raster import solid, strips

TURN = 2 * np.pi
Warp = Callable[[np.ndarray], np.ndarray]


def ring(angles: np.ndarray) -> np.ndarray:
    """Return points (N, 2) of the unit circle at angles (N,)."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def disc(centre: np.ndarray, radius: float, corners: int = 96) -> np.ndarray:
    """Return a regular polygon (corners, 2)."""
    angles = np.arange(corners) / corners * TURN
    return solid(centre + radius * ring(angles))


def blob(
    rng: np.random.Generator, centre: np.ndarray, radius: float, roughness: float = 0.25, corners: int = 160
) -> np.ndarray:
    """Draw a closed smooth outline (corners, 2): a circle whose radius varies by a random Fourier series."""
    angles = np.arange(corners) / corners * TURN
    orders = np.arange(2, 8)[:, None]
    amplitudes = rng.normal(0, roughness, (6, 1)) / orders**1.2
    scale = 1 + np.sum(amplitudes * np.cos(orders * angles + rng.uniform(0, TURN, (6, 1))), axis=0)
    scale = np.maximum(scale, 0.35)[:, None]
    return solid(centre + radius * scale * ring(angles))


def grow(
    rng: np.random.Generator,
    roots: np.ndarray,
    angles: np.ndarray,
    lengths: np.ndarray,
    bend: np.ndarray,
    curl: float,
    points: int = 20,
) -> np.ndarray:
    """Draw curved strands (P, points, 2) from roots (P, 2), starting at angles (P,), of lengths (P,) pixels.

    bend: change of heading from root to tip, (P,) radians; curl: amplitude of a wave in the heading, radians.
    """
    t = np.linspace(0, 1, points)
    count = len(roots)
    wave = np.sin(TURN * (rng.uniform(0.4, 2.2, (count, 1)) * t + rng.uniform(0, 1, (count, 1))))
    heading = angles[:, None] + bend[:, None] * t + curl * rng.uniform(0.2, 1, (count, 1)) * wave
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=2) * (lengths / (points - 1))[:, None, None]
    steps[:, 0] = 0
    return roots[:, None] + np.cumsum(steps, axis=1)


def waves(rng: np.random.Generator, size: int, amplitude: float, count: int = 4) -> Warp:
    """Draw a smooth displacement of points (..., 2) by about `amplitude` pixels."""
    vectors = rng.normal(0, 1.2, (count, 2)) * TURN / size
    phases = rng.uniform(0, TURN, (2, count))
    directions = rng.normal(0, amplitude / np.sqrt(count), (2, count))

    def warp(points: np.ndarray) -> np.ndarray:
        angle = points @ vectors.T  # (..., count)
        moved = [np.sin(angle + phases[axis]) @ directions[axis] for axis in (0, 1)]
        return points + np.stack(moved, axis=-1)

    return warp


def mesh(rng: np.random.Generator, size: int, spacing: float, zigzag: bool, points: int = 0) -> np.ndarray:
    """Draw the threads of a net over the whole image and beyond: paths (P, N, 2).

    zigzag: neighbouring threads swing towards each other and meet, as in a fishing net; otherwise two families of
    straight threads cross.
    """
    reach = 0.8 * size
    points = points or int(2 * reach / spacing) * 6
    along = np.linspace(-reach, reach, points)
    across = np.arange(-reach, reach, spacing)
    if zigzag:
        sign = np.where(np.arange(len(across)) % 2, 1.0, -1.0)[:, None]
        swing = np.clip(1.5 * np.sin(along * np.pi / spacing), -1, 1) * spacing / 2
        threads = np.stack([np.broadcast_to(along, (len(across), points)), across[:, None] + sign * swing], axis=2)
    else:
        straight = np.stack(np.broadcast_arrays(along, across[:, None]), axis=2)
        threads = np.concatenate([straight, straight[..., ::-1]])
    angle = rng.uniform(0, TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return threads @ turn.T + size / 2


def blade(path: np.ndarray, width: float, teeth: int = 0, depth: float = 0.0) -> np.ndarray:
    """Return the outline (2N, 2) of a leaf along a path (N, 2), pointed at both ends; `depth` of teeth: a share."""
    t = np.linspace(0, 1, len(path))
    widths = width * np.sin(np.pi * t**0.8) ** 0.8 * (1 - depth * (1 - (teeth * t) % 1.0))
    return strips(path[None], widths)[0]
