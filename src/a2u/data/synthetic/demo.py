"""The picture of `make demo`: hair and leaves before a cluttered background, with its exact alpha."""

from pathlib import Path

import cv2
import numpy as np

from a2u.data.files.images import write_png
from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.synthetic.generate import generate_background, generate_layer
from a2u.data.types import Composite
from a2u.files import replacing

SEED, SPLIT = 10, "demo"  # of the generator; no other picture is drawn from this split
HEIGHT, WIDTH = 800, 600
HAIR, LEAF, CLUTTER = 0, 2, 1  # indices of `generate_layer` and `generate_background`
ERODED = 25  # pixels, diameter of the ellipse that erodes both known regions
QUALITY = 88  # of the JPEG


def demo_picture() -> Composite:
    """A branch of leaves and a head of hair in front of it, 600 pixels wide and 800 high.

    Both layers are mixed in float64, so that the alpha is 1 - (1 - hair) (1 - leaf), rounded to 8 bits.
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
    """Write photo.jpg, trimap.png and alpha.png. Raises OSError where a file cannot be written."""
    picture = demo_picture()
    write_png(folder / "trimap.png", picture.trimap)
    write_png(folder / "alpha.png", picture.alpha)
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    with replacing(folder / "photo.jpg") as temporary:
        temporary.write_bytes(cv2.imencode(".jpg", picture.image[..., ::-1], options)[1].tobytes())
