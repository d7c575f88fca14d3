"""The embedded default dataset: generated on demand, kept in memory, cached on disk."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Generic, TypeVar, cast
from uuid import uuid4

import numpy as np

from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.synthetic.generate import (
    GENERATOR_VERSION,
    MINIMUM_SIZE,
    generate_background,
    generate_composite,
    generate_layer,
    layer_name,
)
from a2u.data.types import Composite, Composites, Layer, MattingData, MattingDatasetConfig
from a2u.errors import ConfigError, DataError
from a2u.files import reason
from a2u.settings import field, schema

log = logging.getLogger(__name__)

WORTH_PROCESSES = 64  # items; for fewer, starting processes takes longer than generating them
CHUNK = 8  # items handed to a process at a time

Item = TypeVar("Item", Layer, Composite, np.ndarray)
Arrays = dict[str, np.ndarray]


class Split(Enum):
    """The pictures that a run is measured on: those of the tables, or others to choose settings by."""

    test = 1
    validation = 2


@schema("dataset/synthetic", "dataset/study_test")
@dataclass
class SyntheticConfig(MattingDatasetConfig):
    """The embedded default: foregrounds with exact alpha, generated when they are first used.

    With `cache`, each item is a file below `<cache>/synthetic-v<version>-seed<seed>-size<size>/<split>/`, which several
    processes may share. Items are read-only and stay in memory. `limit_train` applies to layers and to backgrounds;
    if either is empty, there is no training part.
    """

    name: str = "synthetic"
    cache: str | None = field("data", "folder for generated layers; null: generate again every time", identity=False)
    train_layers: int = field(256, "0: no training part, for evaluation alone", least=0)
    train_backgrounds: int = field(128, least=0)
    train_size: int = field(160, "side of the square training layers, pixels", least=MINIMUM_SIZE)
    test: Split = field(
        Split.test, "validation: other pictures than those of the tables, to choose settings by", added_later=True
    )
    test_images: int = field(64, least=1)
    test_size: int = field(256, "side of the square test images, pixels", least=MINIMUM_SIZE)
    seed: int = field(2021, "of the generator, not of the run", least=0)
    trimap: int | None = field(
        None,
        "diameter in pixels of the ellipse that erodes every test trimap; null: drawn for each",
        least=1,
        added_later=True,
    )
    version: int = field(GENERATOR_VERSION, "of the generator; part of a run's identity, since its pictures are")

    def check(self) -> None:
        if self.root is not None:
            raise ConfigError(
                f"The synthetic dataset is generated and has no folder, but its root is set to {self.root}; "
                "did you mean dataset=adobe (make: DATASET=adobe)?"
            )
        if self.version != GENERATOR_VERSION:
            raise ConfigError(
                f"The synthetic dataset's version is set to {self.version}, and this program generates "
                f"{GENERATOR_VERSION}; check out the commit that a result of that version names."
            )

    def build(self) -> MattingData:
        """Return the dataset. Using it raises DataError if the cache cannot be written."""
        layers, backgrounds, drawn = _items(self)
        composites = drawn if self.trimap is None else UniformTrimaps(drawn, self.trimap)
        return MattingData(
            layers=layers if len(layers) else None,
            layer_names=[layer_name(index, "train") for index in range(len(layers))],
            backgrounds=backgrounds if len(backgrounds) else None,
            test=composites,
            test_names=[layer_name(index, self.test.name) for index in range(len(composites))],
            checksum=partial(checksum, composites),
        )

    def prepare(self, progress: Callable[[int, int], None] | None = None, processes: int = 1) -> None:
        """Generate all items into the disk cache, if there is one, before several processes train in parallel.

        Args:
            progress: called with (items done, items) after each item.
            processes: number of processes, used if there is enough to generate.

        Raises:
            DataError: the cache cannot be written.
        """
        fill_cache(_items(self), progress, processes)


def fill_cache(
    groups: Sequence["Items[Any]"], progress: Callable[[int, int], None] | None = None, processes: int = 1
) -> None:
    """Generate all items into the disk cache, if there is one; see `SyntheticConfig.prepare`."""
    items = [(group, index) for group in groups if group.folder is not None for index in range(len(group))]
    absent = sum(not group.path(index).exists() for group, index in items)
    if not items:
        return
    with ExitStack() as stack:
        fill: Callable[..., Iterable[None]] = map
        if processes > 1 and absent > WORTH_PROCESSES:
            pool = stack.enter_context(ProcessPoolExecutor(processes, get_context("forkserver")))
            fill = partial(pool.map, chunksize=CHUNK)
        for done, _ in enumerate(fill(_fill, *zip(*items, strict=True)), start=1):
            if progress is not None:
                progress(done, len(items))


def _fill(group: "Items[Any]", index: int) -> None:
    group.load(index)


@dataclass
class Items(Generic[Item]):
    """Items by index: from memory, or else from the disk cache, or else generated.

    Args:
        make: generates the item of an index.
        restore: returns the item of an index and the arrays in its file.
        folder: the cache, with a file `<kind>_<index>.npz` per item; None: no cache.
    """

    kind: str
    count: int
    make: Callable[[int], Item]
    restore: Callable[[int, Arrays], Item]
    folder: Path | None
    memory: dict[int, Item] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self.count:
            raise IndexError(f"{self.kind} {index} of {self.count}")
        if index not in self.memory:
            item = self.load(index)
            for array in _arrays(item).values():
                array.flags.writeable = False
            self.memory[index] = item
        return self.memory[index]

    def name(self, index: int) -> str:
        return f"{self.kind}_{index:04d}"

    def path(self, index: int) -> Path:
        """Return an item's file in the cache. Raises ValueError without a cache."""
        if self.folder is None:
            raise ValueError("there is no cache")
        return self.folder / f"{self.name(index)}.npz"

    def load(self, index: int) -> Item:
        """Return an item from the disk cache, or generate and cache it."""
        if self.folder is None:
            return self.make(index)
        path = self.path(index)
        try:
            with np.load(path, allow_pickle=False) as archive:  # the archive's CRC covers every array
                return self.restore(index, dict(archive))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except Exception as error:  # a damaged archive raises a dozen types
            log.warning("The cache file %s is damaged (%r) and is generated again.", path, error)
        item = self.make(index)
        _write(path, _arrays(item))
        return item


