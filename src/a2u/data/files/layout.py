"""Read datasets of two parts, training layers and test composites, in folders named by a `Layout` (see adobe.py)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from a2u.data.files.disk_cache import DiskCache
from a2u.data.files.folders import (
    CompositeFile,
    CompositeFiles,
    LayerFile,
    LayerFiles,
    PictureFiles,
    checksum,
    contents,
    dataset_root,
    find_images,
    first_folder,
    limited,
    matching_folders,
    missing_folder,
    read_names,
    require,
)
from a2u.data.files.images import read_deep_grey
from a2u.data.types import MattingData, MattingDatasetConfig
from a2u.errors import DataError
from a2u.files import user_path
from a2u.settings import field

Names = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Folders and lists of a dataset below its root, and how many files the released one has.

    Of several names the first that exists is used; a part `*` matches every folder in its place.
    """

    training: str
    test: str
    foregrounds: Names  # in both parts
    alphas: Names
    backgrounds: Names  # in the training part
    merged: Names  # in the test part: the composites
    trimaps: Names
    foreground_list: Names  # in the test part: what the composites are composed from
    background_list: Names
    test_backgrounds: Names
    training_foregrounds: int  # counts of the released files
    test_foregrounds: int
    composites: int


class Split(Enum):
    """Which foregrounds to train on: those of the training part, or also those of the test part (Table 6)."""

    train = 1
    all = 2


@dataclass
class TwoPartConfig(MattingDatasetConfig):
    """Settings of training layers and test composites in folders; paths are relative to root or absolute."""

    train_list: str | None = field(
        None, "text file with the foregrounds of the training part, one name per line; null: all, sorted"
    )
    test_list: str | None = field(
        None, "text file with composites of the test part, or foregrounds for all of theirs; null: all, sorted"
    )
    backgrounds: str | None = field(
        None, "folder of background pictures; null: train2014 in the training part, else bg"
    )
    split: Split = field(
        Split.train, "foregrounds to train on; all: every foreground of the test part too", added_later=True
    )
    deep_alphas: bool = field(False, "alphas of 16 bits are scaled to 8, otherwise refused", added_later=True)
    cache_mb: int = field(1024, "decoded training layers kept in memory, per process", least=0, identity=False)
    decoded: str | None = field(
        None, "folder for decoded training layers, shared by processes; null: none", identity=False
    )
    decoded_mb: int = field(16384, "kept there at most", least=0, identity=False)

    layout: ClassVar[Layout]

    def build(self) -> MattingData:
        """Find the files, and check folders, names and sizes.

        Without the training part the dataset is for evaluation only: its layers and backgrounds are None.

        Raises:
            DataError: names the folder or files at fault.
        """
        return _build(self, self.layout)


def _build(cfg: TwoPartConfig, layout: Layout) -> MattingData:
    root = dataset_root(cfg, f"holds {layout.training} and {layout.test}")
    training, test = root / layout.training, root / layout.test
    if not test.is_dir():
        raise DataError(
            f"{root} has no folder {layout.test}; it holds {contents(root)}: "
            f"set root to the folder that holds {layout.training} and {layout.test}"
        )
    composites = limited(_composites(root, layout, cfg.test_list), cfg.limit_test)
    layers: list[LayerFile] = []
    if training.is_dir():
        layers = _layers(root, layout, layout.training, cfg.train_list)
        if cfg.split is Split.all:
            layers += layers_of_test_part(root, layout)
        layers = limited(layers, cfg.limit_train)
    decoded = DiskCache(user_path(cfg.decoded), cfg.decoded_mb) if cfg.decoded is not None else None
    return MattingData(
        layers=LayerFiles(layers, cfg.cache_mb, decoded, cfg.deep_alphas) if layers else None,
        layer_names=_distinct_names(layers, composites, layout.training),
        backgrounds=PictureFiles(list(backgrounds(root, layout, cfg.backgrounds).values())) if layers else None,
        test=CompositeFiles(composites, cfg.deep_alphas),
        test_names=[composite.name for composite in composites],
        checksum=partial(checksum, root, composites),
    )


def layers_of_test_part(root: Path, layout: Layout) -> list[LayerFile]:
    """Return the layers of the test part, for training on all data. Raises DataError if they are missing."""
    folder = first_folder(root / layout.test, layout.foregrounds)
    if not matching_folders(folder):
        raise DataError(
            f"dataset.split=all trains on the test foregrounds too, but {missing_folder(folder)}: "
            "put the foregrounds there, or leave dataset.split at train"
        )
    return _layers(root, layout, layout.test, None)


