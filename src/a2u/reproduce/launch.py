"""Running rows: one function, behind which the ways to run them stand."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from omegaconf import DictConfig, OmegaConf

from a2u.cli.main import GOES_ON, user_errors
from a2u.engine.identity import Places, finished
from a2u.engine.provenance import available_cores
from a2u.engine.run import run
from a2u.errors import A2UError
from a2u.reproduce.hydra_launch import HydraLauncher
from a2u.reproduce.progress import Report
from a2u.reproduce.render import one_result
from a2u.reproduce.rows import RowRun
from a2u.settings import schema


class Launcher(Enum):
    """A process per row on this machine, or one row after the other in this process."""

    local = 1
    inline = 2


@schema("launcher/launcher")
@dataclass
class LauncherConfig:
    """How the rows of a table are run on this machine; Hydra's launchers have types of their own."""

    name: Launcher = Launcher.local


FORKS = get_context("forkserver")
# Importing takes as long as a hundred steps of a small network; PyTorch's optimizers import the last.
FORKS.set_forkserver_preload([__name__, "torch._dynamo"])
THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")  # read by BLAS and Numba as they are loaded
Failures = dict[str, str]  # title of a row -> why it failed
Task = TypeVar("Task")


class Job(Protocol):
    """A row that was started."""

    def done(self) -> bool: ...

    def result(self) -> str | None:
        """Why it failed; None where it did not. Raises what the launcher itself failed with."""

    def cancel(self) -> bool:
        """Ask it to stop; False where that is not in our hands."""


def launch(
    rows: Sequence[RowRun],
    asked: int,
    jobs: int | None,
    launcher: Any,
    failed: Callable[[RowRun, str], None] | None = None,
) -> Failures:
    """Run `rows`; one that fails does not stop the others.

    Args:
        rows: what to run.
        asked: how many rows the command is for, finished ones too. On this machine the cores are shared out among
            these, so that a row has as many threads whichever are missing; sums are rounded by them.
        jobs: how many at a time; None: as many as the launcher thinks fit.
        launcher: a LauncherConfig, or what a launcher of Hydra's is configured by.
        failed: called with a row and why it failed, as soon as it has.

    Returns:
        Why each failed row failed.
    """
    failures: Failures = {}
    at_once, start = _starter(launcher, jobs, rows, asked)
    with Report(len(rows)) as report:

        def started(row: RowRun) -> Job:
            report.started(row)
            return start(row)

        # tables lead from the plain to the elaborate: begun at the end, no long row is left to it
        with closing(side_by_side(rows[::-1], at_once, started, report.progress)) as ended:
            for row, job in ended:
                result, reason = _ended(row, job)
                if reason is None:
                    report.finished(row, result)
                else:
                    failures[row.title] = reason
                    report.failed(row, reason)
                    if failed is not None:
                        failed(row, reason)
    return failures


def side_by_side(
    tasks: Sequence[Task], at_once: int, start: Callable[[Task], Job], told: Callable[[Sequence[Task]], None]
) -> Generator[tuple[Task, Job], None, None]:
    """Start `tasks`, so many at once; give each, with its job, as it ends. Closed early, it cancels those that run.

    told: what is called with the running ones, several times a second.
    """
    waiting, running = list(tasks)[::-1], dict[Task, Job]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                task = waiting.pop()
                running[task] = start(task)
            if not any(job.done() for job in running.values()):
                time.sleep(0.2)
            for task in [task for task, job in running.items() if job.done()]:
                yield task, running.pop(task)
            told(list(running))
    finally:  # were we interrupted, they go on from their checkpoints next time
        for job in [job for job in running.values() if job.cancel()]:
            job.result()


def at_once_here(jobs: int | None) -> int:
    """How many at a time on this machine: as asked, else one a CPU core, one beside a GPU."""
    return jobs or (1 if torch.cuda.is_available() else available_cores())


