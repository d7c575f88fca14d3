"""How one training sample is made from layers: Sec. 6.3, details from the released program.

Each step is a function of arrays and, where it draws, of a generator. Foreground and alpha are
resampled by nearest neighbour throughout, so colours that belong to alpha 0 never bleed in.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from a2u.config import SampleConfig
from a2u.data.trimaps import UNKNOWN, trimap_from_alpha
from a2u.data.types import Layer
from a2u.errors import DataError

# A crop has to be among this many unknown pixels, or it is taken anywhere (released program).
FEWEST_CENTRES = 10
# A picture too small for the crop is enlarged until its shorter side is this many crops long.
ENLARGED_SIDE = 1.1
# What jitter may add to a mean of 0; at a mean of 1 it adds a tenth of 0.1.
JITTER_REACH = 1.1


class Sample(NamedTuple):
    """One training sample, all of it crop x crop; image = alpha * foreground + (1 - alpha) * background."""

    image: np.ndarray  # (crop, crop, 3) float32 RGB in 0..1
    foreground: np.ndarray  # (crop, crop, 3) float32 RGB in 0..1
    background: np.ndarray  # (crop, crop, 3) float32 RGB in 0..1
    alpha: np.ndarray  # (crop, crop) float32 in 0..1
    trimap: np.ndarray  # (crop, crop) uint8 of 0, 128, 255


def make_sample(
    layer: Layer,
    second: Layer | None,
    background: np.ndarray,
    rng: np.random.Generator,
    cfg: SampleConfig,
) -> Sample:
    """Compose one training sample.

    Args:
        layer: the foreground.
        second: a foreground to lay under the first, or None.
        background: (H, W, 3) uint8 RGB, of any size.
        rng: draws everything that is random here.
        cfg: sizes and ranges.

    Raises DataError when colours and alpha of a layer differ in size.
    """
    foreground, alpha = _checked(layer)
    if second is not None:
        foreground, alpha = combine(foreground, alpha, *_checked(second))
    if rng.random() < cfg.resize_probability:
        foreground = resize_nearest(foreground, cfg.resize_to, cfg.resize_to)
        alpha = resize_nearest(alpha, cfg.resize_to, cfg.resize_to)
    height, width = alpha.shape
    matrix = random_affine(height, width, rng, cfg)
    foreground, alpha = warp(foreground, matrix), warp(alpha, matrix)
    if rng.random() < 0.5:
        foreground, alpha = cv2.flip(foreground, 1), cv2.flip(alpha, 1)
    fg_size, bg_size = rng.integers(1, cfg.trimap_max, size=2, endpoint=True)
    trimap = trimap_from_alpha(alpha, int(fg_size), int(bg_size))

    height, width = crop_source_size(trimap, cfg.crop)
    foreground, alpha, trimap = (resize_nearest(array, height, width) for array in (foreground, alpha, trimap))
    top, left = crop_corner(trimap, cfg.crop, rng)
    window = np.s_[top : top + cfg.crop, left : left + cfg.crop]
    trimap = np.ascontiguousarray(trimap[window])
    alpha_crop = _unit(alpha[window])
    foreground_crop = _unit(foreground[window])
    background_crop = _unit(cover(background, height, width)[window])
    if cfg.jitter:
        foreground_crop = jitter(foreground_crop, alpha_crop, rng)
    image = composite(foreground_crop, background_crop, alpha_crop)
    return Sample(image, foreground_crop, background_crop, alpha_crop, trimap)


def combine(
    foreground: np.ndarray,
    alpha: np.ndarray,
    second_foreground: np.ndarray,
    second_alpha: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a second foreground, resized to the first, under the first.

    alpha = 1 - (1 - a1)(1 - a2), colours = (f1 a1 + f2 (1 - a1) a2) / (alpha + 1e-5), both rounded
    to 8 bits. Where that would leave alpha opaque everywhere, the first comes back alone.

    Args:
        foreground, second_foreground: (H, W, 3) and (H2, W2, 3) uint8 RGB.
        alpha, second_alpha: (H, W) and (H2, W2) uint8.

    Returns:
        (H, W, 3) uint8 RGB and (H, W) uint8.
    """
    second_foreground = resize_nearest(second_foreground, *alpha.shape)
    second_alpha = resize_nearest(second_alpha, *alpha.shape)
    weight = _unit(alpha)
    second_weight = (1 - weight) * _unit(second_alpha)
    combined = np.rint(255 * (weight + second_weight)).astype(np.uint8)
    if combined.min(initial=255) == 255:
        return foreground, alpha
    # OpenCV's blend is this quotient, its 1e-5 included.
    return cv2.blendLinear(foreground, second_foreground, weight, second_weight), combined


