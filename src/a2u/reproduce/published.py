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


def metrics_of(table: str) -> list[str]:
    """The metrics a table prints, the one it is read by first."""
    return [column for column in published()[table]["columns"] if column != "params"]


def printed_on(table: str, dataset: str) -> str:
    """The test set that a table's printed numbers belong to, in words."""
    if table != "table1":
        return "Composition-1k"
    return {"fashion_mnist": "Fashion-MNIST"}.get(dataset, "MNIST")


def printed(table: str, row: str, dataset: str = "adobe") -> dict[str, Any]:
    """Printed numbers of a row by column; empty where the paper has no such row or table.

    Table 1 has numbers of two datasets; those of MNIST stand beside any other.
    """
    content = published().get(table, {"columns": []})
    rows = content if table != "table1" else content[dataset if dataset in content else "mnist"]
    return dict(zip(content["columns"], rows.get(row, []), strict=False))


def rows_of(table: str) -> list[str]:
    """Rows of a table in the paper's order; for mattes, the reference row first."""
    if table == "table1":
        return list(published()[table]["mnist"])
    return [REFERENCE, *(row for row in published()[table] if row != "columns")]
