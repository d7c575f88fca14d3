"""Draw a contact sheet of dataset=photo_textures for the documentation."""

from pathlib import Path

import cv2
import numpy as np

from a2u.data.files.images import write_jpeg
from a2u.data.synthetic.sheet import as_rgb, grid
from a2u.data.types import Composites

SIDE = 128  # pixels of one picture in the sheet
QUALITY = 85  # of the JPEG


def photo_sheet(path: Path, composites: Composites) -> None:
    """Write composites, their trimaps and their alphas, in rows, to a JPEG file."""
    cases = [composites[index] for index in range(len(composites))]
    rows = [[case.image for case in cases], [as_rgb(c.trimap) for c in cases], [as_rgb(c.alpha) for c in cases]]
    write_jpeg(path, grid([[_square(picture) for picture in row] for row in rows]), QUALITY)


def _square(picture: np.ndarray) -> np.ndarray:
    """Bring a picture to the sheet's size, on white."""
    factor = SIDE / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    return np.pad(small, ((0, SIDE - height), (0, SIDE - width), (0, 0)), constant_values=255)
