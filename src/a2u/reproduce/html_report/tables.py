"""The paper's tables as the page shows them, from finished results."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig

from a2u.reproduce import benchmark_page
from a2u.reproduce.benchmark_sets import TRIMAPS, tests_of
from a2u.reproduce.caption import caption
from a2u.reproduce.curves import learning_curves
from a2u.reproduce.differences import difference_blocks
from a2u.reproduce.html_report.cells import DASH, Cell, Head, column, head
from a2u.reproduce.html_report.gather import Group
from a2u.reproduce.html_report.pictures import Drawing, drawn
from a2u.reproduce.html_report.records import Record, record
from a2u.reproduce.published import is_printed_on, metrics_of, printed_on, rows_of, title_of
from a2u.reproduce.render import Results, speed, table_cells
from a2u.reproduce.rows import paper_parameters

Lines = tuple[list[str], list[list[str]]]  # header and rows, as render.py gives them
SUBJECTS = {
    "table1": "image reconstruction",
    "table2": "design of the upsampling operator",
    "table3": "size of the upsampling kernel",
    "table4": "normalisation of the upsampling kernel",
    "table5": "other systems",
    "table6": "alphamatting.com",
    "table7": "Distinctions-646",
    "successors": "operators that came after A2U",
}


@dataclass(frozen=True)
class Grid:
    """Rows and columns under a name."""

    name: str
    heads: list[Head]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Block:
    """What was measured of one table on one dataset, and what is said of it."""

    title: str
    grid: Grid
    words: str
    records: list[Record]
    notes: list[str] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    difference_words: str = ""
    differences: list[Grid] = field(default_factory=list)
    quoted: Grid | None = None  # the paper's own numbers, where they cannot stand in the same table


@dataclass(frozen=True)
class Section:
    """One table of the paper."""

    id: str
    title: str
    subject: str
    blocks: list[Block]


def sections(found: Mapping[Group, Results]) -> list[Section]:
    """A section for each table of the paper that has results."""
    made = []
    for table, subject in SUBJECTS.items():
        mine = {group: results for group, results in found.items() if group.table == table}
        blocks = _benchmarks(mine) if table == "table6" else [_block(*each) for each in mine.items()]
        if blocks:
            made.append(Section(table, title_of(table), subject, blocks))
    return made


def _block(group: Group, results: Results) -> Block:
    table, dataset, scale = group
    parameters = {row: paper_parameters(DictConfig(runs[0]["config"])) for row, runs in results.items() if runs}
    header, lines = table_cells(table, dataset, results, parameters)
    header, lines = _with_cost((header, lines), results)
    name = f"{title_of(table)} on {dataset}, scale {scale}"
    records = {row: record("-".join([*group, row]), runs) for row, runs in results.items() if runs}

    def owner(row: str, title: str) -> str:
        return records[row].id if row in records and not title.startswith("printed") else ""

    words, differences = difference_blocks(table, dataset, scale, results)
    notes = []
    if not is_printed_on(table, dataset):
        notes.append(
            f"The printed numbers are of {printed_on(table, dataset)}, these of {dataset}: a difference between the "
            "two would say nothing, and none is taken."
        )
    curves = drawn(
        lambda path: learning_curves(table, dataset, scale, results, path),
        f"Learning curves of {name}: the main metric on the test set over training steps, a line a row, each row’s "
        "name at the end of its line",
        "Learning curves on the test set.",
    )
    if not curves:
        notes.append("No learning curves: the runs were evaluated fewer than three times.")
    return Block(
        title=f"{dataset}, {scale}",
        grid=as_grid(name, (header, lines), list(results), owner),
        words=caption(table, dataset, scale, results),
        records=list(records.values()),
        notes=notes,
        drawings=curves,
        difference_words=words,
        differences=[as_grid(f"{name}, {lines[0][0]}", (["row", *lines[0][1:]], lines[1])) for lines in differences],
    )


def _benchmarks(found: Mapping[Group, Results]) -> list[Block]:
    """Table 6, whose test sets stand beside each other: a block for the photographs, one for generated images."""
    blocks = []
    for name in TRIMAPS:
        for scale in dict.fromkeys(group.scale for group in found):
            measured = {
                test: {row: found[group][row] for row in rows_of(group.table)}
                for test in tests_of(name)
                if (group := Group(benchmark_page.TABLE, test, scale)) in found
            }
            if measured:
                blocks.append(_benchmark(name, scale, measured))
    return blocks


def _benchmark(name: str, scale: str, measured: benchmark_page.Measured) -> Block:
    header, lines = benchmark_page.measured_cells(name, measured)
    records = {
        (test, row): record(f"table6-{test}-{scale}-{row}", runs)
        for test, rows in measured.items()
        for row, runs in rows.items()
        if runs
    }
    of_column = [test for test in measured for _ in metrics_of(benchmark_page.TABLE)]
    tests = dict(zip(header[1:], of_column, strict=False))  # params and seconds are of all, and have no one record

    def owner(row: str, title: str) -> str:
        found = records.get((tests.get(title, ""), row))
        return found.id if found else ""

    title = f"Table 6 on {name}, scale {scale}"
    return Block(
        title=f"{name}, {scale}",
        grid=as_grid(title, (header, lines), [line[0] for line in lines], owner),
        words=benchmark_page.caption(name, scale, measured),
        records=list(records.values()),
        notes=[benchmark_page.QUOTED_WORDS],
        quoted=as_grid("Table 6 as printed", benchmark_page.quoted_cells()),
    )


def _with_cost(table: Lines, results: Results) -> Lines:
    """The same table with what a row costs: seconds of a run and, where they are not there, training samples/s."""
    header, lines = table
    adds_speed = "samples/s" not in header
    longer = []
    for line, runs in zip(lines, results.values(), strict=True):
        seconds = [run["provenance"]["wall_seconds"] for run in runs]
        cost = [speed(runs)] * adds_speed + [f"{statistics.fmean(seconds):,.0f}" if seconds else DASH]
        longer.append([*line, *cost])
    return [*header, *["samples/s"] * adds_speed, "wall seconds"], longer


def as_grid(
    name: str,
    table: Lines,
    rows: Sequence[str] = (),
    owner: Callable[[str, str], str] = lambda row, title: "",
) -> Grid:
    """A table ready to be shown; `owner` gives the id of the provenance of a row's number in a column."""
    header, lines = table
    rows = rows or [line[0] for line in lines]
    columns = []
    for place, title in enumerate(header):
        records = [owner(row, title) if place else "" for row in rows]
        columns.append(column(title, [line[place] for line in lines], records))
    heads = [head(title, cells) for title, cells in zip(header, columns, strict=True)]
    return Grid(name, heads, [list(row) for row in zip(*columns, strict=True)])
