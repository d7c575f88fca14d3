"""Find the user's finished results, by table, dataset and scale."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from a2u.config import quoted
from a2u.engine.identity import RUNS, finished, identity, read_result
from a2u.errors import A2UError
from a2u.reproduce.published import lines_of, published, rows_of
from a2u.reproduce.render import Group, Results
from a2u.reproduce.rows import other_rows, row_runs
from a2u.reproduce.settings import TableConfig


def own(outputs: Path) -> tuple[dict[Group, Results], list[Path]]:
    """Return the results of the user's runs, and the files that are left out.

    A row's results are those of the configuration that `make TABLE` runs, one per seed, whichever table ran it; those
    of other configurations in the same folder are left out: they are not its seeds. Operators that are not rows of the
    paper come below. Measurements on other test sets are left out: `make TABLE TEST=NAME` prints these.
    """
    alike: dict[str, list[dict[str, Any]]] = {}
    for run in finished(outputs).values():
        alike.setdefault(_variant(run), []).append(run)
    found: dict[Group, Results] = {}
    left_out = []
    for group, runs in _by_group(outputs, RUNS).items():
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
    """Return rows and results of the paper's tables; `files`: a pattern, <table>/<dataset>/<scale>/<row>/..."""
    found: dict[Group, list[tuple[str, dict[str, Any]]]] = {}
    for path in sorted(root.glob(files)):
        table, dataset, scale, row = path.relative_to(root).parts[:4]
        run = read_result(path) if table in published() else None
        if run is not None:
            found.setdefault(Group(table, dataset, scale), []).append((row, run))
    return found


def _asked(group: Group, runs: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return the runs of `make TABLE`, and of other rows among `runs`, on the dataset of the latest."""
    there = {row for row, _ in runs}
    rows = [*rows_of(group.table), *(row for row in other_rows(group.table) if row in there)]
    _, latest = max(runs, key=lambda each: each[1]["provenance"]["started"])
    root = latest["config"]["dataset"].get("root")
    where = [f"dataset={group.dataset}", f"scale={group.scale}", *([f"dataset.root={quoted(root)}"] if root else [])]
    try:
        asked = row_runs(TableConfig(table=group.table, rows=rows), where)
    except A2UError:  # a user's dataset or scale that no longer exists
        return {}
    return {run.row: identity(run.cfg, seed=False) for run in asked}


def _variant(run: dict[str, Any]) -> str:
    return identity(OmegaConf.create(run["config"]), seed=False)
