"""The numbers printed in the paper, and the facts of its tables."""

from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf

from a2u.config import options_of

REFERENCE = "trimap_only"  # the first row of every matting table, not in the paper
BLANK = "_blank"  # ends the name of a row of the probe whose guide is blank
MATTING_METRICS = ("sad", "mse", "grad", "conn")
# What the authors of released weights state for them on Composition-1k, in the order of the metrics.
STATED = {"a2u": (32.10, 0.0078, 16.33, 29.00), "a2u_unshared": (31.87, 0.0075, 14.25, 29.17)}


@cache
def published() -> dict[str, Any]:
    """Return published.yaml: for each table its facts (`about`), its columns and, by row, the printed numbers."""
    text = (files("a2u.reproduce") / "published.yaml").read_text(encoding="utf-8")
    return OmegaConf.to_container(OmegaConf.create(text))  # type: ignore[return-value]


def about(table: str) -> dict[str, Any]:
    """Return the facts of a table."""
    facts: dict[str, Any] = published()[table]["about"]
    return facts


def task_of(table: str) -> str:
    """Return the task of a table's rows, of configs/task; by default "matting"."""
    task: str = about(table).get("task", "matting")
    return task


def heading(table: str) -> str:
    """Return the heading of a table: "Table 2", "Successors", "Probe"."""
    return table.replace("table", "Table ").capitalize()


def quoted_rows(table: str) -> list[str]:
    """Return the rows that a table quotes as printed and never runs: those without a config."""
    run = _configs(table)
    return [row for row in lines_of(table) if row not in run]


def controls(table: str) -> list[str]:
    """Return the rows of a table that are not in the paper and show what its operators do beyond a fixed filter."""
    return list(about(table).get("controls", []))


def stated(system: str) -> tuple[str, dict[str, float]]:
    """Return the stated metrics of a system's released weights on Composition-1k, and their source; empty if none.

    For A2U the numbers its authors publish with each file; for the others those printed in Table 5.
    """
    if system in STATED:
        return "stated with these weights", dict(zip(metrics_of("table5"), STATED[system], strict=True))
    in_table = {name: value for name, value in printed("table5", system).items() if name != "params"}
    return "printed in Table 5", in_table


def metrics_of(table: str) -> list[str]:
    """Return the metrics of a table, the main one first."""
    # Table 6 prints gradient errors and ranks on photographs that nobody else can measure on.
    return [column for column in published()[table].get("columns", MATTING_METRICS) if column != "params"]


def printed_on(table: str, dataset: str) -> str:
    """Return the test set of the printed numbers shown next to `dataset`, in words; empty if there are none."""
    sets: dict[str, str] = about(table)["printed_on"]
    return sets.get(dataset, next(iter(sets.values()), ""))


def is_printed_on(table: str, dataset: str) -> bool:
    """Return whether the paper measured on this dataset, so that differences from its numbers are meaningful."""
    return dataset in about(table)["printed_on"]


def printed(table: str, row: str, dataset: str = "adobe") -> dict[str, Any]:
    """Return the printed numbers of a row by column; empty if the paper has no such row, table or columns.

    Table 1 has numbers of two datasets; those of MNIST are shown next to any other.
    """
    content = published().get(table, {"columns": []})
    rows = content.get(dataset, content.get("mnist", content))
    return dict(zip(content.get("columns", []), rows.get(row, []), strict=False))


def listed(table: str) -> list[str]:
    """Return the lines of a table in published.yaml's order, quoted rows too; of mattes, the reference row first."""
    content = published()[table]
    if "mnist" in content:
        return list(content["mnist"])
    rows = [row for row in content if row not in ("about", "columns", "images")]
    reference = [REFERENCE] if task_of(table) == "matting" else []
    return [*reference, *about(table).get("added", []), *rows]


def lines_of(table: str) -> list[str]:
    """Return the lines of a table: those listed, then other rows that have a config and need not be named."""
    return [*listed(table), *(row for row in _unlisted(table) if row not in named_rows(table))]


def rows_of(table: str) -> list[str]:
    """Return the rows of a table that are run, in the order of its lines: the files of configs/experiment/<table>."""
    run = _configs(table)
    return [row for row in lines_of(table) if row in run]


def named_rows(table: str) -> list[str]:
    """Return the rows that have a config, too, but are run when they are named alone, since the paper lacks them."""
    named = about(table).get("others_when_named", False)
    return [row for row in _unlisted(table) if named and row not in controls(table)]


def _unlisted(table: str) -> list[str]:
    return [row for row in _configs(table) if row not in listed(table)]


def _configs(table: str) -> list[str]:
    """Return the names of the files of configs/experiment/<table>."""
    return [row for folder, row in (name.split("/") for name in options_of("experiment")) if folder == table]
