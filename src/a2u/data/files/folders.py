"""What the datasets in folders share: finding files by name, and reading them on demand."""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from a2u.data.files.disk_cache import Decoded
from a2u.data.files.images import SUFFIXES, Header, read_colour, read_grey, read_header, read_trimap
from a2u.data.types import Composite, DatasetConfig, Layer
from a2u.errors import DataError
from a2u.files import sha256, user_path

File = TypeVar("File")
STRIP = 100  # a foreground's longer side is at most so many times its shorter one


class LayerFile(NamedTuple):
    """Where the foreground colours and the alpha of one training layer lie."""

    name: str
    foreground: Path
    alpha: Path


class CompositeFile(NamedTuple):
    """Where the picture, the trimap and the true alpha of one test case lie; PNG files."""

    name: str
    image: Path
    trimap: Path
    alpha: Path


class LayerFiles:
    """Training layers read on demand; sizes are compared at once, from the file headers.

    They are kept decoded: the latest ones in memory, or, where `decoded` is given, as many as it has room for on disk.

    The arrays are read-only, because they are handed out again.
    A DataError names both files when foreground and alpha differ in size.
    """

    def __init__(self, files: Sequence[LayerFile], cache_mb: int, decoded: Decoded | None = None) -> None:
        for file in files:
            headers = {path: read_header(path) for path in file[1:]}
            check_together(headers)
            _refuse_strips(headers)
        self._files = files
        self._decoded = decoded
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
            layer = Layer(file.name, read_colour(file.foreground), read_grey(file.alpha))
        else:
            layer = Layer(file.name, self._decoded(file.foreground, read_colour), self._decoded(file.alpha, read_grey))
        check_sizes({file.foreground: layer.foreground.shape[:2], file.alpha: layer.alpha.shape})
        if isinstance(layer.foreground, np.memmap):
            return layer  # the system keeps it in memory, for all processes at once
        layer.foreground.flags.writeable = layer.alpha.flags.writeable = False
        self._cache[index] = layer
        self._room -= _bytes(layer)
        while self._room < 0:
            self._room += _bytes(self._cache.popitem(last=False)[1])
        return layer


class PictureFiles:
    """Background pictures read on demand.

    Not kept in memory: a paper-scale run draws each of 80,000 about once an epoch.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_colour(self._files[index])

    def name(self, index: int) -> str:
        return self._files[index].name


class CompositeFiles:
    """Test cases read on demand; their sizes are compared at once, from the file headers."""

    def __init__(self, files: Sequence[CompositeFile]) -> None:
        for file in files:
            check_together({path: read_header(path) for path in file[1:]})
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Composite:
        name, image, trimap, alpha = self._files[index]
        return Composite(name, read_colour(image), read_trimap(trimap), read_grey(alpha))


def checksum(root: Path, files: Sequence[CompositeFile]) -> str:
    """SHA-256 of test cases: of the lines that `sha256sum` prints for their files.

    Each file counts once, under its path from `root`, in the order of those paths.
    """
    paths = {path.relative_to(root).as_posix(): path for file in files for path in file[1:]}
    total = hashlib.sha256()
    for name, path in sorted(paths.items()):
        total.update(f"{file_sha256(path)}  {name}\n".encode())
    return total.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's contents. Raises DataError if it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def dataset_root(cfg: DatasetConfig, expected: str) -> Path:
    """The folder of a dataset; `expected` says in words what has to lie there."""
    if cfg.root is None:
        raise DataError(f"dataset {cfg.name} has no root: set it to the folder that {expected}")
    root = user_path(cfg.root).absolute()
    if not root.is_dir():
        raise DataError(f"{missing_folder(root)}: set root to the folder that {expected}")
    return root


def places(folder: Path) -> list[Path]:
    """The folders that a path leads to, where a part `*` stands for every folder in its place."""
    if "*" not in folder.parts:
        return [folder] if folder.is_dir() else []
    base = _base(folder)
    return sorted(place for place in base.glob(folder.relative_to(base).as_posix()) if place.is_dir())


def first_folder(parent: Path, names: Sequence[str]) -> Path:
    """The first of `names` below `parent` that leads to a folder (see `places`); the very first if none does."""
    folders = [parent / name for name in names]
    return next((folder for folder in folders if places(folder)), folders[0])


def find_images(folder: Path, suffixes: Collection[str] = SUFFIXES, otherwise: str = "") -> dict[str, Path]:
    """Images of a folder (see `places`) by name without suffix, sorted by that name.

    otherwise: what to do where there is none, for the message.

    Raises DataError if the folder is missing, holds no image, or two of one name.
    """
    advice = f": {otherwise}" if otherwise else ""
    found = places(folder)
    if not found:
        raise DataError(missing_folder(folder) + advice)
    images: dict[str, Path] = {}
    for path in sorted(path for place in found for path in place.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in images:
            first, second = (each.relative_to(_base(folder)) for each in (images[path.stem], path))
            raise DataError(f"{_base(folder)} holds both {first} and {second}: remove one of them")
        images[path.stem] = path
    if not images:
        raise DataError(f"{folder} holds no image ({', '.join(suffixes)}); it holds {contents(folder)}{advice}")
    return dict(sorted(images.items()))


def read_names(path: Path, repeats: bool = False) -> list[str]:
    """Names of a list file, one a line, without the suffix of an image; blank lines are skipped.

    Raises DataError for a file that cannot be read or holds no name, or one twice unless `repeats`.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list {path} cannot be read: {error}") from error
    names = [without_suffix(line.strip()) for line in lines if line.strip()]
    twice = [] if repeats else sorted(name for name, count in Counter(names).items() if count > 1)
    if not names or twice:
        found = f"names {some(twice)} more than once" if twice else "holds no name"
        raise DataError(f"the list {path} {found}; expected are image names, one a line")
    return names


