"""Find a user's photographs and their trimaps or rough masks by name, and read them as viewers show them."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from PIL import Image

from a2u.data.files.folders import check_sizes, find_images, image_name, missing_folder, require
from a2u.data.files.images import SUFFIXES, read_mask, read_srgb, read_trimap, read_upright
from a2u.data.sampling.trimaps import MASK_THRESHOLD, TrimapValues, trimap_from_mask
from a2u.errors import DataError
from a2u.files import user_path

log = logging.getLogger(__name__)

# Endings that are searched for; Pillow can be installed without AVIF.
ENDINGS = tuple(
    ending
    for ending in (*SUFFIXES, ".webp", ".tif", ".tiff", ".bmp", ".avif")
    if ending in Image.registered_extensions()
)


def match_files(given: Mapping[str, str]) -> dict[str, dict[str, Path]]:
    """Return the files that belong together, by the name of the first kind's file without suffix.

    Single files belong together whatever their names; in folders and patterns, files of the same name do.

    Args:
        given: kind -> a file, a folder, or a pattern such as photos/*.jpg.

    Raises:
        DataError: nothing was found, or a file of the first kind has no partner of another.
    """
    found = {kind: find_files(kind, text) for kind, text in given.items()}
    first, *others = found
    if all(user_path(text).is_file() for text in given.values()):
        (name,) = found[first]
        return {name: {kind: path for kind, files in found.items() for path in files.values()}}
    for kind in others:
        require(found[first], found[kind], user_path(given[kind]), f"{first}={given[first]}")
    return {name: {kind: files[name] for kind, files in found.items()} for name in found[first]}


def find_files(kind: str, text: str) -> dict[str, Path]:
    """Return image files by name without suffix, sorted; warn about other files. Raises as `match_files` does."""
    path = user_path(text)
    if path.is_dir():
        images = find_images(path, ENDINGS, "convert pictures of other kinds to PNG or JPEG")
        _warn_about_others(kind, text, path.iterdir())
        return images
    if path.is_file():
        return {image_name(path): path}
    base = next(parent for parent in path.parents if parent.is_dir())  # whose brackets are no pattern
    pattern = str(path.relative_to(base))
    if not has_magic(pattern):
        folder = path.absolute().parent
        near = f"; {missing_folder(folder)}" if not folder.is_dir() else ""
        raise DataError(f"{kind}={text} is neither a file nor a folder{near}: check the name")
    matches = sorted(base / match for match in glob(pattern, root_dir=base, recursive=True))
    images = {}
    for match in matches:
        if match.suffix.lower() not in ENDINGS:
            continue
        name = image_name(match)
        if name in images:
            raise DataError(f"{kind}={text} finds both {images[name]} and {match}: names must differ")
        images[name] = match
    if not images:
        raise DataError(f"{kind}={text} finds no image ({', '.join(ENDINGS)}): check the pattern")
    _warn_about_others(kind, text, matches)
    return images


def _warn_about_others(kind: str, text: str, paths: Iterable[Path]) -> None:
    """Warn how many files are skipped, by ending."""
    others = Counter(
        path.suffix.lower() or "no ending"
        for path in paths
        if path.is_file() and path.suffix.lower() not in ENDINGS and not path.name.startswith(".")
    )
    if others:
        endings = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items()))
        log.warning("%s=%s: %d file(s) of other kinds are skipped: %s.", kind, text, others.total(), endings)


def read_photograph(
    files: Mapping[str, Path],
    erode: int,
    dilate: int,
    mask_threshold: int = MASK_THRESHOLD,
    values: TrimapValues | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read a photograph and its trimap, both rotated by their EXIF orientation.

    Args:
        files: "image", and "trimap" or "mask".
        erode, dilate, mask_threshold: for a mask, as in `trimap_from_mask`.
        values: how other values of a trimap than 0, 128 and 255 are read; None: they are refused.

    Returns:
        (H, W, 3) uint8 sRGB and (H, W) uint8 of 0, 128, 255.

    Raises:
        DataError: a file cannot be used, or the two differ in size.
    """
    image = read_upright(files["image"], read_srgb)
    if "trimap" in files:
        known, trimap = files["trimap"], read_upright(files["trimap"], partial(read_trimap, values=values))
    else:
        known = files["mask"]
        trimap = trimap_from_mask(read_upright(known, read_mask), erode, dilate, mask_threshold, str(known))
    check_sizes({files["image"]: image.shape[:2], known: trimap.shape})
    return image, trimap
