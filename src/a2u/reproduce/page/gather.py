"""Finished results in a folder, by table, dataset and scale."""

from pathlib import Path
from typing import Any, NamedTuple

from a2u.config import TableConfig
from a2u.engine.identity import finished, read_result
from a2u.errors import A2UError
from a2u.reproduce.published import lines_of, published, rows_of
from a2u.reproduce.render import Results
from a2u.reproduce.rows import row_runs


class Group(NamedTuple):
    """What stands in one table on the page."""

    table: str  # such as "table2"
    dataset: str
    scale: str


def gather(root: Path) -> dict[Group, Results]:
    """Results under `root`, <table>/<dataset>/<scale>/<row>/seed<k>.json, in the paper's order of tables and rows.

    Files that are not results, and tables or rows that the paper does not have, are passed over.
    """
    found: dict[Group, Results] = {}
    for path in sorted(root.glob("*/*/*/*/seed*.json")):
        table, dataset, scale, row = path.relative_to(root).parts[:4]
        if table not in published() or row not in rows_of(table):
            continue
        result = read_result(path)
        if result is not None:
            group = Group(table, dataset, scale)
            found.setdefault(group, {line: [] for line in lines_of(table)})[row].append(result)
    return found


def add_shared_rows(found: dict[Group, Results], outputs: Path) -> None:
    """Fill rows that another table has run: a row that stands in several tables is one run, under one of them."""
    done = finished(outputs)
    for group, results in found.items():
        missing = [row for row in rows_of(group.table) if not results[row]]
        known: list[dict[str, Any]] = [run for runs in results.values() for run in runs]
        asked = TableConfig(table=group.table, rows=missing, seeds=1 + max(run["seed"] for run in known))
        root = known[0]["config"]["dataset"].get("root")
        where = [f"dataset={group.dataset}", *([f"dataset.root='{root}'"] if root else []), f"scale={group.scale}"]
        try:
            runs = row_runs(asked, where) if missing else []
        except A2UError:  # a dataset or scale of someone's own
            continue
        for run in runs:
            if run.hash in done:
                results[run.row].append(done[run.hash])
