"""The list of what failed: nothing is taken off it, whatever a later call makes good."""

import datetime
import json
from pathlib import Path
from typing import Any

from a2u.engine.provenance import commit
from a2u.files import locked, write_json
from a2u.reproduce.rows import RowRun


def note(path: Path, run: RowRun, what: str, reason: str) -> None:
    """Add a failure to the list.

    what: "training", or the test set that an evaluation was on.
    """
    failure = {
        "row": run.row,
        "seed": run.seed,
        "what": what,
        "reason": reason,
        "commit": commit()[0],
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    with locked(path.parent / ".lock", "the study", wait=True):
        write_json(path, [*noted(path), failure])


def noted(path: Path) -> list[dict[str, Any]]:
    """Every failure so far, the first one first."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