def _starter(
    launcher: Any, jobs: int | None, rows: Sequence[RowRun], asked: int
) -> tuple[int, Callable[[RowRun], Job]]:
    """How many rows at a time, and what starts one."""
    if not isinstance(launcher, LauncherConfig):
        return jobs or len(rows), HydraLauncher(launcher, Path(rows[0].cfg.runtime.outputs), run_here).start
    if launcher.name is Launcher.inline:
        return 1, _inline
    at_once = at_once_here(jobs)
    threads = rows[0].cfg.runtime.threads or max(1, available_cores() // min(at_once, asked))
    return at_once, lambda row: OwnProcess(_run_and_print, row.cfg, log_of(row.cfg), threads)


def _ended(row: RowRun, job: Job) -> tuple[dict[str, Any], str | None]:
    """The result of a row that has ended, and why it failed; None where it did not."""
    try:
        reason = job.result()
    except Exception as error:
        reason = _unforeseen(log_of(row.cfg), error)
    outputs = Path(row.cfg.runtime.outputs).absolute()
    result = finished(outputs).get(row.hash, {})
    if reason is None and not result:
        reason = f"it ended well, and its result is not under {outputs}: is that a folder all machines share?"
    return result, reason


def _inline(row: RowRun) -> Job:
    return ended_with(run_here(row.cfg))


def run_here(cfg: DictConfig) -> str | None:
    """Run a row in this process; return why it failed, None where it did not."""
    return work_here(run, cfg, log_of(cfg))


def ended_with(reason: str | None) -> Job:
    """A job that was done at once: why it failed, None where it did not."""
    ended: Future[str | None] = Future()
    ended.set_result(reason)
    return ended


def work_here(work: Callable[[DictConfig], Any], cfg: DictConfig, log: Path) -> str | None:
    """Do what OwnProcess does in this process, without a progress line; return why it failed, None where it did not."""
    try:
        work(OmegaConf.merge(cfg, {"runtime": {"progress": False}}))  # type: ignore[arg-type]
    except A2UError as error:
        return str(error)
    except Exception as error:  # an error of the program's; the other rows may be free of it
        return _unforeseen(log, error)
    return None


def _unforeseen(log: Path, error: Exception) -> str:
    """Write an error and its traceback to a row's log; return what it is in one line, and where to read more."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    said, *_ = str(error).split("\n---")  # in submitit's messages what follows is another log
    return f"{type(error).__name__}: {' '.join(said.split())} (whole log: {log})"


def _start_forks(threads: int) -> None:
    """Start the process that others are forked from, in an environment that says how many threads libraries may use.

    It stays as it is where it runs already.
    """
    mine = {name: os.environ[name] for name in THREADS if name in os.environ}
    os.environ |= dict.fromkeys(THREADS, str(threads))
    forkserver.ensure_running()
    for name in THREADS:
        del os.environ[name]
    os.environ |= mine


class OwnProcess:
    """Work in a process of its own on this machine, forked from one that has imported everything already.

    Args:
        work: a function of a module, called with the configuration.
        cfg: has a node `runtime`.
        log: what the work says on stdout and stderr is added to it.
        threads: of PyTorch; of BLAS and Numba too in the first process of all.
    """

    def __init__(self, work: Callable[[DictConfig], Any], cfg: DictConfig, log: Path, threads: int) -> None:
        self._log = log
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.touch()
        self._start = self._log.stat().st_size
        cfg = cfg.copy()
        cfg.runtime.progress = False
        cfg.runtime.threads = threads
        _start_forks(threads)
        self._process = FORKS.Process(target=_to_log, args=(work, cfg, log))
        self._process.start()

    def done(self) -> bool:
        return not self._process.is_alive()

    def result(self) -> str | None:
        self._process.join()
        status = self._process.exitcode
        assert status is not None
        if status == 0:
            return None
        lines = self._log.read_bytes()[self._start :].decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "it said nothing"
        if said.startswith("error: "):
            return said.removeprefix("error: ")
        how = f"exit status {status}"
        if status < 0:
            how = f"killed by signal {-status} ({signal.Signals(-status).name})"
        if status == -signal.SIGKILL:
            how += ", often because the machine is out of memory"
        return f"{how}; {said} (whole log: {self._log})"

    def cancel(self) -> bool:
        self._process.terminate()
        return True


def _to_log(work: Callable[[DictConfig], Any], cfg: DictConfig, log: Path) -> None:
    """Do the work; what it says is added to `log`, where a process at the same row may write too."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    with user_errors(GOES_ON):
        work(cfg)


def _run_and_print(cfg: DictConfig) -> None:
    print(one_result(run(cfg)))


def log_of(cfg: DictConfig) -> Path:
    """The log of a row."""
    return Places.of(cfg).folder / "log.txt"
