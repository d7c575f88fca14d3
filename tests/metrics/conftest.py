"""Reading the reference cases: PNG triples."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def read_triple() -> Callable[[Path, str], list[np.ndarray]]:
    """(folder, case) -> [prediction, true alpha, trimap], (H, W) uint8."""

    def read(folder: Path, case: str) -> list[np.ndarray]:
        files = [folder / f"{case}_{kind}.png" for kind in ("pred", "alpha", "trimap")]
        images = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
        assert all(image is not None for image in images), f"not readable: {files}"
        return images

    return read
