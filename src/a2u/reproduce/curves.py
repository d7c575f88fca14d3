"""Draw the learning curves of a table; the file depends only on the results and Matplotlib's version."""

import logging
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2u.errors import how_to_install
from a2u.files import replacing
from a2u.reproduce.published import metrics_of
from a2u.reproduce.render import TITLES, Group, Results, shown_alone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

FEWEST_POINTS = 3  # fewer make a straight line, not a curve
# Okabe and Ito's colours, distinct with any colour vision, without their yellow, which is too pale on white.
COLOURS = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"]
LINE_STYLES = ["-", "--", ":"]  # the next style when the colours repeat
MARKERS = "os^DvPX<>*ph"
STYLE = {"font.size": 9, "font.sans-serif": ["DejaVu Sans"], "svg.fonttype": "none", "svg.hashsalt": "a2u"}
STYLE |= {"text.parse_math": False}  # a dollar sign in a name is one

Curve = tuple[list[int], list[float]]  # steps, metric


def draw_curves(group: Group, results: Results, path: Path) -> bool:
    """Draw every row's main metric over the training steps into an SVG file; without curves, remove the file.

    A line is the mean over a row's seeds; thin lines are single seeds, if there are several. Dotted verticals
    mark drops of the learning rate. A row with fewer than three points is left out; the legend lists the rows in
    the order in which their lines end, from above.

    Args:
        group: whose results these are.
        results: for each row, in order, its results, one per seed.
        path: an .svg file.

    Returns:
        Whether there is a picture: False if no row has three points or (with a warning in the log) if Matplotlib
        is not installed, which leaves an earlier file.
    """
    metric, results = metrics_of(group.table)[0], shown_alone(results)
    means = {row: curve for row, curve in mean_curves(results, metric).items() if len(curve[0]) >= FEWEST_POINTS}
    if not means:
        path.unlink(missing_ok=True)  # of earlier results
        return False
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("%s was not drawn: it needs Matplotlib; install it with %s.", path, how_to_install("figures"))
        return False
    title = f"{group.title}: learning curves on the test set"
    with style.context(["default", STYLE]), replacing(path) as temporary:  # ignore this machine's matplotlibrc
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, loc="left")
        _draw(axes, metric, results, means)
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Title": title})
    return True


def mean_curves(results: Results, metric: str) -> dict[str, Curve]:
    """Return for each row the steps at which all its seeds were evaluated, ascending, and the seeds' mean there."""
    curves = {}
    for row, runs in results.items():
        scores = [{score["epoch"]: score[metric] for score in run.get("curve", [])} for run in runs]
        epochs = sorted(set.intersection(*map(set, scores))) if scores else []
        means = [statistics.fmean(values[epoch] for values in scores) for epoch in epochs]
        curves[row] = ([_step(runs[0], epoch) for epoch in epochs], means)
    return curves


def rate_drops(runs: Sequence[dict[str, Any]]) -> list[int]:
    """Return the steps after which the learning rate of one of these runs drops, ascending, before its last step."""
    falls = set()
    for run in runs:
        trainer = run["config"]["trainer"]
        if trainer["schedule"] == "multistep":
            falls |= {_step(run, epoch) for epoch in trainer["milestones"] if epoch < trainer["epochs"]}
    return sorted(falls)


def _step(run: dict[str, Any], epoch: int) -> int:
    """Return the steps done after a number of epochs."""
    return run["provenance"]["steps"] * int(epoch) // run["config"]["trainer"]["epochs"]


def _draw(axes: "Axes", metric: str, results: Results, means: dict[str, Curve]) -> None:
    for number, (row, runs) in enumerate(results.items()):
        if row not in means:
            continue
        look = _look(number)
        for run in runs if len(runs) > 1 else []:
            axes.plot(*mean_curves({row: [run]}, metric)[row], color=look["color"], linewidth=0.7, alpha=0.35)
        axes.plot(*means[row], **look, linewidth=1.4, markersize=4, clip_on=False, gid=row, label=row)
    falls = rate_drops([run for row in means for run in results[row]])
    for step in falls:
        axes.axvline(step, color="#666666", linestyle=":", linewidth=0.8, zorder=1)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(0, max(steps[-1] for steps, _ in means.values()))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(f"training steps{' (dotted: the learning rate falls)' if falls else ''}")
    axes.set_ylabel(f"{TITLES[metric]} (dB)" if metric == "psnr" else TITLES[metric])
    lines = {str(line.get_label()): line for line in axes.lines}
    ordered = sorted(means, key=lambda row: -means[row][1][-1])  # in the order of the lines' ends, from above
    axes.legend(handles=[lines[row] for row in ordered], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _look(number: int) -> dict[str, Any]:
    """Return a unique colour, line style and marker for a row by its number."""
    style = LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": style, "marker": MARKERS[number % len(MARKERS)]}
