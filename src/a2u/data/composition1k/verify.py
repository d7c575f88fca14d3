"""Verify the folder of a dataset, and report everything that is missing or different, not only the first problem."""

import sys
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from a2u.data.build import build_data
from a2u.data.composition1k.manifest import check_manifest
from a2u.data.composition1k.rule import read_picture
from a2u.data.files import layout as two_parts
from a2u.data.files.folders import (
    check_together,
    dataset_root,
    find_images,
    first_folder,
    matching_folders,
    missing_folder,
    require,
    some,
)
from a2u.data.files.images import SUFFIXES, read_colour, read_grey, read_header, read_mask, read_srgb, read_trimap
from a2u.data.files.layout import Layout, Split, TwoPartConfig
from a2u.data.photo_textures.pictures import find
from a2u.data.sources import alphamatting
from a2u.data.sources.digits import PictureData
from a2u.data.sources.photo_textures import PhotoTexturesConfig
from a2u.errors import DataError

Value = TypeVar("Value")


@dataclass
class Findings:
    """What was found in the folder of a dataset."""

    problems: list[str] = field(default_factory=list)  # one sentence each
    counts: list[str] = field(default_factory=list)  # such as "431 training foregrounds"
    files: int = 0  # images whose headers were read
    checksum: str | None = None  # of the test set; None if there are problems


def verify(cfg: DictConfig, deep: bool = False, threads: int = 1) -> Findings:
    """Verify the folder of a dataset.

    Names are compared, sizes too (from the headers of images), and numbers of files with those of the released set.
    Composites are compared with their manifest if there is one (see `a2u.data.composition1k.compose`).

    Args:
        cfg: the `dataset` of a configuration.
        deep: decode every image, and check the values of trimaps.
        threads: to read and decode images in.
    """
    typed, inspection = OmegaConf.to_object(cfg), _Inspection()
    with inspection.recording():
        if isinstance(typed, TwoPartConfig):
            inspection.two_parts(typed, typed.layout)
        elif isinstance(typed, alphamatting.AlphamattingConfig):
            inspection.alphamatting(typed)
        elif isinstance(typed, PhotoTexturesConfig):
            inspection.photo_textures(typed)
    inspection.read(deep, threads)
    findings = inspection.findings
    if not findings.problems:
        with inspection.recording():  # lastly, what a run would report
            data = build_data(cfg)
            findings.checksum = data.checksum()
            if isinstance(data, PictureData):
                findings.counts += [f"{len(data.train)} training pictures", f"{len(data.test)} test pictures"]
    return findings


