"""Running rows: one function, behind which the ways to run them stand."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import OmegaConf
from tqdm import tqdm

from a2u.config import CONFIG_DIR
from a2u.engine.identity import finished
from a2u.engine.provenance import available_cores
from a2u.engine.run import run
from a2u.errors import A2UError, ConfigError
from a2u.reproduce.rows import RowRun

TRAIN_SCRIPT = CONFIG_DIR.parent / "scripts" / "train.py"
Failures = dict[str, str]  # title of a row -> why it failed


def launch(rows: Sequence[RowRun], jobs: int, launcher: str = "local") -> Failures:
    """Run `rows`, `jobs` at a time; a row that fails does not stop the others.

    Args:
        rows: what to run.
        jobs: how many at a time.
        launcher: "local": a process a row on this machine; "inline": one after the other in this process.

    Returns:
        Why each failed row failed.

    Raises:
        ConfigError: no such launcher.
    """
    if launcher not in LAUNCHERS:
        raise ConfigError(f"there is no launcher {launcher!r}; there are: {', '.join(LAUNCHERS)}.")
    return LAUNCHERS[launcher](rows, jobs)


def _inline(rows: Sequence[RowRun], jobs: int) -> Failures:
    failures = {}
    for row in rows:
        cfg = OmegaConf.merge(row.cfg, {"runtime": {"progress": False}})
        try:
            run(cfg)  # type: ignore[arg-type]
        except A2UError as error:
            failures[row.title] = str(error)
    return failures


def _local(rows: Sequence[RowRun], jobs: int) -> Failures:
    waiting = list(rows)
    running: dict[RowRun, subprocess.Popen[bytes]] = {}
    failures: Failures = {}
    threads = max(1, available_cores() // min(jobs, len(rows)))
    with _Report(len(rows)) as report:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    row = waiting.pop(0)
                    running[row] = _start(row, threads)
                    report.say(f"started   {row.title}")
                time.sleep(0.2)
                for row, process in list(running.items()):
                    status = process.poll()
                    if status is None:
                        continue
                    del running[row]
                    if status == 0:
                        report.finished(row)
                    else:
                        failures[row.title] = _reason(row, status)
                        report.say(f"FAILED    {row.title}: {failures[row.title]}")
                        report.bar.update(1)
                report.progress(list(running))
        finally:
            for process in running.values():  # we were interrupted: the rows go on from their checkpoints next time
                process.terminate()
    return failures


LAUNCHERS: dict[str, Callable[[Sequence[RowRun], int], Failures]] = {"local": _local, "inline": _inline}


def _start(row: RowRun, threads: int) -> subprocess.Popen[bytes]:
    log = _log_of(row)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(TRAIN_SCRIPT), *row.overrides, f"runtime.threads={threads}"]
    # In full, an unforeseen error's last line says what it was.
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HYDRA_FULL_ERROR": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, "runtime.progress=false"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def _log_of(row: RowRun) -> Path:
    return row.places.folder / "log.txt"


def _reason(row: RowRun, status: int) -> str:
    log = _log_of(row)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it said nothing"
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return f"{how}; {said} (whole log: {log})"


class _Report:
    """A bar over all rows with what the running ones do; lines where the output is not a terminal."""

    def __init__(self, rows: int) -> None:
        self.bar = tqdm(total=rows, unit="row", disable=not sys.stderr.isatty(), dynamic_ncols=True)
        self.spoke = time.monotonic()

    def __enter__(self) -> "_Report":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def say(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)
        self.spoke = time.monotonic()

    def finished(self, row: RowRun) -> None:
        self.bar.update(1)
        result = finished(Path(row.cfg.runtime.outputs))[row.hash]
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
        self.say(f"finished  {row.title}: {numbers}  ({result['provenance']['wall_seconds']:.0f} s)")

    def progress(self, running: Sequence[RowRun]) -> None:
        states = [f"{row.title} {_state(row.places.progress)}" for row in running]
        if not self.bar.disable:
            self.bar.set_postfix_str(" | ".join(states), refresh=True)
        elif states and time.monotonic() - self.spoke > 30:
            self.say(f"running   {' | '.join(states)}")


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
