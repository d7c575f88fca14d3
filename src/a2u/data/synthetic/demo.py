"""Generate the picture of `make demo`: hair and leaves over a cluttered background, with exact alpha."""

from pathlib import Path

import numpy as np

from a2u.data.files.images import write_jpeg, write_png
from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.synthetic.generate import generate_background, generate_layer
from a2u.data.types import Composite

SEED, SPLIT = 10, "demo"  # of the generator; the split is used for nothing else
HEIGHT, WIDTH = 800, 600
HAIR, LEAF, CLUTTER = 0, 2, 1  # indices for `generate_layer` and `generate_background`
ERODED = 25  # pixels; diameter of the ellipse that erodes both known regions
QUALITY = 88  # of the JPEG


def demo_picture() -> Composite:
    """Return a head of hair in front of a branch of leaves, 600 pixels wide and 800 high.

    The layers are composed in float64; the alpha is 1 - (1 - hair) (1 - leaf), rounded to 8 bits.
    """
    left = (HEIGHT - WIDTH) // 2
    part = np.s_[:, left : left + WIDTH]
    image = generate_background(SEED, CLUTTER, HEIGHT, SPLIT)[part].astype(float)
    clear = np.ones((HEIGHT, WIDTH))
    for index in (LEAF, HAIR):  # from back to front
        layer = generate_layer(SEED, index, HEIGHT, SPLIT)
        share = layer.alpha[part] / 255
        image += share[..., None] * (layer.foreground[part] - image)
        clear *= 1 - share
    alpha = np.rint(255 * (1 - clear)).astype(np.uint8)
    return Composite("photo", np.rint(image).astype(np.uint8), trimap_from_alpha(alpha, ERODED, ERODED), alpha)


def write_demo(folder: Path) -> None:
    """Write photo.jpg, trimap.png and alpha.png. Raises OSError if a file cannot be written."""
    picture = demo_picture()
    write_png(folder / "trimap.png", picture.trimap)
    write_png(folder / "alpha.png", picture.alpha)
    write_jpeg(folder / "photo.jpg", picture.image, QUALITY)
