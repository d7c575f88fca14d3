"""Foregrounds with large translucent regions: glass and smoke."""

import cv2
import numpy as np

from a2u.data.synthetic.raster import SAMPLES, Drawn, coverage, solid
from a2u.data.synthetic.textures import foreground_palette, fractal_noise, grid, ramp, soft, surface


def glass(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw a vessel: a clear wall, denser towards its rim, with reflections, a liquid, and an opaque label and foot."""
    t = np.linspace(0, 1, 120)
    middle, top, height = size * np.array([rng.uniform(0.4, 0.6), rng.uniform(0.06, 0.15), rng.uniform(0.7, 0.85)])
    knots = rng.uniform(0.1, 0.34, 5) * size
    half = np.interp(t, np.linspace(0, 1, 5), knots)
    half = cv2.GaussianBlur(half[None], (0, 0), 9, borderType=cv2.BORDER_REFLECT)[0]
    tilt = rng.normal(0, 0.06)
    axis = np.stack([middle + tilt * height * (t - 0.5), top + height * t], axis=1)
    rights = axis + half[:, None] * [1, 0]
    lefts = axis - half[:, None] * [1, 0]

    def between(first: float, last: float) -> np.ndarray:
        part = slice(int(first * 119), int(last * 119) + 1)
        return solid(np.concatenate([lefts[part], rights[part][::-1]]))

    wall = coverage([between(0, 1)], size, samples)
    level = rng.uniform(0.35, 0.7)
    liquid = coverage([between(level, 1)], size, samples)
    label = rng.uniform(0.45, 0.6)
    opaque = coverage([between(0.88, 1), between(label, label + rng.uniform(0.1, 0.25))], size, samples)

    inside = cv2.distanceTransform((wall > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    rim = np.exp(-inside / (size * rng.uniform(0.01, 0.03)))
    x, y = grid(size)
    centre_line = np.interp(y, axis[:, 1] / size, axis[:, 0] / size)
    breadth = np.interp(y, axis[:, 1] / size, half / size)
    place = (x - centre_line) / breadth  # -1 at the left wall, 1 at the right one
    reflections = sum(
        rng.uniform(0.3, 0.8) * np.exp(-(((place - at) / rng.uniform(0.04, 0.12)) ** 2))
        for at in rng.uniform(-0.8, 0.8, int(rng.integers(1, 4)))
    )
    reflections = np.clip(reflections * (2 * fractal_noise(rng, size, 3, 0.4) - 0.3), 0, 1)
    body = rng.uniform(0.06, 0.3) + 0.25 * fractal_noise(rng, size, 2, 0.4)
    clear = 1 - (1 - body) * (1 - 0.75 * rim) * (1 - reflections)
    clear = 1 - (1 - clear) * (1 - rng.uniform(0.2, 0.6) * liquid)
    alpha = wall * (1 - (1 - clear) * (1 - opaque))

    colours = surface(rng, size, foreground_palette(rng))
    label_colours = surface(rng, size, foreground_palette(rng))
    colours += soft(opaque, 1)[..., None] * (label_colours - colours)
    shine = np.clip(reflections * 1.2 * (1 - 0.6 * opaque), 0, 1)[..., None]
    return colours + shine * (255 - colours), alpha


def smoke(rng: np.random.Generator, size: int, samples: int = SAMPLES) -> Drawn:
    """Draw drifting smoke or cloud: smooth fractal alpha without any edge."""
    x, y = grid(size)
    bent = [(fractal_noise(rng, size, 2, 0.45) - 0.5) * size * rng.uniform(0.15, 0.45) for _ in range(2)]
    noise = fractal_noise(rng, size, rng.uniform(2, 5), 0.5)
    at = [(axis * size + shift).astype(np.float32) for axis, shift in zip((x, y), bent, strict=True)]
    wisps = cv2.remap(noise, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.5:  # a plume that rises and widens
        drift = rng.uniform(0.35, 0.65) + rng.normal(0, 0.15) * (1 - y) + bent[0] / size * 0.4
        envelope = np.exp(-(((x - drift) / (0.08 + rng.uniform(0.2, 0.35) * (1 - y))) ** 2))
    else:
        (cx, cy), (sx, sy) = rng.uniform(0.35, 0.65, 2), rng.uniform(0.25, 0.45, 2)
        envelope = np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)
    shaped = wisps * envelope
    clear, full = np.quantile(shaped, [rng.uniform(0.2, 0.5), rng.uniform(0.95, 0.995)])
    dense = np.clip((shaped - clear) / (full - clear), 0, 1)
    alpha = rng.uniform(0.6, 1.0) * dense * (2 - dense if rng.random() < 0.5 else dense)
    pale = 255 - (255 - foreground_palette(rng)) * rng.uniform(0.1, 0.6)
    return ramp(0.6 * fractal_noise(rng, size, 3) + 0.4 * wisps, pale), alpha.astype(np.float32)
