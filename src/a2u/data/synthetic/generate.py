"""Generate layers, backgrounds and test composites from a seed."""

import zlib

import numpy as np

from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.synthetic.backgrounds import SCENES
from a2u.data.synthetic.foregrounds import FAMILIES
from a2u.data.synthetic.raster import SAMPLES
from a2u.data.types import Composite, Layer

GENERATOR_VERSION = 1  # to be raised with every change of a pixel, so that no cache mixes two generators
MINIMUM_SIZE = 32  # pixels; smaller pictures have no room for the fixed widths of threads and frames


def layer_family(index: int) -> str:
    """Return the family of a layer; families take turns."""
    return list(FAMILIES)[index % len(FAMILIES)]


def layer_name(index: int, split: str) -> str:
    """Return a name of split, family and index, such as "train_hair_0010"."""
    return f"{split}_{layer_family(index)}_{index:04d}"


def generate_layer(seed: int, index: int, size: int, split: str) -> Layer:
    """Generate the layer of an index: colours (size, size, 3), defined everywhere, and exact alpha (size, size), uint8.

    The result depends on the arguments alone; different splits ("train", "validation", "test" or any other name) are
    independent.

    Raises:
        ValueError: size is below 32.
    """
    rng = _generator(seed, index, size, split, "layer")
    colours, alpha = FAMILIES[layer_family(index)](rng, size, SAMPLES)
    return Layer(layer_name(index, split), _bytes(colours), _bytes(255 * alpha))


def generate_background(seed: int, index: int, size: int, split: str) -> np.ndarray:
    """Generate the background of an index, (size, size, 3) uint8 RGB; arguments and errors as for `generate_layer`."""
    rng = _generator(seed, index, size, split, "background")
    return _bytes(SCENES[index % len(SCENES)](rng, size))


def generate_composite(seed: int, index: int, size: int, split: str = "test") -> Composite:
    """Generate the test case of an index: the layer of a split over the background of that split.

    image = round(a foreground + (1 - a) background) in float64, a = alpha / 255. Every eighth case lacks the last 19
    rows and 6 columns, so that it is not square. The known regions of the trimap are eroded by ellipses of independent
    diameters 3..11 (at most an eleventh of the side). From 64 pixels a side on, every case has unknown pixels, known
    background and, except for smoke, known foreground. Arguments and errors as for `generate_layer`.
    """
    layer = generate_layer(seed, index, size, split)
    background = generate_background(seed, index, size, split)
    height, width = (size - 19, size - 6) if index % 8 == 7 else (size, size)
    foreground, alpha = layer.foreground[:height, :width], layer.alpha[:height, :width]
    share = alpha[..., None] / 255  # (H, W, 1)
    image = _bytes(share * foreground + (1 - share) * background[:height, :width])
    rng = _generator(seed, index, size, split, "trimap")
    sizes = rng.integers(3, max(3, min(11, size // 11)) + 1, 2).tolist()
    return Composite(layer.name, image, trimap_from_alpha(alpha, *sizes), np.ascontiguousarray(alpha))


def _generator(seed: int, index: int, size: int, split: str, kind: str) -> np.random.Generator:
    if size < MINIMUM_SIZE:
        raise ValueError(f"Generated pictures have at least {MINIMUM_SIZE} pixels a side; size is {size}.")
    entropy = [seed, index, zlib.crc32(split.encode()), zlib.crc32(kind.encode())]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
