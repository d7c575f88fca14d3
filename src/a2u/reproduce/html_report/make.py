"""Write the page: a section per table of the paper, a block per dataset, scale and test set."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment, PackageLoader, StrictUndefined

from a2u.errors import A2UError
from a2u.files import user_path
from a2u.reproduce.curves import draw_curves
from a2u.reproduce.differences import difference_tables
from a2u.reproduce.html_report.gather import own
from a2u.reproduce.html_report.pictures import data_uri, galleries
from a2u.reproduce.html_report.records import Record, record
from a2u.reproduce.pages import RESULTS, committed, write
from a2u.reproduce.published import about, heading, is_printed_on, printed_on
from a2u.reproduce.render import Group, Results, mean_of, ranks_table, results_table, shown_alone, speed
from a2u.reproduce.tables import Column, Table, number
from a2u.settings import field, schema


class ReportSource(Enum):
    """Results that a report shows: the committed ones of results/, or those of the user's runs."""

    results = 1
    outputs = 2


@schema("report")
@dataclass
class ReportConfig:
    """configs/report.yaml: all tables' results on one page."""

    source: ReportSource = field(ReportSource.results)
    outputs: str = field("outputs", "folder of runs and figures")
    folder: str | None = field(None, "where index.html goes; null: <outputs>/report")


class ReportError(A2UError):
    """There is nothing to report."""


@dataclass(frozen=True)
class Block:
    """The measurements of one group, and their provenance.

    Attributes:
        curves: an SVG picture as a data URI; empty if there is none.
        difference_words, differences: differences between rows, a table per metric.
    """

    title: str
    table: Table
    records: list[Record]
    notes: list[str]
    curves: str
    difference_words: str
    differences: list[Table]


@dataclass(frozen=True)
class Section:
    """One table of the paper; `printed`: its own numbers, if they have a separate table."""

    id: str
    title: str
    subject: str
    blocks: list[Block]
    printed: Table | None


def make_page(settings: ReportConfig) -> Path:
    """Write <folder>/index.html from finished results and the figures under `outputs`; return its path.

    Raises:
        ReportError: there are no results.
        PictureError: pictures of the figures are damaged.
    """
    outputs = user_path(settings.outputs)
    is_own = settings.source is ReportSource.outputs
    found, left_out = own(outputs) if is_own else (committed(RESULTS), [])
    if not found:
        others = f"; {len(left_out)} of other configurations are left out" if left_out else ""
        raise ReportError(
            f"no finished result of a table was found under {outputs if is_own else RESULTS}{others}: run one first, "
            "such as `make table2`, or name another folder with outputs=DIR."
        )
    path = (user_path(settings.folder) if settings.folder else outputs / "report") / "index.html"
    content = {"sections": sections(found), "galleries": galleries(outputs / "figures"), "left_out": left_out}
    environment = Environment(
        loader=PackageLoader("a2u.reproduce.html_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write(path, environment.get_template("report.html").render(own=is_own, **content))
    return path


def sections(found: Mapping[Group, Results]) -> list[Section]:
    """Return a section per table of the paper that has results."""
    return [
        Section(
            table,
            heading(table),
            about(table)["subject"],
            [_block(group, results) for group, results in found.items() if group.table == table],
            ranks_table(table),
        )
        for table in sorted({group.table for group in found})
    ]


def _block(group: Group, results: Results) -> Block:
    words, differences = difference_tables(group, results)
    notes, curves = [], "" if group.test else _curves(group, results)
    where = printed_on(group.table, group.measured_on)
    if where and not is_printed_on(group.table, group.measured_on):
        notes.append(
            f"The printed numbers are of {where}, these of {group.measured_on}: a difference between the two would say "
            "nothing, and none is taken."
        )
    if not curves and not group.test:
        notes.append("No learning curves: the runs were evaluated fewer than three times.")
    on = f", trained on {group.dataset}" if group.test else ""
    return Block(
        title=f"{group.measured_on}{on}, {group.scale}",
        table=_with_cost(results_table(group, results), results),
        records=[record(group, row, runs) for row, runs in results.items() if runs],
        notes=notes,
        curves=curves,
        difference_words=words,
        differences=differences,
    )


def _with_cost(table: Table, results: Results) -> Table:
    """Add each row's cost to a table: seconds of a run and, if missing, training samples/s."""
    names = [column.name for column in table.columns]
    adds_speed = not {"samples/s", "s/image"} & set(names)
    columns = [*table.columns, *[Column("samples/s")] * adds_speed, Column("seconds", "wall")]
    rows = []
    for row, runs in zip(table.rows, shown_alone(results).values(), strict=True):
        seconds = mean_of(run["provenance"]["wall_seconds"] for run in runs)
        rows.append([*row, *[speed(runs)] * adds_speed, number(seconds, 0, ",")])
    return Table(columns, rows, table.caption, table.title)


def _curves(group: Group, results: Results) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "curves.svg"
        return data_uri(path) if draw_curves(group, results, path) else ""
