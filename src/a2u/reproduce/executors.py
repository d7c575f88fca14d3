"""Run each call on this machine: in this process, or in a new one."""

import os
import signal
import sys
import traceback
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing import forkserver, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a2u.cli.main import RESUMES, user_errors
from a2u.errors import A2UError

FORKS = get_context("forkserver")
# Importing takes as long as a hundred steps of a small network; PyTorch's optimizers import the last.
FORKS.set_forkserver_preload(["a2u.reproduce.launch", "torch._dynamo"])
THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")  # read by BLAS and Numba as they are loaded


Work = Callable[[DictConfig], Any]


def work_here(work: Work, cfg: DictConfig, log: Path) -> str | None:
    """Call `work(cfg)` in this process, without a progress bar; return why it failed, None if it did not."""
    try:
        work(OmegaConf.merge(cfg, {"runtime": {"progress": False}}))  # type: ignore[arg-type]
    except A2UError as error:
        return str(error)
    except Exception as error:  # a bug, which may not affect other rows
        return log_bug(error, log)
    return None


def log_bug(error: Exception, log: Path) -> str:
    """Add an error and its traceback to a row's log; return it in one line, with the path of the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    said, *_ = str(error).split("\n---")  # in submitit's messages what follows is another log
    return f"{type(error).__name__}: {' '.join(said.split())} (whole log: {log})"


class RowExecutor(Executor):
    """An executor of functions of a configuration, such as a run."""

    @abstractmethod
    def submit(self, work: Work, cfg: DictConfig, log: Path) -> "Future[str | None]":  # type: ignore[override]
        """Call `work(cfg)`; the future's result is why it failed, None if it did not.

        Args:
            work: a module-level function.
            cfg: has a node `runtime`.
            log: file to which the output of a process on this machine, and the traceback of a bug, is appended.
        """


class InlineExecutor(RowExecutor):
    """Run each call immediately, in this process."""

    def submit(self, work: Work, cfg: DictConfig, log: Path) -> "Future[str | None]":  # type: ignore[override]
        ended = Future[str | None]()
        ended.set_result(work_here(work, cfg, log))
        return ended


class ProcessExecutor(RowExecutor):
    """Run each call in a new process, forked from one that has imported everything. Closed early, it ends them.

    Args:
        at_once: largest number of processes at a time.
        threads: of PyTorch in each; of BLAS and Numba too, as in the first ProcessExecutor of a program.
    """

    def __init__(self, at_once: int, threads: int) -> None:
        self._pool = ThreadPoolExecutor(at_once)  # a thread per process waits for its end
        self._threads = threads
        self._processes: list[BaseProcess] = []

    def submit(self, work: Work, cfg: DictConfig, log: Path) -> "Future[str | None]":  # type: ignore[override]
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        start = log.stat().st_size
        cfg = cfg.copy()
        cfg.runtime.progress = False
        cfg.runtime.threads = self._threads
        _start_fork_server(self._threads)
        process = FORKS.Process(target=_work_to_log, args=(work, cfg, log))
        process.start()
        self._processes.append(process)
        return self._pool.submit(_outcome, process, log, start)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for process in self._processes:
            process.terminate()
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def _start_fork_server(threads: int) -> None:
    """Start the process that others are forked from, unless it runs; its libraries use this many threads."""
    mine = {name: os.environ[name] for name in THREADS if name in os.environ}
    os.environ |= dict.fromkeys(THREADS, str(threads))
    forkserver.ensure_running()
    for name in THREADS:
        del os.environ[name]
    os.environ |= mine


def _work_to_log(work: Work, cfg: DictConfig, log: Path) -> None:
    with log.open("ab") as file:  # another process of the same row may be writing, too
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    with user_errors(RESUMES):
        work(cfg)


def _outcome(process: BaseProcess, log: Path, start: int) -> str | None:
    """Wait for the end of a process; return why it failed, None if it did not. Its output begins at `start`."""
    process.join()
    status = process.exitcode
    assert status is not None
    if status == 0:
        return None
    if not log.is_file():
        return f"something removed {log.parent} while it ran"
    lines = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it said nothing"
    if said.startswith("error: "):
        return said.removeprefix("error: ")
    how = f"exit status {status}"
    if status < 0:
        how = f"killed by signal {-status} ({signal.Signals(-status).name})"
    if status == -signal.SIGKILL:
        how += ", often because the machine is out of memory"
    return f"{how}; {said} (whole log: {log})"
