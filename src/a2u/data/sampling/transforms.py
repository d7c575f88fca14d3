"""Make one training sample from layers: Sec. 6.3, details from the released program.

Everything random is drawn here, and the pixels of the crop are read, in 8 bits. `compose_batch` computes the rest for
whole batches, on any device.
"""

from typing import NamedTuple

import numpy as np

from a2u.data.sampling.affine import after, flip_map, inverse, random_affine, resize_map
from a2u.data.sampling.camera import residual
from a2u.data.sampling.crops import background_crop, random_crop
from a2u.data.sampling.lazy_layer import Placed, View, opaque_together
from a2u.data.sampling.settings import SampleConfig
from a2u.data.sampling.trimaps import brushed_trimap
from a2u.data.types import Layer
from a2u.errors import DataError


class Sample(NamedTuple):
    """One training sample before jitter and composition."""

    foreground: np.ndarray  # (crop, crop, 3) uint8 RGB
    background: np.ndarray  # (crop, crop, 3) uint8 RGB
    alpha: np.ndarray  # (crop, crop) uint8
    trimap: np.ndarray  # (crop, crop) uint8 of 0, 128, 255
    shifts: np.ndarray | None  # (3,) float32, see `random_shifts`; None: no jitter
    # (crop, crop, 3) float32 in 8-bit units, added to the composite, also by the camera; None: none
    noise: np.ndarray | None

    def parts(self) -> dict[str, np.ndarray]:
        """Return its parts by name, without those that are None."""
        return {key: part for key, part in self._asdict().items() if part is not None}


def make_sample(
    layer: Layer,
    second: Layer | None,
    background: np.ndarray,
    rng: np.random.Generator,
    cfg: SampleConfig,
) -> Sample:
    """Make one training sample.

    Args:
        layer: the foreground.
        second: a foreground to lay under the first, or None; ignored if the two would be opaque everywhere.
        background: (H, W, 3) uint8 RGB, of any size.
        rng: draws everything random.
        cfg: sizes and ranges.

    Raises:
        DataError: colours and alpha of a layer differ in size.
    """
    view = random_view(layer, second, rng, cfg)
    fg_size, bg_size = rng.integers(1, cfg.trimap_max, size=2, endpoint=True).tolist()
    crop = random_crop(view, (fg_size, bg_size), cfg.crop, rng)
    behind = background_crop(background, crop.size, crop.window)
    shifts = random_shifts(rng) if cfg.jitter else None
    noise = random_noise(rng, cfg) if cfg.noise else None
    trimap = crop.trimap
    if cfg.brush and rng.random() < cfg.brush:
        trimap = brushed_trimap(crop.alpha, cfg.brush_max, rng)
    if cfg.camera:
        seen = residual(crop.foreground, behind, crop.alpha, rng)
        noise = seen if noise is None else seen + noise
    return Sample(crop.foreground, behind, crop.alpha, trimap, shifts, noise)


def random_view(layer: Layer, second: Layer | None, rng: np.random.Generator, cfg: SampleConfig) -> View:
    """Return the image to crop: the second foreground is resized to the first, then both are transformed together."""
    size = _size(layer)
    placed = [Placed(layer, resize_map(size, size))]
    if second is not None:
        second_size = _size(second)
        if not opaque_together(layer.alpha, second.alpha):
            placed.append(Placed(second, resize_map(second_size, size)))
    resized = (cfg.resize_to, cfg.resize_to) if rng.random() < cfg.resize_probability else size
    origin = after(resize_map(size, resized), inverse(random_affine(*resized, rng, cfg)))
    if rng.random() < 0.5:
        origin = after(origin, flip_map(resized[1]))
    return View(*resized, *(Placed(layer, after(found, origin)) for layer, found in placed))


def random_shifts(rng: np.random.Generator) -> np.ndarray:
    """Draw the shifts of `compose_batch.jitter`, (3,) float32.

    Hue: whole degrees in -40..39. Saturation and value: shares in -1..1 of the largest shift.
    """
    return np.array([rng.integers(-40, 40), rng.uniform(-1, 1), rng.uniform(-1, 1)], np.float32)


def random_noise(rng: np.random.Generator, cfg: SampleConfig) -> np.ndarray:
    """Draw sensor noise, (crop, crop, 3) float32, with a standard deviation between 0 and cfg.noise."""
    return rng.uniform(0, cfg.noise) * rng.standard_normal((cfg.crop, cfg.crop, 3), np.float32)


def _size(layer: Layer) -> tuple[int, int]:
    """Return height and width; raise DataError if colours and alpha differ in size."""
    height, width = layer.alpha.shape
    if layer.foreground.shape[:2] != (height, width):
        raise DataError(
            f"layer {layer.name}: colours of {layer.foreground.shape[:2]} and alpha of "
            f"{layer.alpha.shape} (height, width) differ in size; they must agree"
        )
    return height, width
