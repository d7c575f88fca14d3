"""Collect photographs and cut-outs into one folder, with a table of sources and licences."""

import csv
import importlib.util
import logging
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from a2u.data.files.folders import missing_folder
from a2u.data.files.images import SUFFIXES, opened, write_jpeg, write_png
from a2u.data.photo_textures.pictures import resized
from a2u.errors import ConfigError, DataError
from a2u.files import replacing, user_path

log = logging.getLogger(__name__)

LONGEST = 1280  # pixels; longer side that pictures are reduced to
LEAST_SIDE = 128  # pixels; smaller pictures are left out
QUALITY = 95  # of the JPEG
LOOKED_AT = 480  # pixels; longer side at which pictures are compared and drawings recognised
FLATTEST = 0.7  # share of pixels that equal their neighbours; a drawing has more
MOST_BITS = 3  # of 64 by which near-duplicates differ
TABLE = "sources.csv"


class Source(NamedTuple):
    """Pictures of one licence in a Debian package or a Python package."""

    package: str
    licence: str
    patterns: Sequence[str]  # paths below the package's folder


_NATURE = "usr/share/backgrounds/mate/nature"
_KDE = "usr/share/wallpapers"
_STAMPS = "usr/share/tuxpaint/stamps"

# Of the pictures in these packages, the photographs, as their copyright files and metadata license them.
DEBIAN = (
    Source("lomiri-wallpapers-16.04", "CC0-1.0", ["**/seeding_by_*"]),
    Source(
        "lomiri-wallpapers-16.04",
        "CC-BY-4.0",
        [f"**/{name}_by_*" for name in ("aitzgorri", "friends", "life", "picosdeeuropa", "sunset", "Wine")]
        + ["**/Picture_0B_by_*", "**/Picture_1A_by_*"],
    ),
    Source("lomiri-wallpapers-16.04", "CC-BY-SA-4.0", [f"**/{name}_by_*" for name in ("Bridge", "Dragonfly", "free")]),
    Source("lomiri-wallpapers-20.04", "CC-BY-SA-3.0", ["**/Kleiber_by_*"]),
    Source("mate-backgrounds", "GPL-2.0-or-later", [f"{_NATURE}/*.jpg"]),
    Source(
        "plasma-workspace-wallpapers",
        "LGPL-3.0",
        [
            f"{_KDE}/{name}/contents/images/2560x1600.jpg"
            for name in (
                *("Autumn", "BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow", "FallenLeaf"),
                *("Grey", "Kite", "OneStandsOut", "Path", "summer_1am"),
            )
        ],
    ),
    Source(
        "tuxpaint-stamps-default",
        "GPL-2.0",
        [f"{_STAMPS}/{kind}/**/*.png" for kind in ("animals", "clothes", "food", "household", "plants", "vehicles")]
        + [f"{_STAMPS}/{kind}/**/*.png" for kind in ("hobbies", "military", "space", "sports")],
    ),
)
PYTHON = (
    Source("skimage", "CC0-1.0", [f"data/{name}.png" for name in ("chelsea", "coffee", "brick", "grass", "gravel")]),
    Source("skimage", "CC0-1.0", ["data/motorcycle_left.png", "data/rocket.jpg"]),
    Source("skimage", "public domain", ["data/astronaut.png"]),
    Source("sklearn", "CC-BY-2.0", ["datasets/images/*.jpg"]),
)


class Candidate(NamedTuple):
    """A picture that may be collected."""

    root: Path
    path: Path  # below root
    source: str
    licence: str
    listed: bool  # by name above, so that it is a photograph


@dataclass
class Collected:
    """What a collection holds and leaves out."""

    photographs: int = 0
    cutouts: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # by reason


