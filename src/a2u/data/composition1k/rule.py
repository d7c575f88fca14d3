"""The rule of Composition-1k: the exact pixels of a composite of a foreground, an alpha and a background.

`cover` fits the background to the foreground's size, and `composite` blends the two in float64. Where the exact value
is an integer, the sum can fall just below it and is then floored to one less; other arithmetic (float32, integers)
differs there, in dozens to hundreds of values of a photograph.

Source: the program released with Xu et al., "Deep image matting", CVPR 2017. Distinctions-646 comes with the same rule.
"""

import hashlib
import math
from pathlib import Path

import numpy as np
from PIL import Image

from a2u.data.files.images import opened
from a2u.data.sampling.trimaps import trimap_from_alpha

RULE = 1  # its version, to be raised with every change of a pixel, so that older composites are made again


def composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Lay one image over another: floor(a fg + (1 - a) bg) in float64, a = alpha / 255.

    Alpha 255 copies the foreground and 0 the background.

    Args:
        foreground, background: (H, W, 3) uint8.
        alpha: (H, W) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    image = np.where((alpha == 255)[..., None], foreground, background)
    mixed = (alpha > 0) & (alpha < 255)
    opacity = alpha[mixed, None] / 255  # (N, 1) float64
    image[mixed] = np.floor(opacity * foreground[mixed] + (1 - opacity) * background[mixed]).astype(np.uint8)
    return image


def cover(background: Image.Image, height: int, width: int) -> np.ndarray:
    """Return the top left (height, width, 3) uint8 of an image, enlarged by Pillow's bicubic filter if it is smaller.

    The enlarged size is ceil(size * ratio), which rounding can make one pixel larger than needed, as released.
    """
    ratio = max(width / background.width, height / background.height)
    if ratio > 1:
        size = math.ceil(background.width * ratio), math.ceil(background.height * ratio)
        background = background.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(background)[:height, :width]


def trimap(name: str, alpha: np.ndarray, largest: int) -> np.ndarray:
    """Return a trimap for the composite `name`, (H, W) uint8; see `trimap_from_alpha`.

    The diameters of the two erosions, 1..`largest` pixels, depend on the name alone, so that everyone gets the same.

    Use the released trimaps of Composition-1k. Distinctions-646 has none, and the paper does not say how it made its
    own; 29 gives the sizes of training trimaps, and the printed numbers will not be matched exactly.
    """
    digest = hashlib.sha256(name.encode()).digest()
    fg_size, bg_size = (1 + int.from_bytes(part, "big") % largest for part in (digest[:8], digest[8:16]))
    return trimap_from_alpha(alpha, fg_size, bg_size)


def read_picture(path: Path) -> Image.Image:
    """Read an image as the released program does: 8-bit RGB, opacity dropped, EXIF orientation ignored.

    Raises:
        DataError: the file is missing, damaged, or has more than 8 bits a channel.
    """
    with opened(path) as image:
        return image.convert("RGB")
