"""Draw contact sheets of the generated dataset for the documentation."""

from pathlib import Path

import cv2
import numpy as np

from a2u.data.synthetic.foregrounds import FAMILIES
from a2u.data.synthetic.generate import generate_background, generate_composite, generate_layer
from a2u.errors import DataError

TRAINING_SIZE = 160  # pixels of one picture in the sheet
TEST_SIZE = 176
TEST_CASES = (0, 1, 2, 14, 8, 9)  # hair, net, leaf, smoke, motion, glass
GAP = 4


def contact_sheet(path: Path, seed: int) -> None:
    """Write `synthetic_training.png` and `synthetic_test.png` into the folder `path`.

    The first shows a layer of each family over a background, with its alpha below; the second test cases: image,
    trimap and alpha. `seed` is the generator's. Raises DataError where a picture
    cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    cells = [_training_cell(seed, index) for index in range(len(FAMILIES), 2 * len(FAMILIES))]
    half = len(cells) // 2
    _write(path / "synthetic_training.png", grid([cells[:half], cells[half:]]))
    cases = [generate_composite(seed, index, TEST_SIZE) for index in TEST_CASES]
    _write(
        path / "synthetic_test.png",
        grid([[c.image for c in cases], [as_rgb(c.trimap) for c in cases], [as_rgb(c.alpha) for c in cases]]),
    )


def _training_cell(seed: int, index: int) -> np.ndarray:
    layer = generate_layer(seed, index, TRAINING_SIZE, "train")
    background = generate_background(seed, index, TRAINING_SIZE, "train")
    share = layer.alpha[..., None] / 255
    image = np.rint(share * layer.foreground + (1 - share) * background).astype(np.uint8)
    return np.concatenate([image, as_rgb(layer.alpha)])  # (2S, S, 3)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


def grid(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Arrange pictures of equal size in rows and columns, with white gaps."""
    framed = [[np.pad(p, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for p in row] for row in rows]
    return np.concatenate([np.concatenate(row, axis=1) for row in framed])[:-GAP, :-GAP]


def _write(path: Path, picture: np.ndarray) -> None:
    few = picture // 8 * 8 + picture // 32  # 5 bits per channel halve the file invisibly
    if not cv2.imwrite(str(path), few[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        raise DataError(f"The picture {path} cannot be written: check that its folder can be written.")