@dataclass
class UniformTrimaps:
    """Test cases whose trimaps are all eroded by an ellipse of `size` pixels."""

    drawn: Composites
    size: int

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> Composite:
        case = self.drawn[index]
        return case._replace(trimap=trimap_from_alpha(case.alpha, self.size, self.size))


def generated_layers(cache: str | None, seed: int, size: int, split: str, count: int) -> Items[Layer]:
    """Return the first `count` layers of a split, generated when they are first used."""
    make = partial(generate_layer, seed, size=size, split=split)
    return Items("layer", count, make, partial(_layer, split), _folder(cache, seed, size, split))


def _folder(cache: str | None, seed: int, size: int, split: str) -> Path | None:
    return None if cache is None else Path(cache) / f"synthetic-v{GENERATOR_VERSION}-seed{seed}-size{size}" / split


def _items(cfg: SyntheticConfig) -> tuple[Items[Layer], Items[np.ndarray], Items[Composite]]:
    def limited(count: int, limit: int | None) -> int:
        return count if limit is None else min(count, limit)

    layers = limited(cfg.train_layers, cfg.limit_train)
    return (
        generated_layers(cfg.cache, cfg.seed, cfg.train_size, "train", layers),
        Items(
            "background",
            limited(cfg.train_backgrounds, cfg.limit_train),
            partial(generate_background, cfg.seed, size=cfg.train_size, split="train"),
            _background,
            _folder(cfg.cache, cfg.seed, cfg.train_size, "train"),
        ),
        Items(
            "composite",
            limited(cfg.test_images, cfg.limit_test),
            partial(generate_composite, cfg.seed, size=cfg.test_size, split=cfg.test.name),
            partial(_composite, cfg.test.name),
            _folder(cfg.cache, cfg.seed, cfg.test_size, cfg.test.name),
        ),
    )


# Functions, not lambdas, because data workers receive the items pickled.
def _layer(split: str, index: int, arrays: Arrays) -> Layer:
    return Layer(layer_name(index, split), **arrays)


def _background(index: int, arrays: Arrays) -> np.ndarray:
    return arrays["image"]


def _composite(split: str, index: int, arrays: Arrays) -> Composite:
    return Composite(layer_name(index, split), **arrays)


def _arrays(item: Layer | Composite | np.ndarray) -> Arrays:
    if isinstance(item, np.ndarray):
        return {"image": item}
    return {key: value for key, value in item._asdict().items() if key != "name"}


def _write(path: Path, arrays: Arrays) -> None:
    """Write to a temporary name first, so that no other process sees part of the file."""
    part = path.with_name(f"{path.stem}-{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as file:
                np.savez(file, **cast(Any, arrays))
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"The generated dataset cannot be cached as {path} ({reason(error)}): set its `cache` to a writable "
            "folder, or to null to generate it in every run."
        ) from error


def checksum(composites: Composites) -> str:
    """Return the SHA-256 of test cases: names, shapes and pixels."""
    digest = hashlib.sha256()
    for index in range(len(composites)):
        name, *arrays = composites[index]
        digest.update(name.encode())
        for array in arrays:
            digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()
