"""Make the figures: run missing rows, draw, write captions."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig

from a2u.data import build_data
from a2u.data.types import MattingData
from a2u.engine.evaluate import seen_in_training
from a2u.errors import A2UError, ConfigError
from a2u.reproduce.figures.cases import TRIMAP, Case, evenly, most_translucent, named, photographs
from a2u.reproduce.figures.columns import FEATURES, KERNELS, WEIGHTS, Column, FiguresConfig, chosen, runs_of
from a2u.reproduce.figures.features import figure_1
from a2u.reproduce.figures.kernels import figure_5
from a2u.reproduce.figures.qualitative import side_by_side
from a2u.reproduce.figures.sheet import Sheet, require_matplotlib, save, save_pictures
from a2u.reproduce.figures.weights import figure_8
from a2u.reproduce.launch import report_failures, run_missing
from a2u.reproduce.pages import write
from a2u.settings import validate

NUMBERS = (1, 4, 5, 6, 7)
ADDED = (8,)  # not of the paper, drawn where asked for
SIDE_BY_SIDE = (4, 6, 7)
ROWS = 5  # of images in Figures 4 and 7
EXAMPLES = 2  # of images in Figure 5, as in the paper


def make_figures(settings: FiguresConfig, overrides: Sequence[str]) -> int:
    """Run the rows that are not done, draw the figures; return 0, or 1 if a row or a figure failed.

    Writes fig<number>.png, .pdf and .txt, the caption, to settings.folder; the pictures of Figures
    4, 6 and 7 one by one to fig<number>/. A row that failed leaves its column out.

    Raises:
        A2UError: no such figure, system, image or photograph, or no Matplotlib. Nothing is run or written then.
    """
    validate(settings)
    numbers, qualitative = _numbers(settings), chosen(settings)
    wanted = {number: {1: FEATURES, 5: KERNELS, 8: WEIGHTS}.get(number, qualitative) for number in numbers}
    require_matplotlib()
    runs = runs_of([each for row in wanted.values() for each in row], overrides)
    cfg = next(iter(runs.values())).cfg
    images = _Images(cfg, settings, numbers)
    done, failures = run_missing(list(runs.values()), settings)

    folder = Path(settings.folder or Path(cfg.runtime.outputs) / "figures" / cfg.dataset.name / cfg.scale)
    for number in numbers:
        ready = [each for each in wanted[number] if runs[each].hash in done]
        columns = [Column(each, runs[each], done[runs[each].hash]) for each in ready]
        if not columns:
            failures[f"Figure {number}"] = "none of its rows is done."
            continue
        try:
            print(f"{_write(number, columns, images, folder)}\n")
        except A2UError as error:
            failures[f"Figure {number}"] = str(error)
    if not settings.figures and 6 not in numbers:
        print("Figure 6 was left out: it shows the photographs of alphamatting.com; give photographs=DIR.")
    hashes = {run.hash for run in runs.values()}
    return report_failures(failures, len(hashes - done.keys()), len(hashes))


def _numbers(settings: FiguresConfig) -> list[int]:
    """Return the numbers of the figures to draw, ascending."""
    for number in settings.figures:
        if number not in NUMBERS + ADDED:
            known = ", ".join(map(str, NUMBERS + ADDED))
            raise ConfigError(f"there is no figure {number} to draw; there are: {known}.")
    if 6 in settings.figures and settings.photographs is None:
        raise ConfigError("Figure 6 shows the photographs of alphamatting.com: give photographs=DIR, their folder.")
    possible = [number for number in NUMBERS if number != 6 or settings.photographs is not None]
    return sorted(set(settings.figures) or possible)


class _Images:
    """The images of the figures, chosen before any network predicts."""

    def __init__(self, cfg: DictConfig, settings: FiguresConfig, numbers: Sequence[int]) -> None:
        data = build_data(cfg.dataset)
        assert isinstance(data, MattingData)
        self.data, self.name = data, cfg.dataset.name
        self.where = f"dataset={cfg.dataset.name}, scale={cfg.scale}"
        self.indices = named(settings.images, data.test_names) or evenly(len(data.test), ROWS)
        self.rule = "chosen by name" if settings.images else "evenly spaced through the test set"
        self.photographs = photographs(settings.photographs) if 6 in numbers and settings.photographs else []

    @cached_property
    def checksum(self) -> str:
        return self.data.checksum()

    def sheet(self, number: int, columns: Sequence[Column]) -> Sheet:
        test = self.data.test
        if number == 1:
            return figure_1(columns, test[self.indices[0]])
        if number == 5:
            return figure_5(columns, [test[index] for index in self.indices[:EXAMPLES]])
        if number == 8:
            return figure_8(columns, test[self.indices[0]])
        if number == 6:
            cases = self.photographs
            rule = (
                f"Networks trained on dataset={self.name}, on photographs of alphamatting.com ({TRIMAP}), up to four "
                "with true alpha and up to four of the benchmark's own, whose true alpha is not public, evenly spaced "
                "by name"
            )
        elif number == 4:
            cases, rule = [Case(*test[index]) for index in self.indices], f"Test images, {self.rule}"
        else:
            shares = most_translucent(test, ROWS)
            cases = [Case(*test[index]) for index in shares]
            percent = ", ".join(f"{share:.0%}" for share in shares.values())
            rule = (
                "The test images with the largest share of unknown pixels whose true alpha lies strictly between 0.1 "
                f"and 0.9 ({percent}), one for each true alpha"
            )
        names = [case.name for case in cases]
        warnings = seen_in_training(list(self.data.layer_names), names)
        return side_by_side(columns, cases, " ".join([f"{rule}: {', '.join(names)}.", *warnings]))


def _write(number: int, columns: Sequence[Column], images: _Images, folder: Path) -> str:
    """Write the pictures of one figure and its caption; return the caption."""
    sheet, test = images.sheet(number, columns), images.data.test
    stem = folder / f"fig{number}"
    paths = save(sheet, stem, f"Figure {number}, {images.where}")
    if number in SIDE_BY_SIDE:
        save_pictures(sheet, stem)
    lines = [f"Figure {number}, {images.where}. {sheet.caption}", *(column.origin() for column in columns)]
    if number != 6:
        lines.append(f"Test set: {len(test):,} images, sha256 {images.checksum[:16]}.")
        checksums = {column.wanted.title: column.result["provenance"]["data_sha256"] for column in columns}
        other = [title for title, checksum in checksums.items() if checksum != images.checksum]
        if other:
            lines.append(f"WARNING: the results of {', '.join(other)} were measured on another test set.")
    write(stem.with_suffix(".txt"), "\n".join(lines) + "\n")
    return "\n".join([*lines, f"Files: {', '.join(map(str, paths))}"])
