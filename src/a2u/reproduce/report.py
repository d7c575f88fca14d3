"""What a runner of rows says while they run."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from a2u.reproduce.rows import RowRun


class Report:
    """A bar over all rows with what the running ones do; lines where the output is not a terminal."""

    def __init__(self, rows: int) -> None:
        self._bar = tqdm(total=rows, unit="row", disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self._spoke = time.monotonic()

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def started(self, row: RowRun) -> None:
        self._say(f"started   {row.title}")

    def finished(self, row: RowRun, result: dict[str, Any]) -> None:
        self._bar.update(1)
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
        self._say(f"finished  {row.title}: {numbers}  ({result['provenance']['wall_seconds']:.0f} s)")

    def failed(self, row: RowRun, reason: str) -> None:
        self._bar.update(1)
        self._say(f"FAILED    {row.title}: {reason}")

    def progress(self, running: Sequence[RowRun]) -> None:
        states = [f"{row.title} {_state(row.places.progress)}" for row in running]
        if not self._bar.disable:
            self._bar.set_postfix_str(" | ".join(states), refresh=True)
        elif states and time.monotonic() - self._spoke > 30:
            self._say(f"running   {' | '.join(states)}")

    def _say(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)
        self._spoke = time.monotonic()


def _state(progress: Path) -> str:
    """What a run's progress file says, in a few words."""
    try:
        now = json.loads(progress.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or just being written
        return "starting"
    if now["phase"] == "evaluating":
        return f"step {now['step']}/{now['steps']}, evaluating {now['images']}/{now['of']}"
    return (
        f"step {now['step']}/{now['steps']}, loss {now['loss']:.3f}, {now['samples_per_second']:.0f} samples/s, "
        f"{now['seconds_left']:.0f} s left"
    )
