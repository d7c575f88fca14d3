"""Foregrounds with blurred edges, out of focus and in motion: one filter blurs alpha and premultiplied colour."""

import cv2
import numpy as np

from a2u.data.synthetic.foregrounds.leaves import leaf
from a2u.data.synthetic.raster import SAMPLES, Drawn, coverage, hole, strips
from a2u.data.synthetic.shapes import TURN, blade, blob, disc, grow, ring
from a2u.data.synthetic.textures import foreground_palette, fractal_noise, surface


def silhouette(rng: np.random.Generator, size: int) -> list[np.ndarray]:
    """Draw a solid body with spikes, bars or petals: the sharp shape to be blurred."""
    centre = size * rng.uniform(0.35, 0.65, 2)
    radius = size * rng.uniform(0.18, 0.28)
    parts = [blob(rng, centre, radius, 0.3)]
    if rng.random() < 0.5:
        parts.append(hole(disc(centre + rng.normal(0, 0.2 * radius, 2), radius * rng.uniform(0.2, 0.4))))
    limbs = int(rng.integers(3, 16))
    angles = rng.uniform(0, TURN) + np.arange(limbs) / limbs * TURN + rng.normal(0, 0.15, limbs)
    lengths = radius * rng.uniform(0.8, 2.0, limbs)
    paths = grow(rng, centre + 0.55 * radius * ring(angles), angles, lengths, rng.normal(0, 0.6, limbs), 0.3, 40)
    widths = rng.uniform(0.01, 0.07, limbs) * size
    if rng.random() < 0.5:
        parts += [blade(path, 2 * width) for path, width in zip(paths, widths, strict=True)]
    else:
        parts.append(strips(paths, widths[:, None] * np.linspace(1, 0.4, 40)))
    return parts


def defocus(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a silhouette out of focus, more so towards one side."""
    alpha = coverage(silhouette(rng, size), size, samples)
    colours = surface(rng, size, foreground_palette(rng))
    near, far = (
        filtered(colours, alpha, _lens(size * radius))
        for radius in (rng.uniform(0.006, 0.016), rng.uniform(0.02, 0.05))
    )
    # Mixing premultiplied colours and alphas by the same weights keeps the two consistent.
    share = np.clip(fractal_noise(rng, size, 1, 0.1) * 2 - 0.5, 0, 1)
    mixed = near[1] + share * (far[1] - near[1])
    premultiplied = (near[0] * near[1][..., None]) * (1 - share[..., None])
    premultiplied += (far[0] * far[1][..., None]) * share[..., None]
    return _divided(premultiplied, mixed, far[0]), mixed


def motion(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a silhouette or a leaf that moved during the exposure, along a straight line or a slight arc."""
    if rng.random() < 0.6:
        alpha = coverage(silhouette(rng, size), size, samples)
        colours = surface(rng, size, foreground_palette(rng))
    else:
        colours, alpha = leaf(rng, size, samples)
    length = size * rng.uniform(0.04, 0.14)
    track = grow(rng, np.zeros((1, 2)), rng.uniform(0, TURN, 1), np.array([length]), rng.normal(0, 0.8, 1), 0.0, 64)[0]
    return filtered(colours, alpha, _track_kernel(track))


def filtered(colours: np.ndarray, alpha: np.ndarray, kernel: np.ndarray) -> Drawn:
    """Blur a layer by a kernel that sums to 1.

    Over a still background the result is the mean, weighted by the kernel, of the composites of the shifted layer.
    The layer is mirrored at the image border.
    """
    blurred = cv2.filter2D(alpha, -1, kernel, borderType=cv2.BORDER_REFLECT)
    premultiplied = cv2.filter2D(colours * alpha[..., None], -1, kernel, borderType=cv2.BORDER_REFLECT)
    return _divided(premultiplied, blurred, colours), np.clip(blurred, 0, 1)


def _divided(premultiplied: np.ndarray, alpha: np.ndarray, elsewhere: np.ndarray) -> np.ndarray:
    """Divide premultiplied colour by alpha; where alpha rounds to 0 of 255, return `elsewhere`."""
    seen = (alpha > 0.5 / 255)[..., None]
    return np.where(seen, premultiplied / np.maximum(alpha, 0.5 / 255)[..., None], elsewhere)


def _lens(radius: float) -> np.ndarray:
    """Return a disc kernel that sums to 1."""
    side = 2 * int(np.ceil(radius)) + 1
    kernel = coverage([disc(np.array([side / 2, side / 2]), radius)], side, 16)
    return kernel / kernel.sum()


def _track_kernel(track: np.ndarray) -> np.ndarray:
    """Return the kernel of a movement along points (N, 2), each shared bilinearly among four pixels."""
    track = track - track.mean(axis=0)
    reach = int(np.ceil(np.abs(track).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    corner = np.floor(track).astype(int)
    part = track - corner
    for dx in (0, 1):
        for dy in (0, 1):
            share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(kernel, (corner[:, 1] + dy + reach, corner[:, 0] + dx + reach), share)
    return kernel / kernel.sum()
