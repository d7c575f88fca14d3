"""What Table 6 is asked for: rows, and the test sets that they are measured on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a2u.config import compose
from a2u.data import build_data
from a2u.data.sources.alphamatting import BENCHMARK, IMAGES, photographs_folder
from a2u.engine.checkpoint import CheckpointError
from a2u.errors import ConfigError
from a2u.reproduce.rows import RowRun, row_runs
from a2u.reproduce.settings import TableConfig
from a2u.reproduce.submission import check_photographs
from a2u.settings import plain

Done = dict[str, dict[str, Any]]  # hash -> finished result

# Test sets by the dataset they are of: what its option `trimap` is set to.
TRIMAPS: dict[str, dict[str, str | int]] = {
    "alphamatting": {"trimap1": "Trimap1", "trimap2": "Trimap2"},
    "synthetic": {"small": 5, "middle": 15, "large": 29},  # pixels; training at paper scale draws 1..29
}


@dataclass(frozen=True)
class Asked:
    """Rows and test sets of one call, as `what_is_asked` finds them."""

    runs: list[RowRun]
    group: str  # a key of TRIMAPS
    photographs: Path | None

    @property
    def learners(self) -> list[RowRun]:
        return [run for run in self.runs if run.learns]

    @property
    def tests(self) -> list[str]:
        return tests_of(self.group)

    @property
    def to_submit(self) -> Path | None:
        """The folder of the benchmark's own photographs, where they are there."""
        return self.photographs if self.photographs is not None and (self.photographs / BENCHMARK).is_dir() else None

    def evaluation(self, run: RowRun, test: str) -> DictConfig:
        """configs/evaluate.yaml for a row on a test set, without weights.

        Generated images are those of the row's own dataset, where it is trained on such.
        """
        system = "checkpoint" if run.learns else run.cfg.model.name.name
        cfg, given = _evaluate_config(system, self.group).copy(), plain(run.cfg)
        if given["dataset"]["name"] == self.group:
            cfg.dataset = OmegaConf.merge(cfg.dataset, given["dataset"])
        if self.group == "alphamatting":
            cfg.dataset.root = str(self.photographs)
        cfg.dataset.limit_test = given["dataset"]["limit_test"]
        cfg.dataset.trimap = TRIMAPS[self.group][test.removeprefix(f"{self.group}_")]
        cfg.metrics = OmegaConf.merge(cfg.metrics, given["metrics"])
        cfg.runtime = OmegaConf.merge(cfg.runtime, given["runtime"])
        return cfg

    def evaluation_of(self, run: RowRun, test: str, done: Done) -> DictConfig:
        """The same, with the weights of a finished run in `done`. Raises CheckpointError where they are gone."""
        cfg = self.evaluation(run, test)
        cfg.weights = str(weights_of(run, done)) if run.learns else None
        return cfg


def parse_request(settings: TableConfig, overrides: Sequence[str]) -> Asked:
    """What a command line asks for, all checked; nothing is run or written.

    Raises:
        ConfigError: an unknown row or key, or an impossible combination.
        DataError: the photographs are not what they have to be.
    """
    if settings.baseline is not None:
        raise ConfigError(f"baseline={settings.baseline} has no meaning for table6, of one trained row: leave it out.")
    runs = row_runs(settings, overrides)
    if "split" in runs[0].cfg.dataset:  # Sec. 6.5: "all the data in the Adobe matting dataset"
        runs = row_runs(settings, ["dataset.split=all", *overrides])
    runs = [run for run in runs if run.learns or run.seed == 0]  # without training, all seeds are alike
    photographs = None if settings.photographs is None else photographs_folder(settings.photographs)
    with_alpha = photographs is not None and (photographs / IMAGES).is_dir()
    found = Asked(runs, "alphamatting" if with_alpha else "synthetic", photographs)
    if found.to_submit is not None:
        check_photographs(found.to_submit)
    for test in found.tests:
        build_data(found.evaluation(runs[0], test).dataset)
    return found


@cache
def _evaluate_config(system: str, dataset: str) -> DictConfig:
    return compose([f"system={system}", f"dataset={dataset}"], "evaluate")


def tests_of(group: str) -> list[str]:
    """Names of the test sets of a group, such as "alphamatting_trimap1"."""
    return [f"{group}_{trimap}" for trimap in TRIMAPS[group]]


def weights_of(run: RowRun, done: Done) -> Path:
    """The last checkpoint of a finished run. Raises CheckpointError where it is gone."""
    result = done[run.hash]
    path = run.weights(result)
    assert path is not None
    if not path.is_file():
        raise CheckpointError(
            f"{run.title} is finished, but its weights {path} are gone: remove {result['path']}, and the row is "
            "trained again."
        )
    return path
