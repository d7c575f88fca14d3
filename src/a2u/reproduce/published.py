"""The numbers printed in the paper."""

from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import OmegaConf

REFERENCE = "trimap_only"  # stands first in every matting table, not in the paper


@cache
def published() -> dict[str, Any]:
    """published.yaml: for each table its columns and, by row, the printed numbers."""
    text = (files("a2u.reproduce") / "published.yaml").read_text(encoding="utf-8")
    return OmegaConf.to_container(OmegaConf.create(text))  # type: ignore[return-value]


# Rows that stand in a table as printed and are never run: without a released program; in Table 6 whatever was measured
# on photographs whose true alpha is not public.
QUOTED = {"table5": ("adamatting",), "table6": ("adamatting", "gca", "context_aware")}
# Rows that the paper's table does not have and this one does.
ADDED = {"table6": ("closed_form", "knn")}
MATTING_METRICS = ("sad", "mse", "grad", "conn")
# What the authors of released weights state for them on Composition-1k, in the order of the metrics below.
STATED = {"a2u": (32.10, 0.0078, 16.33, 29.00), "a2u_unshared": (31.87, 0.0075, 14.25, 29.17)}


def stated(system: str) -> tuple[str, dict[str, float]]:
    """What is said of a system's released weights on Composition-1k, by whom; empty where nothing is.

    Of A2U the figures its authors publish with each file; of the others those printed in Table 5.
    """
    if system in STATED:
        return "stated with these weights", dict(zip(metrics_of("table5"), STATED[system], strict=True))
    in_table = {name: value for name, value in printed("table5", system).items() if name != "params"}
    return "printed in Table 5", in_table


def metrics_of(table: str) -> list[str]:
    """The metrics a table prints, the one it is read by first."""
    # Table 6 has no such columns: it prints gradient errors and ranks on photographs that nobody else can measure on.
    return [column for column in published()[table].get("columns", MATTING_METRICS) if column != "params"]


def printed_on(table: str, dataset: str) -> str:
    """The test set that a table's printed numbers belong to, in words."""
    if table != "table1":
        return {"table6": "alphamatting.com", "table7": "Distinctions-646"}.get(table, "Composition-1k")
    return {"fashion_mnist": "Fashion-MNIST"}.get(dataset, "MNIST")


def is_printed_on(table: str, dataset: str) -> bool:
    """Whether the paper measured on this very dataset, so that a difference from a table's numbers says something."""
    if table == "table1":
        return dataset in published()[table]
    return dataset == ("distinctions646" if table == "table7" else "adobe")


def printed(table: str, row: str, dataset: str = "adobe") -> dict[str, Any]:
    """Printed numbers of a row by column; empty where the paper has no such row, table, or columns (Table 6).

    Table 1 has numbers of two datasets; those of MNIST stand beside any other.
    """
    content = published().get(table, {"columns": []})
    rows = content if table != "table1" else content[dataset if dataset in content else "mnist"]
    return dict(zip(content.get("columns", []), rows.get(row, []), strict=False))


def lines_of(table: str) -> list[str]:
    """Lines of a table in the paper's order, quoted rows too; for mattes, the reference row first."""
    if table == "table1":
        return list(published()[table]["mnist"])
    rows = [row for row in published()[table] if row not in ("columns", "images")]
    return [REFERENCE, *ADDED.get(table, ()), *rows]


def rows_of(table: str) -> list[str]:
    """Rows of a table that are run, in the paper's order."""
    return [row for row in lines_of(table) if row not in QUOTED.get(table, ())]
