"""One item from a seed: layers, backgrounds and test composites."""

import zlib

import numpy as np

from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.synthetic.backgrounds import SCENES
from a2u.data.synthetic.foregrounds import FAMILIES
from a2u.data.synthetic.raster import SAMPLES
from a2u.data.types import Composite, Layer

# Names the output: raise it with every change that alters a pixel, so that no cache mixes two generators.
GENERATOR_VERSION = 1

MINIMUM_SIZE = 32  # pixels; below, the fixed widths of threads and frames leave no room


def layer_family(index: int) -> str:
    """Families take turns."""
    return list(FAMILIES)[index % len(FAMILIES)]


def layer_name(index: int, split: str) -> str:
    """Split, family and index, such as "train_hair_0010"; no two splits share a name."""
    return f"{split}_{layer_family(index)}_{index:04d}"


def generate_layer(seed: int, index: int, size: int, split: str) -> Layer:
    """The layer of this index: colours defined everywhere, and exact alpha, both (size, size) and 8-bit.

    The result depends on the arguments alone, and layers of different splits ("train", "validation", "test",
    any other name) are drawn independently. Raises ValueError for a size below 32.
    """
    rng = _generator(seed, index, size, split, "layer")
    colours, alpha = FAMILIES[layer_family(index)](rng, size, SAMPLES)
    return Layer(layer_name(index, split), _bytes(colours), _bytes(255 * alpha))


def generate_background(seed: int, index: int, size: int, split: str) -> np.ndarray:
    """The background of this index, (size, size, 3) uint8 RGB; arguments and errors as `generate_layer`."""
    rng = _generator(seed, index, size, split, "background")
    return _bytes(SCENES[index % len(SCENES)](rng, size))


def generate_composite(seed: int, index: int, size: int) -> Composite:
    """The test case of this index: the layer of split "test" over the background of split "test".

    image = round(alpha foreground + (1 - alpha) background) with alpha in 255ths, computed in float64. Every
    eighth case is not square: 19 rows and 6 columns are cut off. The trimap erodes the known regions by ellipses
    of independent sizes 3..11 (at most an eleventh of the side); from 64 pixels a side on, every case has unknown
    and known background pixels and, smoke apart, known foreground. Arguments and errors as `generate_layer`.
    """
    layer = generate_layer(seed, index, size, "test")
    background = generate_background(seed, index, size, "test")
    height, width = (size - 19, size - 6) if index % 8 == 7 else (size, size)
    foreground, alpha = layer.foreground[:height, :width], layer.alpha[:height, :width]
    share = alpha[..., None] / 255  # (H, W, 1)
    image = _bytes(share * foreground + (1 - share) * background[:height, :width])
    rng = _generator(seed, index, size, "test", "trimap")
    sizes = rng.integers(3, max(3, min(11, size // 11)) + 1, 2).tolist()
    return Composite(layer.name, image, trimap_from_alpha(alpha, *sizes), np.ascontiguousarray(alpha))


def _generator(seed: int, index: int, size: int, split: str, kind: str) -> np.random.Generator:
    if size < MINIMUM_SIZE:
        raise ValueError(f"Generated pictures have at least {MINIMUM_SIZE} pixels a side; size is {size}.")
    entropy = [seed, index, zlib.crc32(split.encode()), zlib.crc32(kind.encode())]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