def backgrounds(root: Path, layout: Layout, folder: str | None) -> dict[str, Path]:
    """Return the background images in `folder`; None: in the layout's. Raises DataError if there are none."""
    if folder is not None:
        return find_images(root / user_path(folder))
    training = root / layout.training
    found = first_folder(training, layout.backgrounds)
    if not matching_folders(found):
        raise DataError(
            f"{training} has neither {' nor '.join(layout.backgrounds)}, the background pictures; it holds "
            f"{contents(training)}: put them there, or name their folder in `backgrounds`"
        )
    return find_images(found)


def merged(root: Path, layout: Layout) -> tuple[Path, dict[str, Path]]:
    """Return the folder of the composites and its images. Raises DataError if there are none."""
    folder = first_folder(root / layout.test, layout.merged)
    return folder, find_images(folder, (".png",), "`python scripts/data.py compose` makes the composites")


def trimaps(root: Path, layout: Layout) -> tuple[Path, dict[str, Path]]:
    """Return the folder of the trimaps and its images. Raises DataError if there are none."""
    folder = first_folder(root / layout.test, layout.trimaps)
    advice = "where none were released, `python scripts/data.py compose trimaps=29` makes them"
    return folder, find_images(folder, (".png",), advice)


def alpha_names(composites: Iterable[str], alphas: Iterable[str]) -> dict[str, str]:
    """Return the name of every composite's alpha: that of its foreground (the released rule), or else its own."""
    present = set(alphas)
    found = {name: foreground_of(name) for name in composites}
    return found | {name: name for name in found if found[name] not in present and name in present}


def foreground_of(composite: str) -> str:
    """Return the foreground's name of a composite <foreground>_<k>.

    >>> foreground_of("GT04_13"), foreground_of("test")
    ('GT04', 'test')
    """
    foreground, _, number = composite.rpartition("_")
    return foreground if number.isdecimal() else composite


def _layers(root: Path, layout: Layout, part: str, list_file: str | None) -> list[LayerFile]:
    folder, alpha_folder = (first_folder(root / part, names) for names in (layout.foregrounds, layout.alphas))
    foregrounds, alphas = find_images(folder), find_images(alpha_folder)
    if list_file is None:
        names = list(foregrounds)
        # An alpha without its foreground is a sign of an incomplete copy.
        require(alphas, foregrounds, folder, str(alpha_folder.relative_to(root)))
    else:
        names = read_names(root / user_path(list_file))
        require(names, foregrounds, folder, f"the list {list_file}")
    require(names, alphas, alpha_folder, str(folder.relative_to(root)))
    return [LayerFile(name, foregrounds[name], alphas[name]) for name in names]


def _composites(root: Path, layout: Layout, list_file: str | None) -> list[CompositeFile]:
    folder, images = merged(root, layout)
    trimap_folder, found_trimaps = trimaps(root, layout)
    alpha_folder = first_folder(root / layout.test, layout.alphas)
    alphas = find_images(alpha_folder, (".png",))
    origin = str(folder.relative_to(root))
    if list_file is None:
        names = list(images)
        require(found_trimaps, images, folder, str(trimap_folder.relative_to(root)))
    else:
        names = _listed(read_names(root / user_path(list_file)), list(images))
        require(names, images, folder, f"the list {list_file}")
    require(names, found_trimaps, trimap_folder, origin)
    alpha_of = alpha_names(names, alphas)
    require(dict.fromkeys(alpha_of.values()), alphas, alpha_folder, origin)
    return [CompositeFile(name, images[name], found_trimaps[name], alphas[alpha_of[name]]) for name in names]


def _listed(names: list[str], images: list[str]) -> list[str]:
    """Return the listed composites; a list may name a foreground for all its composites."""
    listed: list[str] = []
    for name in names:
        composites = [image for image in images if foreground_of(image) == name]
        listed += [name] if name in images or not composites else composites
    return list(dict.fromkeys(listed))


def _distinct_names(layers: Sequence[LayerFile], composites: Sequence[CompositeFile], training: str) -> list[str]:
    """Return the layers' names, <training>/<name> for one with a test foreground's name but another alpha.

    Eight training foregrounds of Distinctions-646 are named like test foregrounds (test_3, ...). The warning that a
    network was trained on a test image must be for real duplicates only.
    """
    tested = {composite.alpha.stem: composite.alpha for composite in composites}
    return [
        f"{training}/{layer.name}" if layer.name in tested and _differ(layer.alpha, tested[layer.name]) else layer.name
        for layer in layers
    ]


def _differ(first: Path, second: Path) -> bool:
    """Return whether two alphas differ by more than JPEG compression, which is below one grey level on average."""
    if first == second:
        return False
    one, other = read_deep_grey(first), read_deep_grey(second)
    return one.shape != other.shape or float(np.abs(one.astype(np.int16) - other).mean()) >= 1
