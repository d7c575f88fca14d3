"""Estimate the foreground colours of a photograph, and lay the foreground over another background."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageOps

from a2u.data.composition1k.rule import composite
from a2u.data.files.images import read_srgb, read_upright
from a2u.errors import ConfigError
from a2u.files import user_path
from a2u.models.networks.classic import pymatting_for


def estimate_foreground(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Estimate the foreground's colours without the background that shines through; opaque pixels keep theirs.

    Args:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 RGB, also defined where alpha is 0.

    Raises:
        A2UError: pymatting is not installed.

    Source: Germer et al., "Fast multi-level foreground estimation", ICPR 2020.
    """
    estimate = foreground_estimator()
    height, width = alpha.shape
    padding = ((0, int(height == 1)), (0, int(width == 1)))  # pymatting divides by zero at a side of one pixel
    colours = estimate(np.pad(image, (*padding, (0, 0)), "edge") / 255, np.pad(alpha, padding, "edge") / 255)
    foreground = np.rint(255 * colours[:height, :width].clip(0, 1)).astype(np.uint8)
    return np.where((alpha == 255)[..., None], image, foreground)


def foreground_estimator() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return pymatting's function of image (H, W, 3) and alpha (H, W), float64 in 0..1, that gives colours (H, W, 3).

    Raises:
        A2UError: the package is not installed.
    """
    estimate: Callable[[np.ndarray, np.ndarray], np.ndarray]
    estimate = pymatting_for("estimating the colours of a cut-out").estimate_foreground_ml
    return estimate


def read_background(text: str) -> Image.Image:
    """Return the background of a composite: a colour, as an image of one pixel, or the image in a file.

    Raises:
        ConfigError: it is neither.
        DataError: the file cannot be used.
    """
    try:
        colour = ImageColor.getrgb(text)
    except ValueError:
        path = user_path(text)
    else:
        if not all(0 <= value <= 255 for value in colour) or colour[3:] not in ((), (255,)):
            raise ConfigError(f"background={text} is transparent or outside 0..255: give white, #rrggbb or a picture.")
        return Image.new("RGB", (1, 1), colour[:3])
    if not path.is_file():
        raise ConfigError(f"background={text} is neither a colour nor a file: give white, #rrggbb or a picture.")
    return Image.fromarray(read_upright(path, read_srgb))


def on_background(foreground: np.ndarray, alpha: np.ndarray, background: Image.Image) -> np.ndarray:
    """Lay the foreground over a background that is scaled to cover and cropped at the centre: (H, W, 3) uint8 RGB."""
    height, width = alpha.shape
    return composite(foreground, alpha, np.asarray(ImageOps.fit(background, (width, height), Image.Resampling.BICUBIC)))
