"""Pictures in rows and columns under titles, as PNG and PDF.

A file depends only on the sheet and on Matplotlib's version.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from a2u.data.files.images import write_png
from a2u.errors import A2UError, how_to_install
from a2u.files import replacing, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 256
ORANGE = "#d55e00"  # of boxes; stands out against green and violet with any colour vision
LARGEST = 512  # pixels, of a single picture's longer side
INDEX = "pictures.json"  # of a sheet's single pictures
STYLE = {"font.size": 7, "font.sans-serif": ["DejaVu Sans"], "pdf.fonttype": 42, "text.parse_math": False}


class FigureError(A2UError):
    """A figure cannot be drawn."""


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet."""

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


def require_matplotlib() -> None:
    """Raise FigureError if Matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise FigureError(f"figures need Matplotlib; install it with {how_to_install('figures')}.") from error


def save(sheet: Sheet, stem: Path, title: str) -> list[Path]:
    """Write `stem`.png and `stem`.pdf, with `title` in their metadata; return both paths."""
    from matplotlib import style

    metadata = {"png": {"Title": title, "Software": None}, "pdf": {"Title": title, "CreationDate": None}}
    paths = [stem.with_suffix(f".{kind}") for kind in metadata]
    with style.context(["default", STYLE]):  # ignore this machine's matplotlibrc
        figure = drawn(sheet)
        for kind, path in zip(metadata, paths, strict=True):
            with replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata[kind])
    return paths


def save_pictures(sheet: Sheet, folder: Path) -> None:
    """Write every picture of a sheet as a separate PNG, and their titles and notes to pictures.json.

    Its form: {"titles": [...], "rows": [[{"file": "0_0.png", "note": "..."} or null, ...], ...]}.
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
            write_png(folder / name, scaled(cell.picture, round(width * min(1, LARGEST / max(height, width)))))
            cells.append({"file": name, "note": cell.note})
        rows.append(cells)
    write_json(folder / INDEX, {"titles": list(sheet.titles), "rows": rows})


def drawn(sheet: Sheet) -> "Figure":
    """Return the sheet as a Matplotlib figure, a subplot per cell."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    heights = [max(cell.picture.shape[0] / cell.picture.shape[1] for cell in row if cell) for row in sheet.rows]
    width = sheet.cell_width / DPI  # inches, of a cell
    size = (1.05 * width * len(sheet.titles), sum(width * height + 0.2 for height in heights) + 0.2)
    figure = Figure(figsize=size, dpi=DPI, layout="compressed")
    grid = figure.subplots(len(sheet.rows), len(sheet.titles), squeeze=False, height_ratios=heights)
    for axes, title in zip(grid[0], sheet.titles, strict=True):
        axes.set_title(title, fontsize=STYLE["font.size"])
    for axes, cell in zip(grid.flat, (cell for row in sheet.rows for cell in row), strict=True):
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
        if cell is None:
            continue
        axes.imshow(cell.picture, cmap="gray", vmin=0, vmax=255)
        axes.set_xlabel(cell.note)
        if cell.box is not None:
            top, left, height, wide = cell.box
            axes.add_patch(Rectangle((left - 0.5, top - 0.5), wide, height, fill=False, edgecolor=ORANGE))
    return figure


def scaled(picture: np.ndarray, width: int) -> np.ndarray:
    """Return a picture, (H, W) or (H, W, 3) uint8, `width` pixels wide.

    Pixels are averaged where it gets smaller, and repeated where it gets larger: what is shown was computed.
    """
    factor = width / picture.shape[1]
    size = (width, max(1, round(picture.shape[0] * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