def without_suffix(name: str) -> str:
    """A file name without its image suffix; other dots belong to the name."""
    return Path(name).stem if name.lower().endswith(SUFFIXES) else name


def require(names: Iterable[str], present: Collection[str], folder: Path, wanted_by: str) -> None:
    """Raise DataError unless `present`, the image names of `folder`, has all `names`."""
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
    """Raise DataError unless images that belong together have one size, and none is turned against another."""
    check_sizes({path: header[:2] for path, header in headers.items()})
    if len({header.orientation for header in headers.values()}) > 1:
        found = ", ".join(f"{path} has {header.orientation}" for path, header in headers.items())
        raise DataError(
            f"{found} as EXIF orientation (1: shown as stored): these belong together, and pixels are taken as they "
            "are stored: save them as they are to be shown, without that mark"
        )


def _refuse_strips(headers: Mapping[Path, Header]) -> None:
    """A picture narrower than a crop is enlarged as a whole: a strip would fill any memory."""
    for path, (height, width, _) in headers.items():
        if max(height, width) > STRIP * min(height, width):
            raise DataError(
                f"{path} is {width} x {height} pixels (width x height), more than {STRIP} times as long as wide: a "
                "foreground as narrow as that cannot be cropped; cut it into pieces, or leave it out"
            )


def limited(files: list[File], limit: int | None) -> list[File]:
    """The first `limit` of the files; None: all."""
    if limit is not None and limit < 1:
        raise DataError(f"a limit of {limit} leaves nothing to use: give at least 1, or null for all")
    return files[:limit]


def missing_folder(folder: Path) -> str:
    """Words for a folder that is not there: its name, and what lies where it was looked for."""
    parent = next(parent for parent in folder.parents if parent.is_dir())
    return f"there is no folder {folder}; {parent} holds {contents(parent)}"


def contents(folder: Path) -> str:
    """Words for what a folder (see `places`) holds."""
    return some(sorted(path.name for place in places(folder) for path in place.iterdir()))


def some(names: Sequence[str], shown: int = 8) -> str:
    """The first few names and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more if names else "nothing"


def _base(folder: Path) -> Path:
    """The part of a path before its first `*`; all of it where there is none."""
    parts = folder.parts
    return Path(*parts[: parts.index("*")]) if "*" in parts else folder


def _bytes(layer: Layer) -> int:
    return layer.foreground.nbytes + layer.alpha.nbytes
