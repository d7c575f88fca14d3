"""Show whether the kernels of a table's rows were alive after training."""

import statistics
from typing import Any

from a2u.reproduce.render import Group, Results, row_title
from a2u.reproduce.tables import DASH, Cell, Column, Table, words

MEASURES = {  # of a2u.engine.health
    "saturated": "saturated",
    "over_positions": "deviation over positions",
    "over_window": "deviation over the window",
    "entropy": "entropy",
}


def health_table(group: Group, results: Results) -> Table | None:
    """Return what every row's operators measured after the last step, in percent by stage; None if no row has that."""
    measured = {row: [run["health"] for run in of_row if run.get("health")] for row, of_row in results.items()}
    columns = [Column("row", is_number=False), *(Column(f"{title} (%)") for title in MEASURES.values())]
    lines = [
        [words(row_title(group.table, row)), *(_by_stage(runs, measure) for measure in MEASURES)]
        for row, runs in measured.items()
        if runs
    ]
    if not lines:
        return None
    caption = (
        f"{group.title}, kernels on the first test image, means over seeds, by stage, deepest first: share of the "
        "values beyond ±4 that a sigmoid is given; deviation of the kernels over the positions of the image and over "
        "their window, relative to the mean; entropy over the window, 100 where all weights are equal."
    )
    return Table(columns, lines, caption, f"{group.title}, health of kernels")


def _by_stage(runs: list[dict[str, Any]], measure: str) -> Cell:
    stages = [[run[name][measure] for run in runs if measure in run.get(name, {})] for name in runs[0]]
    means = [100 * statistics.fmean(values) for values in stages if values]
    return Cell(" / ".join(f"{mean:.1f}" for mean in means), key=statistics.fmean(means)) if means else DASH
