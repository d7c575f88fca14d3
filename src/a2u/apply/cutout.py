"""What is made of a photograph and its alpha: the foreground's own colours, and the foreground on something else."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor, ImageOps

from a2u.data.composition1k.rule import composite
from a2u.data.files.images import read_srgb, read_upright
from a2u.errors import ConfigError
from a2u.files import user_path
from a2u.models.networks.classic import pymatting_for


def estimate_foreground(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours of the foreground without what shines through from behind it; opaque pixels keep theirs.

    Args:
        image: (H, W, 3) uint8 RGB.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8 RGB, defined where alpha is 0 too.

    Raises:
        A2UError: pymatting is not installed.

    Source: Germer et al., "Fast multi-level foreground estimation", ICPR 2020.
    """
    estimate = foreground_estimator()
    height, width = alpha.shape
    room = ((0, int(height == 1)), (0, int(width == 1)))  # it divides by zero at a side of one pixel
    colours = estimate(np.pad(image, (*room, (0, 0)), "edge") / 255, np.pad(alpha, room, "edge") / 255)
    foreground = np.rint(255 * colours[:height, :width].clip(0, 1)).astype(np.uint8)
    return np.where((alpha == 255)[..., None], image, foreground)


def foreground_estimator() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """pymatting's function of image (H, W, 3) and alpha (H, W), both float64 in 0..1, to colours (H, W, 3).

    Raises A2UError where the package is not installed.
    """
    estimate: Callable[[np.ndarray, np.ndarray], np.ndarray]
    estimate = pymatting_for("estimating the colours of a cut-out").estimate_foreground_ml
    return estimate


def read_background(text: str) -> Image.Image:
    """What a composite is made on: a colour, as a picture of one pixel, or the picture in a file.

    Raises:
        ConfigError: it is neither. DataError: the file cannot be used.
    """
    try:
        return Image.new("RGB", (1, 1), ImageColor.getrgb(text)[:3])
    except ValueError:
        path = user_path(text)
    if not path.is_file():
        raise ConfigError(f"background={text} is no colour and no file: give white, #rrggbb or a picture.")
    return Image.fromarray(read_upright(path, read_srgb))


def on_background(foreground: np.ndarray, alpha: np.ndarray, background: Image.Image) -> np.ndarray:
    """The foreground over a picture that is scaled until it just covers, and cut evenly: (H, W, 3) uint8 RGB."""
    height, width = alpha.shape
    return composite(foreground, alpha, np.asarray(ImageOps.fit(background, (width, height), Image.Resampling.BICUBIC)))
