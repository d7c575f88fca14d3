"""Rows through Hydra's launchers: on the machines of a SLURM cluster, or of a Ray cluster."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks  # Hydra hands it to its own sweepers and to nobody else
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from a2u.config import CONFIG_DIR, quoted
from a2u.errors import ConfigError
from a2u.reproduce.rows import RowRun

Work = Callable[[DictConfig], str | None]  # runs a configuration; says why it failed, None where it did not


class HydraLauncher:
    """Does with a launcher what a sweeper of Hydra's does; `work` is called on the machine that the launcher chooses.

    Every row is launched by itself: a launcher that has several waits for all of them, and one that is lost hides
    what became of the others.

    Raises:
        ConfigError: `outputs` has a name that cannot be handed to a job.
    """

    def __init__(self, plugin: Any, outputs: Path, work: Work) -> None:
        folder = str(outputs.absolute())  # a job may start in another
        if "${" in folder:
            raise ConfigError(
                f"runtime.outputs is {folder}, and launchers of Hydra take ${{ for a reference to another key: "
                "name a folder without it, or use launcher=local."
            )
        self._outputs = f"runtime.outputs={quoted(folder)}"
        if hasattr(plugin, "ray"):
            _join_ray(plugin.ray.init)
        with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            config = compose("train", [self._outputs], return_hydra_config=True)
            loader = GlobalHydra.instance().config_loader()
        with open_dict(config):
            config.hydra.launcher = plugin
        self._launcher = Plugins.instance().instantiate_launcher(
            HydraContext(loader, Callbacks()), partial(_work, work, Path.cwd()), config
        )

    def start(self, row: RowRun) -> "Future[str | None]":
        ended: Future[str | None] = Future()
        ended.set_running_or_notify_cancel()  # what was handed over is not ours to stop

        def launch() -> None:
            try:
                ended.set_result(self._launcher.launch([[*row.overrides, self._outputs]], 0)[0].return_value)
            except Exception as error:  # of the queue, the machine, the process there: many types, of two packages
                ended.set_exception(error)

        Thread(target=launch, daemon=True).start()  # a daemon does not hold up the end of an interrupted runner
        return ended


def _work(work: Work, folder: Path, cfg: DictConfig) -> str | None:
    os.chdir(folder)  # which relative paths start from
    return work(cfg)


def _join_ray(options: dict[str, Any]) -> None:
    """Connect to the cluster. Left to itself the plugin asks for a store of objects, which a cluster refuses."""
    import ray

    if not ray.is_initialized():
        handler = signal.getsignal(signal.SIGTERM)
        ray.init(**options)
        signal.signal(signal.SIGTERM, handler)  # which Ray has taken
