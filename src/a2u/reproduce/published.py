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


def printed(table: str, row: str) -> dict[str, Any]:
    """Printed numbers of a row by column; empty where the paper has no such row or table."""
    content = published().get(table, {"columns": []})
    values = content.get(row, [])
    return dict(zip(content["columns"], values, strict=False))


def rows_of(table: str) -> list[str]:
    """Rows of a matting table in the paper's order, the reference row first."""
    return [REFERENCE, *(row for row in published()[table] if row != "columns")]
