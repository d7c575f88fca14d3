"""Report the progress of rows while they run."""

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from a2u.reproduce.rows import RowRun

State = dict[str, Any]  # of a running row, from its progress file (a2u.engine.log)


class Progress:
    """A bar over all rows with the state of the running ones; lines where the output is not a terminal."""

    def __init__(self, rows: int) -> None:
        # tqdm's own time left jumps when rows end two at a time, and is missing until the first has ended
        form = "{l_bar}{bar}| {n_fmt}/{total_fmt} rows [{elapsed}{postfix}]"
        self._bar = tqdm(total=rows, disable=not sys.stderr.isatty(), dynamic_ncols=True, bar_format=form)
        self._waiting, self._seconds = rows, list[float]()
        self._spoke = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def started(self, row: RowRun) -> None:
        self._waiting -= 1
        self._say(f"started   {row.title}")

    def finished(self, row: RowRun, result: dict[str, Any]) -> None:
        self._bar.update(1)
        self._seconds.append(result["provenance"]["wall_seconds"])
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
        self._say(f"finished  {row.title}: {numbers}  ({result['provenance']['wall_seconds']:.0f} s)")

    def failed(self, row: RowRun, reason: str) -> None:
        self._bar.update(1)
        self._say(f"FAILED    {row.title}: {reason}")

    def show(self, running: Sequence[RowRun]) -> None:
        now = [_read(row.places.progress) for row in running]
        seconds = seconds_left(self._seconds, now, self._waiting)
        states = [] if seconds is None else [f"about {tqdm.format_interval(seconds)} left"]
        states += [f"{row.title} {_words(each)}" for row, each in zip(running, now, strict=True)]
        if not self._bar.disable:
            self._bar.set_postfix_str(" | ".join(states), refresh=True)
        elif running and time.monotonic() - self._spoke > 30:
            self._say(f"running   {' | '.join(states)}")

    def _say(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)
        self._spoke = time.monotonic()


def seconds_left(finished: Sequence[float], running: Sequence[State | None], waiting: int) -> float | None:
    """Estimate the seconds until every row is done, assuming equal durations; None while nothing is known.

    Args:
        finished: the seconds of each finished row.
        running: the state of each running row; None for one that is starting.
        waiting: rows not started.
    """
    undone = [1 - now["step"] / max(1, now["steps"]) if now else 1 for now in running]
    of_rows = list(finished) or [
        now["seconds_left"] / rest for now, rest in zip(running, undone, strict=True) if now and "loss" in now and rest
    ]
    if not of_rows or not running:
        return None
    return statistics.fmean(of_rows) * (waiting + sum(undone)) / len(running)


def _read(progress: Path) -> State | None:
    """Read a run's progress file; None if it does not exist yet, or is just being written."""
    try:
        return json.loads(progress.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _words(now: State | None) -> str:
    """Describe the state of a run in a few words."""
    if now is None:
        return "starting"
    if now["phase"] == "evaluating":
        return f"step {now['step']}/{now['steps']}, evaluating {now['images']}/{now['of']}"
    return (
        f"step {now['step']}/{now['steps']}, loss {now['loss']:.3f}, {now['samples_per_second']:.0f} samples/s, "
        f"{now['seconds_left']:.0f} s left"
    )
