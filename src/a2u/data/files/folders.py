"""Find the files of a dataset by name and read them on demand."""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar
from unicodedata import normalize

import numpy as np

from a2u.data.files.disk_cache import DiskCache
from a2u.data.files.images import (
    SUFFIXES,
    Header,
    read_colour,
    read_deep_grey,
    read_grey,
    read_header,
    read_trimap,
)
from a2u.data.types import Composite, DatasetConfig, Layer
from a2u.errors import DataError
from a2u.files import check_regular, sha256, user_path

File = TypeVar("File")
LONGEST_ASPECT = 100  # of a foreground, longer side to shorter


class LayerFile(NamedTuple):
    """The files of one training layer."""

    name: str
    foreground: Path
    alpha: Path


class CompositeFile(NamedTuple):
    """The PNG files of one test case."""

    name: str
    image: Path
    trimap: Path
    alpha: Path


class LayerFiles:
    """Training layers, read on demand as read-only arrays and kept decoded.

    Args:
        files: their sizes are compared here, from the headers.
        cache_mb: room in memory for the most recently used layers, MB (2**20 bytes).
        decoded: a cache on disk, used instead of that in memory.
        deep: alphas of 16 bits are scaled.

    Raises:
        DataError: foreground and alpha differ in size, or are too narrow to crop; the message names both files.
    """

    def __init__(
        self, files: Sequence[LayerFile], cache_mb: int, decoded: DiskCache | None = None, deep: bool = False
    ) -> None:
        for file in files:
            headers = {path: read_header(path, deep and path == file.alpha) for path in file[1:]}
            check_together(headers)
            _refuse_narrow(headers)
        self._files = files
        self._decoded = decoded
        self._read_alpha = read_deep_grey if deep else read_grey
        self._room = cache_mb * 2**20  # bytes
        self._cache: OrderedDict[int, Layer] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Layer:
        file = self._files[index]
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        if self._decoded is None:
            layer = Layer(file.name, read_colour(file.foreground), self._read_alpha(file.alpha))
        else:
            alpha = self._decoded(file.alpha, self._read_alpha)
            layer = Layer(file.name, self._decoded(file.foreground, read_colour), alpha)
        check_sizes({file.foreground: layer.foreground.shape[:2], file.alpha: layer.alpha.shape})
        if isinstance(layer.foreground, np.memmap):
            return layer  # the page cache keeps it, for all processes at once
        layer.foreground.flags.writeable = layer.alpha.flags.writeable = False
        self._cache[index] = layer
        self._room -= _bytes(layer)
        while self._room < 0:
            self._room += _bytes(self._cache.popitem(last=False)[1])
        return layer


class PictureFiles:
    """Background images, read on demand; not cached: a paper-scale run draws each of 80,000 about once per epoch."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_colour(self._files[index])

    def name(self, index: int) -> str:
        return self._files[index].name


class CompositeFiles:
    """Test cases, read on demand; their sizes are compared here, from the headers.

    deep: alphas of 16 bits are scaled.
    """

    def __init__(self, files: Sequence[CompositeFile], deep: bool = False) -> None:
        for file in files:
            check_together({path: read_header(path, deep and path == file.alpha) for path in file[1:]})
        self._files = files
        self._read_alpha = read_deep_grey if deep else read_grey

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Composite:
        name, image, trimap, alpha = self._files[index]
        return Composite(name, read_colour(image), read_trimap(trimap), self._read_alpha(alpha))


def checksum(root: Path, files: Sequence[CompositeFile]) -> str:
    """Return the SHA-256 of the lines that `sha256sum` prints for the files of test cases.

    Each file counts once, under its path relative to `root`; lines are sorted by path.
    """
    paths = {path.relative_to(root).as_posix(): path for file in files for path in file[1:]}
    total = hashlib.sha256()
    for name, path in sorted(paths.items()):
        total.update(f"{file_sha256(path)}  {name}\n".encode())
    return total.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents. Raises DataError if it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def dataset_root(cfg: DatasetConfig, expected: str) -> Path:
    """Return the folder of a dataset. Raises DataError if it is missing; `expected` completes "the folder that ..."."""
    if cfg.root is None:
        raise DataError(f"dataset {cfg.name} has no root: set it to the folder that {expected}")
    root = user_path(cfg.root).absolute()
    if not root.is_dir():
        raise DataError(f"{missing_folder(root)}: set root to the folder that {expected}")
    return root


def matching_folders(folder: Path) -> list[Path]:
    """Return the existing folders that match a path, in which a part `*` matches every folder."""
    if "*" not in folder.parts:
        return [folder] if folder.is_dir() else []
    base = _base(folder)
    return sorted(place for place in base.glob(folder.relative_to(base).as_posix()) if place.is_dir())


def first_folder(parent: Path, names: Sequence[str]) -> Path:
    """Return the first of `names` below `parent` that `matching_folders` finds; the very first if none."""
    folders = [parent / name for name in names]
    return next((folder for folder in folders if matching_folders(folder)), folders[0])


def find_images(folder: Path, suffixes: Collection[str] = SUFFIXES, otherwise: str = "") -> dict[str, Path]:
    """Return the images of a folder (see `matching_folders`) by name without suffix, sorted by name.

    Args:
        otherwise: advice that ends the message if there is none.

    Raises:
        DataError: the folder is missing, holds no image, or two of the same name.
    """
    advice = f": {otherwise}" if otherwise else ""
    found = matching_folders(folder)
    if not found:
        raise DataError(missing_folder(folder) + advice)
    images: dict[str, Path] = {}
    for path in sorted(path for place in found for path in place.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        name = image_name(path)
        if name in images:
            first, second = (each.relative_to(_base(folder)) for each in (images[name], path))
            raise DataError(f"{_base(folder)} holds both {first} and {second}: remove one of them")
        images[name] = path
    if not images:
        raise DataError(f"{folder} holds no image ({', '.join(suffixes)}); it holds {contents(folder)}{advice}")
    return dict(sorted(images.items()))


def read_names(path: Path, repeats: bool = False) -> list[str]:
    """Return the names in a list file, one per line, without image suffixes; blank lines are skipped.

    Raises:
        DataError: the file cannot be read, holds no name, or, unless `repeats`, one twice.
    """
    try:
        check_regular(path)
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list {path} cannot be read: {error}") from error
    names = [normalize("NFC", without_suffix(line.strip())) for line in lines if line.strip()]
    twice = [] if repeats else sorted(name for name, count in Counter(names).items() if count > 1)
    if not names or twice:
        found = f"names {some(twice)} more than once" if twice else "holds no name"
        raise DataError(f"the list {path} {found}; expected image names, one per line")
    if in_folders := [name for name in names if "/" in name or "\\" in name]:
        raise DataError(f"the list {path} names {some(in_folders)}; expected names of images without their folders")
    return names


def without_suffix(name: str) -> str:
    """Remove the image suffix of a file name; other dots belong to the name."""
    return name[: name.rindex(".")] if name.lower().endswith(SUFFIXES) else name


def image_name(path: Path) -> str:
    """Return an image's name: without suffix, and composed (NFC), because some systems store letters decomposed."""
    return normalize("NFC", path.stem)