def resize_nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W[, 3]) -> (height, width[, 3]) by nearest neighbour."""
    if array.shape[:2] == (height, width):
        return array
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST)


def random_affine(height: int, width: int, rng: np.random.Generator, cfg: SampleConfig) -> np.ndarray:
    """A map about the centre of a picture: flip, scale, rotation, then shear.

    Each axis is flipped with probability 1/2 and scaled on its own. The rotation is left out where
    the longer side is below `cfg.rotation_min_side`. The shear turns the horizontal coordinate
    further than the vertical one (as in the released program).

    Returns:
        (2, 3) float64, from old to new pixel coordinates (x, y).
    """
    reach = cfg.rotation if max(height, width) >= cfg.rotation_min_side else 0.0
    angle = math.radians(rng.uniform(-reach, reach))
    shear = math.radians(rng.uniform(-cfg.shear, cfg.shear))
    scale = rng.uniform(cfg.scale_min, cfg.scale_max, size=2) * rng.choice((-1, 1), size=2)
    turn = np.array(
        [
            [math.cos(angle + shear), -math.sin(angle + shear)],
            [math.sin(angle), math.cos(angle)],
        ]
    )
    linear = turn * scale  # columns: where the unit steps in x and in y go
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([linear, centre - linear @ centre])


def warp(array: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a (2, 3) map of pixel coordinates; same size, nearest neighbour, zeros from outside."""
    height, width = array.shape[:2]
    return cv2.warpAffine(array, matrix, (width, height), flags=cv2.INTER_NEAREST)


def crop_source_size(trimap: np.ndarray, crop: int) -> tuple[int, int]:
    """Height and width a picture is resized to before it is cropped.

    Without an unknown pixel: the crop itself. Too small (a side up to `crop`): enlarged, keeping
    its proportions, until the shorter side is 1.1 crops (released program). Else: as it is.
    """
    height, width = trimap.shape
    if not (trimap == UNKNOWN).any():
        return crop, crop
    shorter = min(height, width)
    if shorter > crop:
        return height, width
    factor = ENLARGED_SIDE * crop / shorter
    return round(height * factor), round(width * factor)


def crop_corner(trimap: np.ndarray, crop: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a crop centred on a random unknown pixel.

    Only pixels at least crop / 2 from every border serve, so that the crop fits; where there are
    fewer than 10 of them, the crop lies anywhere in the picture.
    """
    height, width = trimap.shape
    half = crop // 2
    inner = trimap[half : height - half, half : width - half]
    centres = np.flatnonzero(inner == UNKNOWN)
    if centres.size < FEWEST_CENTRES:
        return int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
    # A position in the inner part is the corner of the crop centred there.
    top, left = divmod(int(rng.choice(centres)), inner.shape[1])
    return top, left


def cover(background: np.ndarray, height: int, width: int) -> np.ndarray:
    """A background at least height x width: enlarged (cubic, proportions kept) only if too small."""
    old_height, old_width = background.shape[:2]
    factor = max(height / old_height, width / old_width)
    if factor <= 1:
        return background
    size = math.ceil(old_width * factor), math.ceil(old_height * factor)
    return cv2.resize(background, size, interpolation=cv2.INTER_CUBIC)


def jitter(foreground: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift hue, saturation and value of a foreground; nothing where alpha is 0 everywhere.

    Hue turns by a whole number of degrees in -40..39. Saturation and value each shift by one draw
    from +-(1.1 - m)/10, m being the channel's mean where alpha > 0, and are reflected at 0 and 1.

    Args:
        foreground: (H, W, 3) float32 RGB in 0..1.
        alpha: (H, W) float32 in 0..1.

    Returns:
        (H, W, 3) float32 RGB in 0..1.
    """
    visible = alpha > 0
    if not visible.any():
        return foreground
    hue, *others = cv2.split(cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV))  # 0..360, 0..1, 0..1
    hue = np.remainder(hue + np.float32(rng.integers(-40, 40)), np.float32(360))
    for channel in others:
        reach = (JITTER_REACH - float(channel[visible].mean())) / 10
        channel += np.float32(rng.uniform(-reach, reach))
        np.abs(channel, out=channel)
        np.subtract(1, np.abs(1 - channel), out=channel)
    jittered = cv2.cvtColor(cv2.merge([hue, *others]), cv2.COLOR_HSV2RGB)
    return np.clip(jittered, 0, 1)


def composite(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """alpha * foreground + (1 - alpha) * background (Eq. 1): (H, W, 3), (H, W, 3), (H, W) floats."""
    return background + alpha[..., None] * (foreground - background)


def _unit(array: np.ndarray) -> np.ndarray:
    """uint8 0..255 -> float32 0..1."""
    return array.astype(np.float32) / 255


def _checked(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    if layer.foreground.shape[:2] != layer.alpha.shape:
        raise DataError(
            f"layer {layer.name}: colours of {layer.foreground.shape[:2]} and alpha of "
            f"{layer.alpha.shape} (height, width) differ in size; they must agree"
        )
    return layer.foreground, layer.alpha
