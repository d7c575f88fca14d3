"""Cells of a table, as render.py writes them, for a page that sorts them and says where they come from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

DASH = "—"
UNITS = {"K": 1e3, "M": 1e6}
WORDS = ("row", "method", "verdict")  # columns without numbers


@dataclass(frozen=True)
class Head:
    """What stands above a column: "printed SAD" is SAD below a small "printed".

    Attributes:
        spread_width: letters of the column's widest spread; 0 where none has one.
        has_marks: whether room for marks is needed.
    """

    over: str
    title: str
    is_number: bool
    spread_width: int
    has_marks: bool


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: the number, or words.
        spread: such as "± 0.185", or empty.
        mark: of reproduce/marks.py, or empty.
        key: what its column is sorted by, a number or words; None, which stands last either way, for a dash.
        record: id of the provenance that it shows; empty for none.
    """

    text: str
    spread: str = ""
    mark: str = ""
    key: float | str | None = None
    record: str = ""


def head(title: str, cells: Sequence[Cell]) -> Head:
    """A column's head from its title in one line and the cells below it."""
    over, _, last = title.rpartition(" ")
    if title.endswith("− printed"):  # a difference: "SAD" below would be a wrong name
        over, last = title.split(" ", 1)
    widest = max(len(cell.spread) for cell in cells)
    return Head(over, last, title not in WORDS, widest, any(cell.mark for cell in cells))


def column(title: str, texts: Sequence[str], records: Sequence[str]) -> list[Cell]:
    """The cells of a column, with the keys that sort it.

    Args:
        title: its head in one line.
        texts: as render.py writes them.
        records: of each cell, the id of its provenance, or nothing.
    """
    keys: list[float | str | None] = list(texts) if title in WORDS else [number(text) for text in texts]
    if title == "printed params":  # "+20K" is on top of what stands above it, the baseline's
        base = next((number(text) for text in texts if text[:1].isdigit()), None) or 0.0
        keys = [(number(text) or 0.0) + base if text.startswith("+") else number(text) for text in texts]
    cells = []
    for text, key, record in zip(texts, keys, records, strict=True):
        mean, spread, mark = re.fullmatch(r"(.*?)(?: (± \S+))?(?: ([★≈]))?", text).groups()  # type: ignore[union-attr]
        cells.append(Cell(mean, spread or "", mark or "", key, record if text != DASH else ""))
    return cells


def number(text: str) -> float | None:
    """The first number in a cell; None where there is none.

    >>> number("1,234 ± 5"), number(">130.55M"), number("−3.5"), number("0.2 / 0.3"), number("—")
    (1234.0, 130550000.0, -3.5, 0.2, None)
    """
    found = re.search(r"([-+−]?[\d.,]*\d)([KM]?)", text)
    if not found:
        return None
    digits, unit = found.groups()
    return float(digits.replace(",", "").replace("−", "-")) * UNITS.get(unit, 1)
