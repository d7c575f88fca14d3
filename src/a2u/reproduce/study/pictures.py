"""How far every row is from the baseline, as one picture; its bytes depend on the findings and on Matplotlib alone."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from a2u.files import replacing
from a2u.reproduce.curves import COLOURS, STYLE
from a2u.reproduce.study.findings import Findings, verdict_of
from a2u.reproduce.study.protocol import BASELINE, MATTERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

WIDTH, LINE = 5.4, 0.36  # inches: the axes' width, their height for a row
PAPER, SEED, MEAN = COLOURS[1], COLOURS[2], COLOURS[4]


def intervals(found: Findings, title: str, path: Path) -> bool:
    """Draw a line a row: the seeds' differences from the baseline, their mean with its interval, the paper's.

    The SVG takes `path`'s place. Returns whether there is a picture: False, with a warning in the log, where Matplotlib
    is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        log.warning('%s was not drawn: it needs Matplotlib; install it with `pip install -e ".[figures]"`.', path)
        return False
    with style.context(["default", STYLE]), replacing(path) as temporary:  # whatever this machine's matplotlibrc says
        figure = Figure(figsize=(WIDTH, LINE * len(found.rows) + 0.3))
        axes = figure.add_axes((0, 0, 1, 1))  # "tight" below makes room for the words
        axes.set_title(title, loc="left", pad=34)
        _draw(axes, found)
        figure.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None, "Title": title})
    return True


def _draw(axes: "Axes", found: Findings) -> None:
    axes.axvspan(-MATTERS, MATTERS, color="#eeeeee", linewidth=0, label=f"±{MATTERS:g}%: would not matter")
    axes.axvline(0, color="#666666", linewidth=0.8)
    for place, (row, each) in enumerate(found.rows.items()):
        seeds, first = list(found.by_seed[row].values()), place == 0
        axes.plot(
            seeds,
            [place + 0.22] * len(seeds),
            "o",
            color=SEED,
            markersize=3.5,
            alpha=0.8,
            label="a seed" if first else None,
        )
        axes.errorbar(
            each.mean,
            place,
            xerr=[[each.mean - each.low], [each.high - each.mean]],
            fmt="s",
            color=MEAN,
            markersize=5,
            linewidth=1.6,
            capsize=3,
            label="mean, 95% interval" if first else None,
            gid=row,
        )
        axes.plot(
            found.paper[row],
            place - 0.22,
            "D",
            markerfacecolor="white",
            markeredgecolor=PAPER,
            markersize=5,
            label="the paper" if first else None,
        )
        axes.text(1.02, place, verdict_of(each).value, transform=axes.get_yaxis_transform(), va="center_baseline")
    axes.set_yticks(range(len(found.rows)), list(found.rows))
    axes.set_ylim(len(found.rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter("{x:+g}%")
    axes.set_xlabel(f"difference from {BASELINE}'s mean SAD (left is better)")
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, frameon=False, columnspacing=1)
