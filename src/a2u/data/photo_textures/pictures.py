"""Find the photographs and cut-outs of a folder, split them, and read them reduced and kept in memory."""

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from a2u.data.files.folders import contents, missing_folder
from a2u.data.files.images import SUFFIXES, opacity_of, opened, read_header, read_srgb, read_upright
from a2u.errors import DataError
from a2u.files import user_path

LEAST_SIDE = 64  # pixels; a smaller photograph has no texture to cut out
FEWEST = 4  # photographs: a foreground and another background, for training and for validation


@dataclass(frozen=True)
class Found:
    """The files of one part, training or validation."""

    photographs: Sequence[Path]
    cutouts: Sequence[Path]  # pictures with transparent pixels


def find(roots: Sequence[str], held_out: float) -> tuple[Found, Found]:
    """Return the files of training and validation, below all folders.

    Files are ranked by a hash of their names, so that the split depends on the names alone; the first share
    `held_out` of each kind, and at least two photographs, validate.

    Raises:
        DataError: a folder is missing or holds no image, a file is damaged or tiny, or there are too few photographs.
    """
    paths: list[Path] = []
    for root in map(user_path, roots):
        if not root.is_dir():
            raise DataError(f"{missing_folder(root)}: set root to a folder of photographs")
        inside = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not inside:
            raise DataError(f"{root} holds no photograph ({', '.join(SUFFIXES)}); it holds {contents(root)}")
        paths += inside
    kinds: dict[bool, list[Path]] = {False: [], True: []}
    for path in sorted(paths, key=_rank):
        kinds[_has_alpha(path)].append(path)
    photographs, cutouts = kinds[False], kinds[True]
    if len(photographs) < FEWEST:
        raise DataError(
            f"{', '.join(map(str, roots))}: {len(photographs)} photograph(s) without transparency, but at least "
            f"{FEWEST} are needed: two to train on and two to validate on; `python scripts/data.py photographs` "
            "collects some"
        )
    validating = max(2, round(held_out * len(photographs)))
    few = round(held_out * len(cutouts))
    return Found(photographs[validating:], cutouts[few:]), Found(photographs[:validating], cutouts[:few])


def _rank(path: Path) -> tuple[int, str]:
    return zlib.crc32(path.stem.encode()), str(path)


def _has_alpha(path: Path) -> bool:
    """Return whether a picture has transparent pixels. Raises DataError for a damaged or tiny file."""
    height, width, _ = read_header(path)
    if min(height, width) < LEAST_SIDE:
        raise DataError(f"{path} is {width} x {height} pixels; a photograph needs {LEAST_SIDE} a side: leave it out")
    with opened(path, header_only=True) as image:
        opaque = "A" not in image.getbands() and "transparency" not in image.info
    if opaque:
        return False
    with opened(path) as image:  # decoded: a screenshot has an alpha channel without a transparent pixel
        return opacity_of(image) is not None


@dataclass
class Kept:
    """Pictures read on demand and kept decoded, the most recently used ones up to `room` bytes."""

    paths: Sequence[Path]
    side: int  # longer side in pixels: photographs are reduced to it, cut-outs brought to it
    room: int
    memory: OrderedDict[int, tuple[np.ndarray, ...]] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return self.paths[index].stem

    def read(self, path: Path) -> tuple[np.ndarray, ...]:
        raise NotImplementedError

    def parts(self, index: int) -> tuple[np.ndarray, ...]:
        """Return the arrays of a picture, read-only."""
        if index in self.memory:
            self.memory.move_to_end(index)
            return self.memory[index]
        parts = self.read(self.paths[index])
        for part in parts:
            part.flags.writeable = False
        if self.memory.setdefault(index, parts) is parts:  # no other thread has read it meanwhile
            self.room -= sum(part.nbytes for part in parts)
        while self.room < 0 and self.memory:
            self.room += sum(part.nbytes for part in self.memory.popitem(last=False)[1])
        return parts


class Photographs(Kept):
    """Ordinary photographs, (H, W, 3) uint8 RGB."""

    def read(self, path: Path) -> tuple[np.ndarray, ...]:
        picture = read_upright(path, read_srgb)
        return (resized(picture, min(self.side, max(picture.shape[:2]))),)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.parts(index)[0]


class CutOuts(Kept):
    """Photographs with alpha: colours (H, W, 3), extended under alpha 0, and alpha (H, W), uint8."""

    def read(self, path: Path) -> tuple[np.ndarray, ...]:
        with opened(path) as image:
            pixels = np.array(image.convert("RGBA"))
        alpha = pixels[..., 3]
        extended = extend_colours(pixels[..., :3], alpha)
        return resized(extended, self.side), resized(alpha, self.side)


def extend_colours(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replace colours under (nearly) transparent pixels by those of the nearest visible pixel.

    Args:
        colours: (H, W, 3) uint8.
        alpha: (H, W) uint8.
    """
    visible = alpha >= 8
    if visible.all() or not visible.any():
        return np.ascontiguousarray(colours)
    hidden = (~visible).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    nearest = np.zeros((labels.max() + 1, 3), np.uint8)
    nearest[labels[visible]] = colours[visible]
    return nearest[labels]


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """Resize a picture so that its longer side is `side` pixels."""
    factor = side / max(picture.shape[:2])
    if factor == 1:
        return np.array(picture)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
