"""Noise, palettes and surfaces. Colours are float32 RGB in 0..255."""

import cv2
import numpy as np

from a2u.data.synthetic.shapes import TURN


def fractal_noise(rng: np.random.Generator, size: int, cells: float = 4, persistence: float = 0.55) -> np.ndarray:
    """Sum octaves of smoothed noise, stretched to 0..1: (size, size) float32.

    cells: cells of the coarsest octave per side; persistence: ratio of successive octaves' amplitudes.
    """
    total = np.zeros((size, size), dtype=np.float32)
    amplitude = 1.0
    while cells <= size / 2:
        grid = rng.standard_normal((int(cells) + 2, int(cells) + 2)).astype(np.float32)
        total += amplitude * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, amplitude = cells * 2, amplitude * persistence
    return stretched(total)


def stretched(field: np.ndarray) -> np.ndarray:
    """Scale and shift a field to the range 0..1."""
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the pixel centres in 0..1: two (size, size) float32."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(line, line)
    return x, y


def soft(field: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of sigma pixels, float32."""
    return cv2.GaussianBlur(field.astype(np.float32), (0, 0), sigma)


def colours_of(hues: np.ndarray, saturations: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Convert HSV, each (N,) in 0..1 (hues modulo 1), to RGB (N, 3) float32 in 0..255."""
    hsv = np.stack([(hues % 1) * 360, np.clip(saturations, 0, 1), np.clip(values, 0, 1)], axis=1)
    return cv2.cvtColor(hsv.astype(np.float32)[None], cv2.COLOR_HSV2RGB)[0] * 255


def foreground_palette(rng: np.random.Generator) -> np.ndarray:
    """Draw four colours (4, 3) of one material, dark to light: mostly warm, saturated."""
    warm = rng.random() < 0.7
    hue = rng.normal(0.06, 0.07) if warm else rng.random()
    return _palette(rng, hue, 0.03, rng.uniform(0.45, 1.0), rng.uniform(0.3, 0.8))


def background_palette(rng: np.random.Generator) -> np.ndarray:
    """Draw four colours (4, 3), dark to light: mostly cool, pale, of more varied hues than one material."""
    cool = rng.random() < 0.7
    hue = rng.normal(0.5, 0.12) if cool else rng.random()
    return _palette(rng, hue, 0.06, rng.uniform(0.03, 0.5), rng.uniform(0.1, 0.8))


def _palette(rng: np.random.Generator, hue: float, spread: float, saturation: float, darkest: float) -> np.ndarray:
    values = np.linspace(darkest, min(darkest + rng.uniform(0.15, 0.4), 1.0), 4)
    return colours_of(
        hue + rng.normal(0, spread, 4), saturation + rng.normal(0, 0.08, 4), values + rng.normal(0, 0.03, 4)
    )


def ramp(field: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Map a field (H, W) in 0..1 to colours interpolated linearly along a palette (K, 3): (H, W, 3) float32."""
    stops = np.linspace(0, 1, len(palette))
    channels = [np.interp(field, stops, palette[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)


def stripes(rng: np.random.Generator, size: int, waviness: float = 0.3) -> np.ndarray:
    """Draw wavy stripes, sharp or soft, (size, size) float32 in 0..1."""
    x, y = grid(size)
    angle = rng.uniform(0, TURN)
    count = rng.uniform(4, 18)
    phase = x * np.cos(angle) + y * np.sin(angle) + waviness * (fractal_noise(rng, size, 2, 0.3) - 0.5)
    return np.clip(0.5 + rng.uniform(0.5, 4) * np.sin(TURN * count * phase), 0, 1)


def surface(rng: np.random.Generator, size: int, palette: np.ndarray) -> np.ndarray:
    """Draw the texture of a material, (size, size, 3) float32: pattern, shading and highlights."""
    kind = rng.choice(["noise", "stripes", "gradient", "grain"], p=[0.35, 0.2, 0.25, 0.2])
    if kind == "noise":
        field = fractal_noise(rng, size, rng.uniform(2, 8), 0.6)
    elif kind == "stripes":
        field = stripes(rng, size) * 0.7 + 0.3 * fractal_noise(rng, size, 4)
    elif kind == "gradient":
        field = fractal_noise(rng, size, 1, 0.2)
    else:
        grain = [int(rng.integers(9, 25)), 1]
        rng.shuffle(grain)
        field = stretched(cv2.blur(fractal_noise(rng, size, 16, 0.8), grain))
    colours = ramp(field, palette) * (0.75 + 0.5 * fractal_noise(rng, size, 1, 0.3))[..., None]
    return np.clip(highlights(rng, colours, int(rng.integers(0, 4))), 0, 255)


def highlights(rng: np.random.Generator, colours: np.ndarray, count: int) -> np.ndarray:
    """Add `count` specular spots to colours (S, S, 3)."""
    x, y = grid(colours.shape[0])
    for _ in range(count):
        (cx, cy), (sx, sy) = rng.uniform(0.1, 0.9, 2), rng.uniform(0.01, 0.08, 2)
        spot = np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2) * rng.uniform(0.3, 0.9)
        colours = colours + spot[..., None] * (255 - colours)
    return colours


def streaks(
    rng: np.random.Generator, colours: np.ndarray, paths: np.ndarray, palette: np.ndarray, thickness: int
) -> np.ndarray:
    """Paint strands (P, N, 2) over colours (S, S, 3), each in a random shade of the palette.

    They are thicker than their alpha, so that the colour extends beyond the strand's edge.
    """
    shift = 4  # of OpenCV's fixed-point coordinates, with pixel centres at integers
    picture = np.rint(colours).astype(np.uint8)  # OpenCV draws antialiased lines in 8 bits only
    fixed = np.rint((paths - 0.5) * 2**shift).astype(np.int32)
    shades = ramp(np.clip(rng.normal(0.5, 0.3, (1, len(paths))), 0, 1), palette)[0]
    for path, shade in zip(fixed, shades, strict=True):
        cv2.polylines(picture, [path], False, shade.tolist(), thickness, cv2.LINE_AA, shift)
    return picture.astype(np.float32)


def faded(palette: np.ndarray) -> np.ndarray:
    """Reduce the contrast of a palette (K, 3)."""
    middle = palette.mean(axis=0)
    return middle + 0.4 * (palette - middle)


def strands(rng: np.random.Generator, colours: np.ndarray, paths: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Paint hairs (P, N, 2) over colours (S, S, 3): broad faded streaks that extend beyond alpha, fine ones on top."""
    return streaks(rng, streaks(rng, colours, paths, faded(palette), 3), paths, palette, 1)
