"""Photograph a composite: what light, sensor and JPEG make of it."""

import cv2
import numpy as np

MOST_NOISE = 8.0  # standard deviation at mid-grey, 8-bit units
LEAST_QUALITY = 50  # of the JPEG


def photographed(
    foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Compose a picture as a camera sees it.

    Composed in linear light or in that of the file; blurred a little; with noise that grows with the light; through a
    Bayer mosaic; saved as JPEG. Each happens in some of the pictures.

    Args:
        foreground, background: (H, W, 3) uint8 RGB, with even sides.
        alpha: (H, W) uint8.
        rng: draws what happens, how strongly, and the noise.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = composed(foreground, background, alpha, linear=rng.random() < 0.5)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.3, 0.8))
    if rng.random() < 0.8:
        deviation = rng.uniform(0, 1) ** 2 * MOST_NOISE
        shot = np.sqrt(picture * np.float32(1 / 128))  # of light: relative to mid-grey
        picture += (0.5 + 0.5 * shot) * np.float32(deviation) * rng.standard_normal(picture.shape, np.float32)
    pixels = np.rint(picture).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        pixels = demosaiced(pixels)
    if rng.random() < 0.7:
        pixels = compressed(pixels, int(rng.integers(LEAST_QUALITY, 99)))
    return pixels


def composed(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray, linear: bool) -> np.ndarray:
    """Return alpha * foreground + (1 - alpha) * background, (H, W, 3) float32 in 0..255.

    linear: of light, a file's value being its square root, which is close to sRGB's curve.
    """
    over, under = foreground.astype(np.float32), background.astype(np.float32)
    share = alpha[..., None] * np.float32(1 / 255)
    if not linear:
        return under + share * (over - under)
    under *= under
    return np.sqrt(under + share * (over * over - under))


def demosaiced(picture: np.ndarray) -> np.ndarray:
    """Keep one colour of each pixel, in a Bayer pattern, and interpolate the others: (H, W, 3) uint8, sides even."""
    mosaic = picture[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = picture[::2, ::2, 0], picture[1::2, 1::2, 2]
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB)


def compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    """Save a picture (H, W, 3) uint8 RGB as JPEG, its colours at half the resolution, and read it again."""
    code = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def residual(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what `photographed` differs by from the plain composite, (H, W, 3) float32 in 8-bit units."""
    seen = photographed(foreground, background, alpha, rng)
    return seen - composed(foreground, background, alpha, linear=False)
