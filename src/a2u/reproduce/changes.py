"""What a row's error is without something, compared with the whole network's, in percent and in words."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from a2u.reproduce.published import BLANK, task_of

ERRORS = {"matting": "sad", "reconstruction": "rmse", "probe": "mae"}  # the metric, by task
LEAST = 1.0  # percent, of a change that a caption calls one


def error_of(table: str) -> str:
    """Return the metric whose change is given."""
    return ERRORS[task_of(table)]


def changes(table: str, records: Sequence[dict[str, Any]], kind: str) -> list[float]:
    """Return the changes of the error in percent, one for each record of `make ablate` that has `kind`."""
    error = error_of(table)
    return [
        100 * (record["ablated"][kind]["metrics"][error] / record["metrics"][error] - 1)
        for record in records
        if kind in record["ablated"]
    ]


def without_content(table: str, results: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, list[float]]:
    """Return the changes without content of those rows whose results have them (`a2u.reproduce.pages.committed`)."""
    records = {row: [run["ablation"] for run in of_row if run.get("ablation")] for row, of_row in results.items()}
    found = {row: changes(table, of_row, "mean_kernel") for row, of_row in records.items()}
    return {row: values for row, values in found.items() if values}


def conclusion(table: str, of_rows: Mapping[str, Sequence[float]]) -> str:
    """Say in which rows the operator's content plays a part; empty without changes. Blank guides do not count.

    of_rows: the changes without content by row, one for each seed.
    """
    of_rows = {row: values for row, values in of_rows.items() if not row.endswith(BLANK)}
    if not of_rows:
        return ""
    seeds = max(map(len, of_rows.values()))
    used = [row for row, values in of_rows.items() if min(values) >= LEAST or max(values) <= -LEAST]
    named = ", ".join(f"{row} ({statistics.fmean(of_rows[row]):+z.1f}%)" for row in used)
    return (
        f"'without content' is the change of {error_of(table).upper()} where every kernel, index map, offset and gate "
        f"is its mean over the image: of {len(of_rows)} operators' content, "
        f"{f'that of {named}' if used else 'none'} plays a part ({LEAST:g}% or more in "
        f"{'each of ' * (seeds > 1)}{seeds} seed{'s' * (seeds > 1)})"
    )
