"""Crop a foreground around a random unknown pixel, and the background at the same place."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from a2u.data.sampling.lazy_layer import View, Window
from a2u.data.sampling.trimaps import is_unknown, trimap_from_alpha
from a2u.network_input import UNKNOWN

FEWEST_CENTRES = 10  # with fewer unknown pixels to centre a crop on, it is placed anywhere (released program)
ENLARGED_SIDE = 1.1  # crops; an image too small for a crop is enlarged until its shorter side has this length
PIXELS_PER_TRY = 2000  # testing one pixel takes about as long as computing this many pixels of a trimap
CUBIC_REACH = 2  # pixels on each side that cubic interpolation reads
LARGEST_FACTOR = 256  # a background enlarged further becomes a few flat blocks; interpolating would fill the memory


class Crop(NamedTuple):
    """A crop, and where it lies."""

    foreground: np.ndarray  # (crop, crop, 3) uint8 RGB
    alpha: np.ndarray  # (crop, crop) uint8
    trimap: np.ndarray  # (crop, crop) uint8 of 0, 128, 255
    window: Window
    size: tuple[int, int]  # height and width of the image it was cut from


def random_crop(view: View, trimap_sizes: tuple[int, int], crop: int, rng: np.random.Generator) -> Crop:
    """Resize an image as `crop_source_size` says and crop it as `crop_corner` says.

    Where no resizing is needed, only the parts that finding the place takes are computed, not the whole image.

    Args:
        view: the image.
        trimap_sizes: diameters of the ellipses that erode foreground and background, see `trimap_from_alpha`.
        crop: side in pixels, even.
        rng: draws the place.
    """
    inner = Window(crop // 2, crop // 2, view.height - crop, view.width - crop)  # where a crop can be centred
    if min(inner.height, inner.width) < 1:
        return _crop_of_whole(view, trimap_sizes, crop, rng)
    corner = _corner_by_trial(view, trimap_sizes, inner, rng)
    if corner is not None:
        found = _cut(view, trimap_sizes, Window(*corner, crop, crop))
        # Usually the crop alone shows that there are enough centres.
        if np.count_nonzero(found.trimap[found.window.shared(inner)] == UNKNOWN) >= FEWEST_CENTRES:
            return found
    around, inside = view.around(inner, max(trimap_sizes) // 2)
    centres = np.flatnonzero(trimap_from_alpha(view.alpha(around), *trimap_sizes)[inside.slices] == UNKNOWN)
    if centres.size < FEWEST_CENTRES:
        return _crop_of_whole(view, trimap_sizes, crop, rng)
    corner = corner or divmod(int(rng.choice(centres)), inner.width)
    return _cut(view, trimap_sizes, Window(*corner, crop, crop))


def _corner_by_trial(
    view: View, trimap_sizes: tuple[int, int], inner: Window, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Test random pixels of `inner` and return top and left of the crop around the first unknown one.

    Every unknown pixel is equally likely. None if none was found in the time that the trimap of `inner` takes.
    """
    reach = max(trimap_sizes) // 2
    tries = inner.height * inner.width // PIXELS_PER_TRY
    rows, columns = (rng.integers(side, size=tries).tolist() for side in inner[2:])
    for row, column in zip(rows, columns, strict=True):
        around, pixel = view.around(Window(inner.top + row, inner.left + column, 1, 1), reach)
        if is_unknown(view.alpha(around), pixel.top, pixel.left, *trimap_sizes):
            return row, column
    return None


def _cut(view: View, trimap_sizes: tuple[int, int], window: Window) -> Crop:
    """Crop an image without resizing it."""
    return Crop(*_pixels_and_trimap(view, trimap_sizes, window), window, (view.height, view.width))


def _pixels_and_trimap(
    view: View, trimap_sizes: tuple[int, int], window: Window
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return colours, alpha and trimap of a window, the trimap as in the whole image."""
    around, inside = view.around(window, max(trimap_sizes) // 2)
    foreground, alpha = view.pixels(around)
    trimap = trimap_from_alpha(alpha, *trimap_sizes)
    return foreground[inside.slices], alpha[inside.slices], trimap[inside.slices]


def _crop_of_whole(view: View, trimap_sizes: tuple[int, int], crop: int, rng: np.random.Generator) -> Crop:
    """Compute the whole image and its trimap, resize them if needed, then crop them."""
    parts = _pixels_and_trimap(view, trimap_sizes, view.whole)
    height, width = crop_source_size(parts[2], crop)
    foreground, alpha, trimap = (resize_nearest(array, height, width) for array in parts)
    window = Window(*crop_corner(trimap, crop, rng), crop, crop)
    there = window.slices
    return Crop(foreground[there], alpha[there], trimap[there], window, (height, width))


def resize_nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W[, 3]) to (height, width[, 3]) by nearest neighbour."""
    if array.shape[:2] == (height, width):
        return array
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST)


def crop_source_size(trimap: np.ndarray, crop: int) -> tuple[int, int]:
    """Return the height and width to resize an image to before cropping (released program).

    Without an unknown pixel: the size of the crop. With a side up to `crop`: enlarged in proportion until the shorter
    side is 1.1 crops. Otherwise unchanged.
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
    """Return top and left of a crop centred on a random unknown pixel.

    Only pixels at least crop / 2 away from every border count, so that the crop fits; with fewer than 10 of them the
    crop is placed anywhere in the image.
    """
    height, width = trimap.shape
    half = crop // 2
    inner = trimap[half : height - half, half : width - half]
    centres = np.flatnonzero(inner == UNKNOWN)
    if centres.size < FEWEST_CENTRES:
        return int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
    # A pixel's position in `inner` is the top left corner of the crop centred on it.
    top, left = divmod(int(rng.choice(centres)), inner.shape[1])
    return top, left


def background_crop(background: np.ndarray, size: tuple[int, int], window: Window) -> np.ndarray:
    """Crop a background, enlarged (cubic, in proportion) if it is smaller than `size` (height, width).

    Only the part that the window needs is enlarged, which may shift it by less than a pixel.
    """
    factor = max(side / old for side, old in zip(size, background.shape[:2], strict=True))
    if factor <= 1:
        return background[window.slices].copy()
    if factor > LARGEST_FACTOR:
        nearest = (
            (np.arange(start, start + length) / factor).astype(int).clip(max=old - 1)
            for old, start, length in zip(background.shape[:2], window[:2], window[2:], strict=True)
        )
        return background[np.ix_(*nearest)]
    rows, y_scale, y = _enlarged(background.shape[0], factor, window.top, window.height)
    columns, x_scale, x = _enlarged(background.shape[1], factor, window.left, window.width)
    enlarged = cv2.resize(background[rows, columns], None, fx=x_scale, fy=y_scale, interpolation=cv2.INTER_CUBIC)
    return enlarged[y : y + window.height, x : x + window.width]


def _enlarged(old: int, factor: float, start: int, length: int) -> tuple[slice, float, int]:
    """Return, for a side of `old` pixels: the slice to enlarge, its exact scale, and the window's start in it."""
    scale = math.ceil(old * factor) / old
    first = max(math.floor(start / scale) - CUBIC_REACH, 0)
    end = min(math.ceil((start + length) / scale) + CUBIC_REACH, old)
    return slice(first, end), scale, math.floor(start - first * scale)
