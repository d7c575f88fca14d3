"""The learning curves of a table as one picture; its bytes depend on the results and on Matplotlib's version alone."""

import logging
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from a2u.files import replacing
from a2u.reproduce.published import metrics_of, title_of
from a2u.reproduce.render import TITLES, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

FEWEST_POINTS = 3  # fewer make a straight line, not a curve
# Okabe and Ito's colours, told apart with any colour vision; without their yellow, which is too pale on white.
COLOURS = ["#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"]
LINE_STYLES = ["-", "--", ":"]  # the next one where the colours begin again
MARKERS = "os^DvPX<>*ph"
FONT_SIZE, LABEL_DISTANCE = 9, 12.5  # points
WIDTH, HEIGHT = 5.4, 4.0  # inches, of the axes; with the words around them about 8 x 5
STYLE = {"font.size": FONT_SIZE, "font.sans-serif": ["DejaVu Sans"], "svg.fonttype": "none", "svg.hashsalt": "a2u"}

Curve = tuple[list[int], list[float]]  # steps, metric


def learning_curves(
    table: str, dataset: str, scale: str, results: Results, path: Path, on: str = "the test set"
) -> bool:
    """Draw every row's main metric over the training steps; put the SVG in `path`'s place.

    A line is the mean over a row's seeds; thin lines are the single seeds where there are several. Dotted verticals
    stand where the learning rate falls. A row with fewer than three points is left out. The background is white.

    Args:
        table: such as "table1".
        dataset: what it was measured on.
        scale: such as "lite".
        results: for each row, in order, its results, one a seed.
        path: an .svg file.
        on: what the curves were measured on, in words.

    Returns:
        Whether there is a picture: False, and nothing is written, where no row has three points, or (with a warning
        in the log) where Matplotlib is not installed.
    """
    metric = metrics_of(table)[0]
    means = {row: curve for row, curve in mean_curves(results, metric).items() if len(curve[0]) >= FEWEST_POINTS}
    if not means:
        return False
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        log.warning('%s was not drawn: it needs Matplotlib; install it with `pip install -e ".[figures]"`.', path)
        return False
    title = f"{title_of(table)}, dataset={dataset}, scale={scale}: learning curves on {on}"
    with style.context(["default", STYLE]), replacing(path) as temporary:  # whatever this machine's matplotlibrc says
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0, 0, 1, 1))  # "tight" below makes room for the words
        axes.set_title(title, loc="left")
        _draw(axes, metric, results, means)
        figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None, "Title": title})
    return True


def mean_curves(results: Results, metric: str) -> dict[str, Curve]:
    """For each row the steps at which all its seeds were evaluated, ascending, and the seeds' mean there."""
    curves = {}
    for row, runs in results.items():
        scores = [{score["epoch"]: score[metric] for score in run.get("curve", [])} for run in runs]
        epochs = sorted(set.intersection(*map(set, scores))) if scores else []
        means = [statistics.fmean(values[epoch] for values in scores) for epoch in epochs]
        curves[row] = ([_step(runs[0], epoch) for epoch in epochs], means)
    return curves


def falls_of_the_rate(runs: Sequence[dict[str, Any]]) -> list[int]:
    """The steps after which the learning rate of one of these runs falls, ascending; none after its last step."""
    falls = set()
    for run in runs:
        trainer = run["config"]["trainer"]
        if trainer["schedule"] == "multistep":
            falls |= {_step(run, epoch) for epoch in trainer["milestones"] if epoch < trainer["epochs"]}
    return sorted(falls)


def spread_out(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as can be (least squares), in the same order, `distance` apart or more.

    They lie in low..high; where there is no room for all, the uppermost exceed it.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    # Less `distance` for every label below, what is sought only has to ascend: isotonic regression, written as the
    # largest, over sections from the left, of the smallest mean of a section around the place.
    free = [wanted[index] - distance * below for below, index in enumerate(order)]
    count, places = len(wanted), [0.0] * len(wanted)
    for below, index in enumerate(order):
        place = max(
            min(statistics.fmean(free[first:end]) for end in range(below + 1, count + 1)) for first in range(below + 1)
        )
        places[index] = max(low, min(place, high - distance * (count - 1))) + distance * below
    return places


def _step(run: dict[str, Any], epoch: int) -> int:
    """The steps done after so many epochs."""
    return run["provenance"]["steps"] * int(epoch) // run["config"]["trainer"]["epochs"]


def _draw(axes: "Axes", metric: str, results: Results, means: dict[str, Curve]) -> None:
    last = max(steps[-1] for steps, _ in means.values())
    looks = {row: _look(number) for number, row in enumerate(results)}
    for row, (steps, values) in means.items():
        if len(results[row]) > 1:
            for run in results[row]:
                seed_steps, seed_values = mean_curves({row: [run]}, metric)[row]
                axes.plot(seed_steps, seed_values, color=looks[row]["color"], linewidth=0.7, alpha=0.35)
        axes.plot(steps, values, **looks[row], linewidth=1.4, markersize=4, clip_on=False, gid=row)
    falls = falls_of_the_rate([run for row in means for run in results[row]])
    for step in falls:
        axes.axvline(step, color="#666666", linestyle=":", linewidth=0.8, zorder=1)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(0, last)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(f"training steps{' (dotted: the learning rate falls)' if falls else ''}")
    axes.set_ylabel(f"{TITLES[metric]} (dB)" if metric == "psnr" else TITLES[metric])
    _label_ends(axes, means, looks, last)


def _label_ends(axes: "Axes", means: dict[str, Curve], looks: dict[str, dict[str, Any]], last: int) -> None:
    """Each row's name right of the end of its line; positions are in parts of the axes' width and height."""
    low, high = axes.get_ylim()
    ends = [(values[-1] - low) / (high - low) for _, values in means.values()]
    places = spread_out(ends, LABEL_DISTANCE / 72 / HEIGHT, 0.0, 1.0)
    beside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for (row, (steps, _)), end, place in zip(means.items(), ends, places, strict=True):
        axes.plot(
            [steps[-1] / last, 1.015, 1.065], [end, end, place], color=looks[row]["color"], linewidth=0.7, **beside
        )
        axes.plot(1.075, place, **looks[row], markersize=4, **beside)
        axes.text(1.09, place, row, va="center_baseline", **beside)


def _look(number: int) -> dict[str, Any]:
    """Colour, line style and marker of a table's row by its number: no two alike."""
    style = LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)]
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": style, "marker": MARKERS[number % len(MARKERS)]}
