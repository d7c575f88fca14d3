"""Run rows locally, inline or on a cluster, slowest rows first."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, TypeVar

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from a2u.data import prepare_data
from a2u.engine import distributed
from a2u.engine.identity import finished
from a2u.engine.prepare import check_surroundings
from a2u.engine.provenance import available_cores
from a2u.engine.run import run
from a2u.errors import ConfigError
from a2u.reproduce.cluster import RayExecutor, SubmititExecutor
from a2u.reproduce.executors import InlineExecutor, ProcessExecutor, RowExecutor, log_bug
from a2u.reproduce.progress import Progress
from a2u.reproduce.rows import RowRun
from a2u.reproduce.settings import Launcher, LauncherConfig, RayConfig, RowsConfig, SubmititConfig

Failures = dict[str, str]  # title of a row -> why it failed
Finished = dict[str, dict[str, Any]]  # hash -> finished result
Item = TypeVar("Item")


def run_missing(runs: Sequence[RowRun], settings: RowsConfig) -> tuple[Finished, Failures]:
    """Run the rows that are not done; return every finished result by hash, and why rows failed, by title.

    Args:
        runs: of one table.
        settings: number of rows at a time, and launcher.

    Raises:
        ConfigError, DataError: before anything is run or written.
    """
    if distributed.started_by_torchrun():
        raise ConfigError(
            f"torchrun has started this {os.environ['WORLD_SIZE']} times, but every row starts its own process: run it "
            "without torchrun. torchrun scripts/train.py runs one row in several processes."
        )
    asked = {run.hash: run for run in runs}
    runtime = runs[0].cfg.runtime
    done = finished(Path(runtime.outputs), asked)
    missing = [run for run in asked.values() if runtime.force or run.hash not in done]
    if not missing:
        return done, {}
    # Rows share the machine's cores, finished rows counted: sums are rounded by how many threads a row has.
    here = at_once_here(settings.jobs)
    threads = runtime.threads or max(1, available_cores() // min(here, len(asked)))
    with _executor(settings.launcher, here, threads, Path(runtime.outputs)) as executor:
        first = next((run for run in missing if run.learns), missing[0])
        fill_caches(first.cfg.dataset)
        check_surroundings(first.cfg)
        if isinstance(executor, InlineExecutor):
            at_once = 1
        else:  # a cluster has its own queue
            at_once = here if isinstance(executor, ProcessExecutor) else settings.jobs or len(missing)
        return done, _launch(missing, executor, at_once, done)


def _launch(
    rows: Sequence[RowRun],
    executor: RowExecutor,
    at_once: int,
    done: Finished,
) -> Failures:
    """Run `rows`, slowest first, and put their results into `done`; one that fails does not stop the others."""
    outputs = Path(rows[0].cfg.runtime.outputs).absolute()
    failures: dict[RowRun, str] = {}
    with Progress(len(rows)) as progress:

        def submit(row: RowRun) -> "Future[str | None]":
            progress.started(row)
            return executor.submit(run, row.cfg, row.places.log)

        # Later rows of a table are slower.
        for row, future in as_completed(rows[::-1], at_once, submit, progress.show):
            reason = _why_failed(row, future)
            result = finished(outputs, [row.hash]).get(row.hash) if reason is None else None
            if result is not None:
                done[row.hash] = result
                progress.finished(row, result)
                continue
            failures[row] = reason or (
                f"it ended, but its result is not under {outputs}: is that a folder all machines share?"
            )
            progress.failed(row, failures[row])
    for row in list(failures):
        earlier = done.pop(row.hash, None)  # of a forced row, which may have been moved since
        now = finished(outputs, [row.hash]).get(row.hash)
        if now is not None:
            done[row.hash] = now
            if now != earlier:  # another command has finished it meanwhile
                del failures[row]
    return {row.title: reason for row, reason in failures.items()}


def as_completed(
    tasks: Sequence[Item],
    at_once: int,
    submit: Callable[[Item], "Future[str | None]"],
    show: Callable[[Sequence[Item]], None],
) -> Generator[tuple[Item, "Future[str | None]"], None, None]:
    """Submit `tasks` in order, `at_once` at a time; yield each with its future as it ends.

    show: called with the running ones several times per second.
    """
    waiting, running = list(tasks)[::-1], dict[Future[str | None], Item]()
    while waiting or running:
        while waiting and len(running) < at_once:
            task = waiting.pop()
            running[submit(task)] = task
        ended, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in [future for future in running if future in ended]:
            yield running.pop(future), future
        show(list(running.values()))


def at_once_here(jobs: int | None) -> int:
    """Return the number of rows at a time on this machine: `jobs`, or one per CPU core, or one on a GPU."""
    return jobs or (1 if torch.cuda.is_available() else available_cores())


def _executor(launcher: LauncherConfig, here: int, threads: int, outputs: Path) -> RowExecutor:
    """Return the executor of rows. Raises ConfigError if a package is missing.

    here: rows at a time on this machine, of `threads` each.
    """
    match launcher:
        case SubmititConfig():
            return SubmititExecutor(launcher, outputs / "submitit")
        case RayConfig():
            return RayExecutor(launcher)
        case LauncherConfig(name=Launcher.inline):
            return InlineExecutor()
        case _:
            return ProcessExecutor(here, threads)


def _why_failed(row: RowRun, future: "Future[str | None]") -> str | None:
    """Return why a row that has ended failed; None if it did not."""
    try:
        return future.result()
    except Exception as error:  # of a launcher: many types from two packages
        return log_bug(error, row.places.log)


def fill_caches(dataset: DictConfig) -> None:
    """Fill a dataset's caches once, before several processes start."""
    with tqdm(desc="preparing data", disable=not sys.stderr.isatty(), unit="item", leave=False) as bar:

        def progress(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        prepare_data(dataset, progress, available_cores())


def report_failures(failures: Failures, absent: int, total: int) -> int:
    """Report on stderr which runs failed, and how many are not done; return the exit status."""
    for title, reason in failures.items():
        print(f"FAILED {title}: {reason}", file=sys.stderr)
    if absent:
        print(f"{absent} of {total} runs are not done; the same command runs them.", file=sys.stderr)
    return 1 if failures or absent else 0
