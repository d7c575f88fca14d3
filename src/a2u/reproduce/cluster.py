"""Run each call on another machine: as a job of SLURM through submitit, or as a task of Ray."""

import os
import signal
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from omegaconf import DictConfig

from a2u.errors import ConfigError, how_to_install
from a2u.reproduce.executors import RowExecutor, Work, work_here
from a2u.reproduce.settings import RayConfig, SubmititConfig


@dataclass(frozen=True)
class _RemoteCall:
    """A call that runs elsewhere, with relative paths starting at `folder`."""

    work: Work
    folder: Path

    def __call__(self, cfg: DictConfig, log: Path) -> str | None:
        os.chdir(self.folder)
        return work_here(self.work, cfg, log)

    def checkpoint(self, cfg: DictConfig, log: Path) -> Any:
        """Requeue the same call when submitit's time is up; it resumes from its checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, cfg, log)


class SubmititExecutor(RowExecutor):
    """Run a SLURM job per call, which continues when this program ends.

    Args:
        settings: resources of a job.
        folder: for submitit's files, on a disk that all machines share.

    Raises:
        ConfigError: submitit is not installed, or finds no SLURM.
    """

    def __init__(self, settings: SubmititConfig, folder: Path) -> None:
        try:
            import submitit
        except ImportError as error:
            raise _not_installed(settings.name.name) from error
        cluster = settings.cluster.name
        # The name is a pattern: %j is the number of the job.
        place = Path(str(folder.absolute()).replace("%", "%%")) / "%j"
        try:
            self._executor = submitit.AutoExecutor(place, cluster, slurm_max_num_timeout=settings.max_num_timeout)
        except RuntimeError as error:
            raise ConfigError(f"launcher={settings.name.name}: {error}.") from error
        self._executor.update_parameters(
            name="a2u",
            timeout_min=settings.timeout_min,
            cpus_per_task=settings.cpus_per_task,
            gpus_per_node=settings.gpus_per_node,
            mem_gb=settings.mem_gb,
            slurm_partition=settings.partition,
            slurm_signal_delay_s=120,  # a row saves a checkpoint every minute
            slurm_additional_parameters=dict(settings.additional_parameters),
        )

    def submit(self, work: Work, cfg: DictConfig, log: Path) -> "Future[str | None]":  # type: ignore[override]
        there, ended = _RemoteCall(work, Path.cwd()), Future[str | None]()
        ended.set_running_or_notify_cancel()

        def wait() -> None:
            try:
                ended.set_result(self._executor.submit(there, cfg, log).result())
            except Exception as error:  # of the queue, the machine, the process there
                ended.set_exception(error)

        Thread(target=wait, daemon=True).start()  # a daemon does not hold up the end of an interrupted program
        return ended


class RayExecutor(RowExecutor):
    """Run a Ray task per call. Closed early, it ends them.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, settings: RayConfig) -> None:
        try:
            import ray
        except ImportError as error:
            raise _not_installed(settings.name.name) from error
        if not ray.is_initialized():
            handler = signal.getsignal(signal.SIGTERM)
            ray.init(address=settings.address, log_to_driver=False)
            signal.signal(signal.SIGTERM, handler)  # which Ray has taken
        self._cancel = ray.cancel
        of_row = {key: getattr(settings, key) for key in ("num_cpus", "num_gpus", "memory", "max_retries")}
        self._task: Any = ray.remote(max_calls=1, **of_row)(_RemoteCall.__call__)  # a process per row
        self._sent: list[tuple[Any, Future[str | None]]] = []

    def submit(self, work: Work, cfg: DictConfig, log: Path) -> "Future[str | None]":  # type: ignore[override]
        sent = self._task.remote(_RemoteCall(work, Path.cwd()), cfg, log)
        ended: Future[str | None] = sent.future()
        self._sent.append((sent, ended))
        return ended

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for sent, ended in self._sent:
            if not ended.done():
                self._cancel(sent, force=True)


def _not_installed(launcher: str) -> ConfigError:
    return ConfigError(
        f"launcher={launcher} needs a package that is not installed; install it with {how_to_install(launcher)}."
    )
