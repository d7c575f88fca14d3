"""Tiny generated "photographs" and a cut-out."""

from pathlib import Path

import cv2
import numpy as np

from a2u.data.files.images import write_png


def photograph(index: int, height: int = 80, width: int = 96) -> np.ndarray:
    """Coloured noise with structure at all scales, (H, W, 3) uint8."""
    rng = np.random.default_rng(index)
    noise = sum(cv2.resize(rng.random((k, k, 3)) - 0.5, (width, height)) for k in (2, 6, 20, 70))
    return np.rint(255 * np.clip(0.5 + 0.4 * noise, 0, 1)).astype(np.uint8)


def write_photographs(folder: Path, count: int = 6) -> Path:
    """Write photographs and one cut-out, a disc; return the folder."""
    for index in range(count):
        write_png(folder / f"photo{index}.png", photograph(index))
    disc = cv2.circle(np.zeros((80, 96), np.uint8), (48, 40), 25, 255, -1, cv2.LINE_AA)
    hidden = np.where(disc[..., None] > 0, photograph(99), 255)
    write_png(folder / "cut.png", np.dstack([hidden, disc]))
    return folder
