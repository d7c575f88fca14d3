"""Finished results by table, dataset and scale: the committed ones, or those of one's own runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from a2u.config import quoted
from a2u.engine.identity import RUNS, finished, identity, read_result
from a2u.errors import A2UError
from a2u.reproduce.published import lines_of, published, rows_of
from a2u.reproduce.render import Results
from a2u.reproduce.rows import other_operators, row_runs
from a2u.reproduce.settings import TableConfig


class Group(NamedTuple):
    """What stands in one table on the page."""

    table: str  # such as "table2"
    dataset: str
    scale: str


def committed(root: Path) -> dict[Group, Results]:
    """Results under `root`, in the paper's order of tables and rows; each row has been run as its config says.

    Files that are not results, and tables or rows that the paper does not have, are passed over.
    """
    found: dict[Group, Results] = {}
    for group, runs in _by_group(root, "*/*/*/*/seed*.json").items():
        results: Results = {line: [] for line in lines_of(group.table)}
        for row, run in runs:
            if row in rows_of(group.table):
                results[row].append(run)
        if any(results.values()):
            found[group] = results
    return found


def own(outputs: Path) -> tuple[dict[Group, Results], list[Path]]:
    """Results of one's own runs, and the files that are left out.

    A row's results are those of the configuration that `make TABLE` runs, one a seed, whichever table ran it; those of
    other configurations in the same folder are left out: they are no seeds of it. Operators that are no rows of the
    paper stand below. Table 6 is not among them, since its command measures anew.
    """
    alike: dict[str, list[dict[str, Any]]] = {}
    for run in finished(outputs).values():
        alike.setdefault(_variant(run), []).append(run)
    found: dict[Group, Results] = {}
    left_out = []
    for group, runs in _by_group(outputs, RUNS).items():
        if group.table == "table6":
            continue
        results: Results = {line: [] for line in lines_of(group.table)}
        for row, variant in _asked(group, runs).items():
            if variant in alike:
                results[row] = sorted(alike[variant], key=lambda run: run["seed"])
        shown = {run["hash"] for of_row in results.values() for run in of_row}
        left_out += [Path(run["path"]) for _, run in runs if run["hash"] not in shown]
        if shown:
            found[group] = results
    return found, left_out


def _by_group(root: Path, files: str) -> dict[Group, list[tuple[str, dict[str, Any]]]]:
    """Rows and results of the paper's tables; `files`: a pattern, <table>/<dataset>/<scale>/<row>/..."""
    found: dict[Group, list[tuple[str, dict[str, Any]]]] = {}
    for path in sorted(root.glob(files)):
        table, dataset, scale, row = path.relative_to(root).parts[:4]
        run = read_result(path) if table in published() else None
        if run is not None:
            found.setdefault(Group(table, dataset, scale), []).append((row, run))
    return found


def _asked(group: Group, runs: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Of the paper's rows, and of other operators among `runs`, what `make TABLE` runs on the dataset of the latest."""
    there = {row for row, _ in runs}
    rows = [*rows_of(group.table), *(row for row in other_operators(group.table) if row in there)]
    _, latest = max(runs, key=lambda each: each[1]["provenance"]["started"])
    root = latest["config"]["dataset"].get("root")
    where = [f"dataset={group.dataset}", f"scale={group.scale}", *([f"dataset.root={quoted(root)}"] if root else [])]
    try:
        asked = row_runs(TableConfig(table=group.table, rows=rows), where)
    except A2UError:  # a dataset or scale of someone's own that is gone
        return {}
    return {run.row: identity(run.cfg, seed=False) for run in asked}


def _variant(run: dict[str, Any]) -> str:
    return identity(OmegaConf.create(run["config"]), seed=False)
