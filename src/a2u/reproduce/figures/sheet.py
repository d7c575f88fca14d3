"""Pictures in rows and columns under titles, as PNG and PDF.

A file's bytes depend on the sheet and on Matplotlib's version alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from a2u.data.files.images import write_png
from a2u.errors import A2UError
from a2u.files import replacing, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 256  # a power of two, so that a size in inches is a whole number of pixels without rounding
LINE, BASELINE = 34, 25  # pixels of a line of text, and of it above the baseline
GAP = 8  # pixels between cells, and around all
ORANGE = (213, 94, 0)  # of boxes; stands out against green and violet with any colour vision
LARGEST = 512  # pixels, of a single picture's longer side
INDEX = "pictures.json"  # of a sheet's single pictures
STYLE = {"font.size": 7, "font.sans-serif": ["DejaVu Sans"], "pdf.fonttype": 42}


class FigureError(A2UError):
    """A figure cannot be drawn."""


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet, scaled to the sheet's cells."""

    picture: np.ndarray  # (H, W) or (H, W, 3) uint8
    note: str = ""  # below it
    box: tuple[int, int, int, int] | None = None  # top, left, height, width of an outline, in pixels of the picture


@dataclass(frozen=True)
class Sheet:
    """Rows of cells, under a title for each column; None leaves a cell empty."""

    titles: Sequence[str]
    rows: Sequence[Sequence[Cell | None]]
    cell_width: int  # pixels
    caption: str


class Text(NamedTuple):
    """One line of words."""

    x: float  # of its middle, in pixels from the page's left
    y: float  # of its baseline, in pixels from the page's top
    words: str


def require_matplotlib() -> None:
    """Raise FigureError where Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise FigureError('figures need Matplotlib; install it with `pip install -e ".[figures]"`.') from error


def save(sheet: Sheet, stem: Path, title: str) -> list[Path]:
    """Write `stem`.png and `stem`.pdf, of `title` in the files' metadata; return both paths."""
    from matplotlib import style

    metadata = {"png": {"Title": title, "Software": None}, "pdf": {"Title": title, "CreationDate": None}}
    paths = [stem.with_suffix(f".{kind}") for kind in metadata]
    with style.context(["default", STYLE]):  # whatever this machine's matplotlibrc says
        figure = drawn(*lay_out(sheet))
        for kind, path in zip(metadata, paths, strict=True):
            with replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata[kind])
    return paths


def save_pictures(sheet: Sheet, folder: Path) -> None:
    """Write every picture of a sheet as a PNG of its own, and what stands around them to pictures.json.

    That is {"titles": [...], "rows": [[{"file": "0_0.png", "note": "..."} or null, ...], ...]}.
    """
    rows = []
    for number, row in enumerate(sheet.rows):
        cells: list[dict[str, str] | None] = []
        for column, cell in enumerate(row):
            if cell is None:
                cells.append(None)
                continue
            name = f"{number}_{column}.png"
            height, width = cell.picture.shape[:2]
            picture = scaled(cell, round(width * min(1, LARGEST / max(height, width))))
            write_png(folder / name, picture[..., 0] if cell.picture.ndim == 2 else picture)
            cells.append({"file": name, "note": cell.note})
        rows.append(cells)
    write_json(folder / INDEX, {"titles": list(sheet.titles), "rows": rows})


def drawn(page: np.ndarray, texts: Sequence[Text]) -> "Figure":
    """The page with its texts as a figure of Matplotlib, a pixel for a pixel."""
    from matplotlib.figure import Figure

    height, width = page.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(page, aspect="auto", interpolation="none")
    for text in texts:
        figure.text(text.x / width, 1 - text.y / height, text.words, ha="center", va="baseline")
    return figure


def lay_out(sheet: Sheet) -> tuple[np.ndarray, list[Text]]:
    """The pictures of a sheet on a white page, (H, W, 3) uint8, and its texts."""
    lefts = [GAP + column * (sheet.cell_width + GAP) for column in range(len(sheet.titles))]
    centres = [left + sheet.cell_width / 2 for left in lefts]
    texts = [Text(x, GAP + BASELINE, title) for x, title in zip(centres, sheet.titles, strict=True)]
    top = GAP + LINE
    placed: list[tuple[int, int, np.ndarray]] = []
    for row in sheet.rows:
        pictures = [None if cell is None else scaled(cell, sheet.cell_width) for cell in row]
        height = max(picture.shape[0] for picture in pictures if picture is not None)
        for left, centre, cell, picture in zip(lefts, centres, row, pictures, strict=True):
            if cell is None or picture is None:
                continue
            placed.append((top + (height - len(picture)) // 2, left, picture))
            if cell.note:
                texts.append(Text(centre, top + height + BASELINE, cell.note))
        top += height + GAP + (LINE if any(cell and cell.note for cell in row) else 0)
    page = np.full((top, lefts[-1] + sheet.cell_width + GAP, 3), 255, np.uint8)
    for above, left, picture in placed:
        page[above : above + picture.shape[0], left : left + picture.shape[1]] = picture
    return page, texts


def scaled(cell: Cell, width: int) -> np.ndarray:
    """A cell's picture, `width` pixels wide, (h, width, 3) uint8.

    Pixels are averaged where it gets smaller, and repeated where it gets larger: what is shown was computed.
    """
    factor = width / cell.picture.shape[1]
    size = (width, max(1, round(cell.picture.shape[0] * factor)))
    picture = cv2.resize(cell.picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if cell.box is not None:
        top, left, height, box_width = (round(factor * length) for length in cell.box)
        cv2.rectangle(picture, (left, top), (left + box_width - 1, top + height - 1), ORANGE, thickness=2)
    return picture
