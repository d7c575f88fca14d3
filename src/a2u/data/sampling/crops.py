"""Where a picture is cropped: about a random unknown pixel, in principle. The background is cropped alike."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from a2u.data.sampling.lazy_layer import View, Window
from a2u.data.sampling.trimaps import UNKNOWN, is_unknown, trimap_from_alpha

# A crop has to be among this many unknown pixels, or it is taken anywhere (released program).
FEWEST_CENTRES = 10
# A picture too small for the crop is enlarged until its shorter side is this many crops long.
ENLARGED_SIDE = 1.1
# Trying a place takes about as long as so many pixels of a trimap.
PIXELS_OF_A_TRY = 2000
# Pixels beside a point that cubic interpolation reads.
CUBIC_REACH = 2
# Enlarged beyond this a background is a few flat blocks, which are looked up: interpolating them would fill any memory.
LARGEST_FACTOR = 256


class Crop(NamedTuple):
    """What is cut out of a picture, and where."""

    foreground: np.ndarray  # (crop, crop, 3) uint8 RGB
    alpha: np.ndarray  # (crop, crop) uint8
    trimap: np.ndarray  # (crop, crop) uint8 of 0, 128, 255
    window: Window
    size: tuple[int, int]  # height and width of the picture, as it was cropped


def random_crop(view: View, trimap_sizes: tuple[int, int], crop: int, rng: np.random.Generator) -> Crop:
    """Crop a picture as `crop_corner` says, once it has the size that `crop_source_size` says.

    Of a picture that is large enough no more is made than it takes to find the place.

    Args:
        view: the picture.
        trimap_sizes: ellipses that erode the foreground and the background of its trimap, see `trimap_from_alpha`.
        crop: side in pixels, even.
        rng: draws the place.
    """
    inner = Window(crop // 2, crop // 2, view.height - crop, view.width - crop)  # centres of crops that fit
    if min(inner.height, inner.width) < 1:
        return _crop_of_whole(view, trimap_sizes, crop, rng)
    corner = _corner_by_trial(view, trimap_sizes, inner, rng)
    if corner is not None:
        found = _cut(view, trimap_sizes, Window(*corner, crop, crop))
        # The crop alone shows, as a rule, that there are not too few.
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
    """Top and left of the crop about the first unknown pixel of `inner` among random ones: each is as likely.

    None where none turned up until making the trimap of `inner` had been as cheap.
    """
    reach = max(trimap_sizes) // 2
    tries = inner.height * inner.width // PIXELS_OF_A_TRY
    rows, columns = (rng.integers(side, size=tries).tolist() for side in inner[2:])
    for row, column in zip(rows, columns, strict=True):
        around, pixel = view.around(Window(inner.top + row, inner.left + column, 1, 1), reach)
        if is_unknown(view.alpha(around), pixel.top, pixel.left, *trimap_sizes):
            return row, column
    return None


def _cut(view: View, trimap_sizes: tuple[int, int], window: Window) -> Crop:
    """A window of a picture that is cropped in its own size."""
    return Crop(*_pixels_and_trimap(view, trimap_sizes, window), window, (view.height, view.width))


def _pixels_and_trimap(
    view: View, trimap_sizes: tuple[int, int], window: Window
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours, alpha and trimap of a window, the trimap as the whole picture has it."""
    around, inside = view.around(window, max(trimap_sizes) // 2)
    foreground, alpha = view.pixels(around)
    trimap = trimap_from_alpha(alpha, *trimap_sizes)
    return foreground[inside.slices], alpha[inside.slices], trimap[inside.slices]


def _crop_of_whole(view: View, trimap_sizes: tuple[int, int], crop: int, rng: np.random.Generator) -> Crop:
    """Make the whole picture and its trimap, then crop them."""
    parts = _pixels_and_trimap(view, trimap_sizes, view.whole)
    height, width = crop_source_size(parts[2], crop)
    foreground, alpha, trimap = (resize_nearest(array, height, width) for array in parts)
    window = Window(*crop_corner(trimap, crop, rng), crop, crop)
    there = window.slices
    return Crop(foreground[there], alpha[there], trimap[there], window, (height, width))


def resize_nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W[, 3]) -> (height, width[, 3]) by nearest neighbour."""
    if array.shape[:2] == (height, width):
        return array
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST)


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


def background_crop(background: np.ndarray, size: tuple[int, int], window: Window) -> np.ndarray:
    """A window of a background, which is enlarged (cubic, proportions kept) where it is below `size` (height, width).

    Only what the window needs is enlarged; it may lie off by less than a pixel.
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
    """Of one side, `old` pixels long: what is enlarged, by how much exactly, and where in it the window starts."""
    scale = math.ceil(old * factor) / old
    first = max(math.floor(start / scale) - CUBIC_REACH, 0)
    end = min(math.ceil((start + length) / scale) + CUBIC_REACH, old)
    return slice(first, end), scale, math.floor(start - first * scale)