def collect(into: Path, folders: Sequence[str], licence: str, debian: bool, samples: bool) -> Collected:
    """Collect pictures of folders, Debian packages, and the samples of scikit-image and scikit-learn.

    Photographs become JPEG, cut-outs PNG, named <source>_<name>, reduced to 1,280 pixels. Drawings, near-duplicates and
    pictures below 128 pixels are left out. Writes sources.csv: file, source, original, licence.

    Args:
        into: a new or empty folder.
        folders: searched with their subfolders.
        licence: of the pictures in `folders`, for the table.
        debian: also download the packages in `DEBIAN`, with apt-get.
        samples: also take the pictures in `PYTHON`, of those packages that are installed.

    Raises:
        ConfigError: `into` is not empty.
        DataError: a folder or apt-get is missing, or a package cannot be downloaded.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ConfigError(f"into={into} is not an empty folder: give another, or empty it.")
    roots = [user_path(folder) for folder in folders]
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{missing_folder(root)}: give folders of photographs")
    if debian and not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise DataError("Debian's packages need apt-get and dpkg, which are not here: give debian=false")
    into.mkdir(parents=True, exist_ok=True)
    found, seen, lines = Collected(), list[np.ndarray](), list[tuple[str, str, str, str]]()
    with tempfile.TemporaryDirectory() as temporary:
        for candidate in _candidates(roots, licence, Path(temporary) if debian else None, samples):
            outcome = _take(candidate, into, seen)
            if isinstance(outcome, str):
                found.skipped[outcome] += 1
                continue
            found.photographs += outcome.suffix == ".jpg"
            found.cutouts += outcome.suffix == ".png"
            original = candidate.path.relative_to(candidate.root).as_posix()
            lines.append((outcome.name, candidate.source, original, candidate.licence))
    with replacing(into / TABLE) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "source", "original", "licence"), *sorted(lines)])
    return found


def _candidates(roots: Sequence[Path], licence: str, temporary: Path | None, samples: bool) -> Iterator[Candidate]:
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield Candidate(root, path, root.name, licence, listed=False)
    if temporary is not None:
        _download(temporary)
        for source in DEBIAN:
            yield from _listed(source, temporary / source.package)
    for source in PYTHON if samples else ():
        spec = importlib.util.find_spec(source.package)
        if spec is None or not spec.submodule_search_locations:
            log.warning("The package %s is not installed: its pictures are left out.", source.package)
        else:
            yield from _listed(source, Path(spec.submodule_search_locations[0]))


def _listed(source: Source, folder: Path) -> Iterator[Candidate]:
    for pattern in source.patterns:
        for path in sorted(folder.glob(pattern)):
            yield Candidate(folder, path, source.package, source.licence, listed=path.suffix != ".png")


def _download(folder: Path) -> None:
    """Download the Debian packages and extract each into a folder of its name. Nothing is installed."""
    packages = list(dict.fromkeys(source.package for source in DEBIAN))
    _call(["apt-get", "download", *packages], folder, "apt-get cannot download the packages")
    for archive in sorted(folder.glob("*.deb")):
        _call(
            ["dpkg", "-x", str(archive), archive.name.partition("_")[0]], folder, f"{archive.name} cannot be unpacked"
        )


def _call(command: Sequence[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(f"{what} ({last}): try again, or give debian=false")


def _take(candidate: Candidate, into: Path, seen: list[np.ndarray]) -> Path | str:
    """Write a picture; return its file, or the reason to leave it out."""
    try:
        with opened(candidate.path) as image:
            pixels = np.array(image.convert("RGBA"))  # (H, W, 4)
    except DataError as error:
        log.warning("%s.", error)
        return "unreadable"
    if min(pixels.shape[:2]) < LEAST_SIDE or not pixels[..., 3].any():
        return "tiny"
    small = resized(pixels, min(LOOKED_AT, max(pixels.shape[:2])))
    if not candidate.listed and is_drawing(small):
        return "drawing"
    bits = fingerprint(small)
    if any(np.count_nonzero(bits != other) <= MOST_BITS for other in seen):
        return "near-duplicate"
    seen.append(bits)
    transparent = pixels[..., 3].min() < 255
    stem = f"{candidate.source}_{candidate.path.stem}".replace(" ", "_")
    if any(into.glob(f"{escape(stem)}.*")):
        stem += f"_{len(seen)}"  # a name that no other picture has
    path = into / f"{stem}{'.png' if transparent else '.jpg'}"
    pixels = resized(pixels, min(LONGEST, max(pixels.shape[:2])))
    if transparent:
        write_png(path, pixels)
        return path
    write_jpeg(path, pixels[..., :3], QUALITY)
    return path


def is_drawing(picture: np.ndarray) -> bool:
    """Return whether most of what is visible is flat: (H, W, 4) uint8 RGBA, reduced to 480 pixels.

    Pixels are flat that differ from their neighbours by at most 2 levels of grey. The sky of a photograph is so; nearly
    the whole of a drawing is.
    """
    grey, square = cv2.cvtColor(picture[..., :3], cv2.COLOR_RGB2GRAY), np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(grey, square), cv2.erode(grey, square))
    inside = cv2.erode(picture[..., 3], square) == 255
    return bool(inside.any()) and float((spread[inside] <= 2).mean()) > FLATTEST


def fingerprint(picture: np.ndarray) -> np.ndarray:
    """Return 64 bits that near-duplicates of a picture, (H, W, 4) uint8 RGBA, share but for a few.

    Each says whether a reduced picture becomes brighter to the right. Transparent pixels count as black.
    """
    grey = cv2.cvtColor(picture[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32) * (picture[..., 3] / np.float32(255))
    tiny = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return (tiny[:, 1:] > tiny[:, :-1]).ravel()