class _Inspection:
    """Collect findings, the reader of every file, and the groups of files that must agree in size."""

    def __init__(self) -> None:
        self.findings = Findings()
        self.readers: dict[Path, Callable[[Path], Any]] = {}
        self.groups: list[tuple[Path, ...]] = []

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record a DataError of the block as a problem, and continue after it."""
        try:
            yield
        except DataError as error:
            if str(error) not in self.findings.problems:
                self.findings.problems.append(str(error))

    def two_parts(self, cfg: TwoPartConfig, layout: Layout) -> None:
        root = dataset_root(cfg, f"holds {layout.training} and {layout.test}")
        training, test = root / layout.training, root / layout.test
        if training.is_dir():
            layers = self.layers(root, training, layout, read_colour)
            self.count(len(layers), "training foregrounds", layout.training_foregrounds)
            with self.recording():
                pictures = two_parts.backgrounds(root, layout, cfg.backgrounds)
                self.readers |= dict.fromkeys(pictures.values(), read_colour)
                self.count(len(pictures), "backgrounds")
        else:
            self.findings.problems.append(f"{missing_folder(training)}: without it nothing can be trained")
        if not test.is_dir():
            self.findings.problems.append(f"{missing_folder(test)}: without it nothing can be evaluated")
            return
        everything = cfg.split is Split.all
        if everything or matching_folders(first_folder(test, layout.foregrounds)):
            self.layers(root, test, layout, read_colour if everything else read_picture)
        self.composites(root, test, layout)

    def photo_textures(self, cfg: PhotoTexturesConfig) -> None:
        for part, found in zip(("training", "validation"), find(cfg.roots(), cfg.held_out), strict=True):
            self.readers |= dict.fromkeys(found.photographs, read_srgb) | dict.fromkeys(found.cutouts, read_mask)
            self.count(len(found.photographs), f"{part} photographs")
            self.count(len(found.cutouts), f"{part} cut-outs")

    def layers(self, root: Path, part: Path, layout: Layout, reader: Callable[[Path], Any]) -> dict[str, Path]:
        folder, alpha_folder = (first_folder(part, names) for names in (layout.foregrounds, layout.alphas))
        foregrounds, alphas = self.images(folder, reader), self.images(alpha_folder, read_grey)
        self.same_names(root, {folder: foregrounds, alpha_folder: alphas})
        return foregrounds

    def composites(self, root: Path, test: Path, layout: Layout) -> None:
        images: dict[str, Path] = {}
        trimaps: dict[str, Path] = {}
        folder, trimap_folder = (first_folder(test, names) for names in (layout.merged, layout.trimaps))
        with self.recording():
            folder, images = two_parts.merged(root, layout)
        with self.recording():
            trimap_folder, trimaps = two_parts.trimaps(root, layout)
        self.readers |= dict.fromkeys(images.values(), read_colour) | dict.fromkeys(trimaps.values(), read_trimap)
        self.same_names(root, {folder: images, trimap_folder: trimaps})
        self.count(len(images), "test composites", layout.composites)
        if images:
            with self.recording():
                self.findings.problems += check_manifest(folder, trimaps)
        alpha_folder = first_folder(test, layout.alphas)
        alphas = self.images(alpha_folder, read_grey, (".png",))
        if not images or not alphas:
            return
        alpha_of = two_parts.alpha_names(images, alphas)
        foregrounds = dict.fromkeys(alpha_of.values())
        with self.recording():
            require(foregrounds, alphas, alpha_folder, str(folder.relative_to(root)))
        self.groups += [(images[name], alphas[alpha]) for name, alpha in alpha_of.items() if alpha in alphas]
        if len(foregrounds) < len(images):  # else every composite has an alpha of its own
            self.count(len(foregrounds), "test foregrounds", layout.test_foregrounds)

    def alphamatting(self, cfg: alphamatting.AlphamattingConfig) -> None:
        root = dataset_root(cfg, f"holds {alphamatting.IMAGES}")
        readers = {root / alphamatting.IMAGES: read_colour, root / alphamatting.ALPHAS: read_grey}
        readers |= {root / alphamatting.TRIMAPS / name: read_trimap for name in ("Trimap1", "Trimap2")}
        found = {folder: self.images(folder, reader, (".png",)) for folder, reader in readers.items()}
        photographs, *others = found
        for other in others:
            self.same_names(root, {photographs: found[photographs], other: found[other]})
        released = [f"GT{number:02}" for number in range(1, 28)]
        missing = [name for name in released if name not in found[photographs]]
        self.count(len(found[photographs]), "photographs", len(released), f" ({some(missing)} missing)")

    def images(
        self, folder: Path, reader: Callable[[Path], Any], suffixes: tuple[str, ...] = SUFFIXES
    ) -> dict[str, Path]:
        """Return the images of a folder, to be read with `reader`; record a problem and return none if that fails."""
        with self.recording():
            images = find_images(folder, suffixes)
            self.readers |= dict.fromkeys(images.values(), reader)
            return images
        return {}

    def same_names(self, root: Path, folders: dict[Path, dict[str, Path]]) -> None:
        """Compare the names in two folders and group their files; a folder without images was reported before."""
        if not all(folders.values()):
            return
        (one, first), (other, second) = folders.items()
        for names, present, folder, origin in ((first, second, other, one), (second, first, one, other)):
            with self.recording():
                require(names, present, folder, str(origin.relative_to(root)))
        self.groups += [(first[name], second[name]) for name in first if name in second]

    def count(self, found: int, what: str, released: int | None = None, detail: str = "") -> None:
        if not found:
            return  # reported before
        self.findings.counts.append(f"{found} {what}")
        if released is not None and found != released:
            self.findings.problems.append(f"found {found} {what}; the released set has {released}{detail}")

    def read(self, deep: bool, threads: int) -> None:
        """Read the headers and compare sizes; with `deep`, decode the files with a valid header."""
        self.findings.files = len(self.readers)
        total = len(self.readers) * (2 if deep else 1)
        bar = tqdm(total=total, unit="file", dynamic_ncols=True, disable=not sys.stderr.isatty())
        with ThreadPoolExecutor(threads) as pool, bar:

            def results(check: Callable[[Path], Value], paths: Collection[Path]) -> Iterator[tuple[Path, Value]]:
                for path, result in zip(paths, pool.map(partial(_attempt, check), paths), strict=True):
                    bar.update()
                    if isinstance(result, DataError):
                        self.findings.problems.append(str(result))
                    else:
                        yield path, result

            headers = dict(results(read_header, self.readers))
            for group in dict.fromkeys(self.groups):
                if all(path in headers for path in group):
                    with self.recording():
                        check_together({path: headers[path] for path in group})
            if deep:
                list(results(self.decode, headers))

    def decode(self, path: Path) -> None:
        self.readers[path](path)


def _attempt(check: Callable[[Path], Value], path: Path) -> Value | DataError:
    try:
        return check(path)
    except DataError as error:
        return error
