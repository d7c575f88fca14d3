"""One table: typed columns, cells and a caption, printed as text, Markdown or HTML."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Column:
    """The heading of a column: `over` in a line above, such as "printed" over "SAD"."""

    name: str
    over: str = ""
    is_number: bool = True

    @property
    def title(self) -> str:
        return f"{self.over} {self.name}".strip()


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: a number or words.
        spread: such as "± 0.185", or nothing.
        key: sort key of the column; None sorts last in either direction.
        source: id of the number's provenance record; empty for none.
    """

    text: str
    spread: str = ""
    key: float | str | None = None
    source: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.spread}".rstrip()


DASH = Cell("—")


def words(text: str | None) -> Cell:
    """Return a cell of words, or a dash."""
    return Cell(text, key=text) if text else DASH


def count(value: int | None, form: str = ",") -> Cell:
    """Return a cell of a whole number, such as 8,049,003, or a dash."""
    return DASH if value is None else Cell(f"{value:{form}}", key=value)


def number(values: Sequence[float], digits: int, form: str = "", source: str = "") -> Cell:
    """Return a cell of a mean, with ± the sample standard deviation of several values; a dash for none.

    form: of the mean, before the dot of Python's format: "," or "+".
    """
    if not values:
        return DASH
    mean = statistics.fmean(values)
    spread = f"± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return Cell(f"{mean:{form}.{digits}f}", spread, mean, source)


@dataclass(frozen=True)
class Table:
    """A table; its first column names the rows."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    title: str = ""  # name of the HTML table for screen readers

    @classmethod
    def of_texts(cls, header: Sequence[str], lines: Sequence[Sequence[str]]) -> "Table":
        """Build a table of texts, which is printed and not sorted."""
        return cls([Column(title) for title in header], [[Cell(text) for text in line] for line in lines])

    def markdown(self) -> str:
        """Return a GitHub Markdown table, numbers to the right, and the caption below."""
        lines = [[column.title for column in self.columns], ["---", *["---:"] * (len(self.columns) - 1)]]
        lines += [[_in_markdown(str(cell)) for cell in row] for row in self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines) + (f"\n{self.caption}\n" if self.caption else "")

    def text(self) -> str:
        """Return aligned columns for a terminal, and the caption below."""
        heads = [[column.over for column in self.columns], [column.name for column in self.columns]]
        lines = [*(heads if any(heads[0]) else heads[1:]), *([str(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]).rstrip() for first, *rest in lines
        ]
        aligned.insert(len(lines) - len(self.rows), "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join(aligned) + "\n" + (f"\n{self.caption}\n" if self.caption else "")

    def html(self) -> str:
        """Return a <table> for templates/report.html, whose script sorts by `data-key` and opens the records."""
        widest = [max((len(row[place].spread) for row in self.rows), default=0) for place in range(len(self.columns))]
        heads = "".join(map(_head, self.columns))
        rows = ["".join(map(_cell, row, self.columns, widest, [True, *[False] * (len(row) - 1)])) for row in self.rows]
        body = "".join(f"<tr>{row}</tr>\n" for row in rows)
        return (
            f'<table>\n<caption class="unseen">{escape(self.title)}</caption>\n'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
        )


def _in_markdown(text: str) -> str:
    """Escape what would end a cell, or be HTML, code or a link."""
    return re.sub(r"[\\|`]|<(?=[a-zA-Z/!?])|\](?=[(\[])", r"\\\g<0>", text)


def _head(column: Column) -> str:
    kind = ' class="number" data-number' if column.is_number else ""
    over = f'<span class="over">{escape(column.over)} </span>' if column.over else ""
    arrow = '<span class="arrow" aria-hidden="true"></span>'
    button = f'<button type="button" class="sort">{over}{escape(column.name)}{arrow}</button>'
    return f'<th scope="col"{kind}>{button}</th>\n'


def _cell(cell: Cell, column: Column, widest: int, is_first: bool) -> str:
    key = "" if cell.key is None else f' data-key="{escape(str(cell.key))}"'
    if is_first:
        return f'<th scope="row"{key}>{escape(cell.text)}</th>\n'
    kind = ' class="number"' if column.is_number else ""
    shown = escape(cell.text)
    if widest:
        shown += f' <span class="spread" style="min-width: {widest}ch">{escape(cell.spread)}</span>'
    if cell.source:
        opens = f'popovertarget="{escape(cell.source)}" popovertargetaction="show"'
        shown = f'<button type="button" class="value" {opens}>{shown}</button>'
    return f"<td{kind}{key}>{shown}</td>\n"