def require(names: Iterable[str], present: Collection[str], folder: Path, wanted_by: str) -> None:
    """Raise DataError unless `present`, the image names of `folder`, include all `names`."""
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(
            f"{folder} has no image for {len(missing)} name(s) of {wanted_by}: {some(missing)}; "
            f"it holds {some(list(present))}"
        )


def check_sizes(sizes: Mapping[Path, tuple[int, ...]]) -> None:
    """Raise DataError unless all (height, width) are equal."""
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{path} is {width} x {height}" for path, (height, width) in sizes.items())
        raise DataError(f"{found} pixels (width x height): these belong together and must agree")


def check_together(headers: Mapping[Path, Header]) -> None:
    """Raise DataError unless images that belong together have the same size and EXIF orientation."""
    check_sizes({path: header[:2] for path, header in headers.items()})
    if len({header.orientation for header in headers.values()}) > 1:
        found = ", ".join(f"{path} has {header.orientation}" for path, header in headers.items())
        raise DataError(
            f"{found} as EXIF orientation (1: shown as stored), but these belong together, and pixels are used as they "
            "are stored: save them as they should be shown, without an orientation"
        )


def _refuse_narrow(headers: Mapping[Path, Header]) -> None:
    """Raise DataError for a strip: an image narrower than a crop is enlarged, which would fill the memory."""
    for path, (height, width, _) in headers.items():
        if max(height, width) > LONGEST_ASPECT * min(height, width):
            raise DataError(
                f"{path} is {width} x {height} pixels (width x height), more than {LONGEST_ASPECT} times as "
                "long as wide, and cannot be cropped: cut it into pieces, or leave it out"
            )


def limited(files: list[File], limit: int | None) -> list[File]:
    """Return the first `limit` files; None: all."""
    if limit is not None and limit < 1:
        raise DataError(f"a limit of {limit} leaves nothing to use: give at least 1, or null for all")
    return files[:limit]


def missing_folder(folder: Path) -> str:
    """Describe a missing folder: its name, and what its nearest existing parent holds."""
    parent = next(parent for parent in folder.parents if parent.is_dir())
    return f"there is no folder {folder}; {parent} holds {contents(parent)}"


def contents(folder: Path) -> str:
    """List what a folder (see `matching_folders`) holds."""
    return some(sorted(path.name for place in matching_folders(folder) for path in place.iterdir()))


def some(names: Sequence[str], shown: int = 8) -> str:
    """List the first few names, and count the rest.

    >>> some(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more if names else "nothing"


def _base(folder: Path) -> Path:
    """Return the part of a path before its first `*`, or all of it."""
    parts = folder.parts
    return Path(*parts[: parts.index("*")]) if "*" in parts else folder


def _bytes(layer: Layer) -> int:
    return layer.foreground.nbytes + layer.alpha.nbytes
