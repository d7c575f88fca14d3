"""What docs/study.md fixes, and what a command line may choose of it."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import MISSING, DictConfig, OmegaConf

from a2u.config import compose
from a2u.data import build_data
from a2u.data.sources.alphamatting import photographs_folder
from a2u.errors import ConfigError, did_you_mean
from a2u.reproduce.benchmark_sets import Done, weights_of
from a2u.reproduce.rows import RowRun, row_runs
from a2u.reproduce.settings import LauncherConfig, TableConfig
from a2u.settings import field, schema


@schema("study")
@dataclass
class StudyConfig:
    """configs/study.yaml: how the study of docs/study.md is carried out; what it is, its protocol fixes."""

    seeds: int = field(
        MISSING,
        "seeds 0 .. seeds-1; with another number than the protocol's nothing is measured on the test images",
    )
    jobs: int | None = field(None, "rows at a time, as for a table")
    photographs: str | None = field(
        None, "folder of the alphamatting.com photographs, measured as well where it is given"
    )
    pilots: bool = field(False, "the pilot runs, which say how many seeds are needed, instead of the study")
    publish: bool = field(False, "copy the finished study to results/ instead of running")
    report: bool = field(False, "write table, pictures and conclusion from results/ instead of running")
    launcher: LauncherConfig = dataclasses.field(default_factory=LauncherConfig)


TABLE, BASELINE, METRIC = "table2", "nearest", "sad"
MATTERS = 2.2  # percent of the baseline's mean: half of the paper's gain of a2u_dynamic_cs
SCALES = ("study", "study_large")
TEST, PHOTOGRAPHS = "study_test", "alphamatting"  # datasets


@dataclass(frozen=True)
class Evaluation:
    """One finished run on one test set."""

    run: RowRun
    dataset: str
    cfg: DictConfig  # configs/evaluate.yaml

    @property
    def title(self) -> str:
        return f"{self.run.title} on {self.dataset}"


@dataclass(frozen=True)
class Study:
    """Every row with every seed, and what they are measured on once all are trained.

    Attributes:
        runs: all of one scale.
        how: how many rows side by side, and by which launcher.
        photographs: of alphamatting.com; None: not measured.
        whole: whether there are as many seeds as the protocol asks for, no fewer and no more.
    """

    runs: list[RowRun]
    how: TableConfig
    photographs: Path | None = None
    whole: bool = True

    @property
    def scale(self) -> str:
        return self.runs[0].cfg.scale

    @property
    def outputs(self) -> Path:
        return Path(self.runs[0].cfg.runtime.outputs)

    @property
    def failures(self) -> Path:
        """The file that lists what failed."""
        return self.outputs / self.scale / "failures.json"

    @property
    def tests(self) -> list[str]:
        return [TEST] if self.photographs is None else [TEST, PHOTOGRAPHS]

    def evaluation(self, run: RowRun, dataset: str, done: Done) -> Evaluation:
        """A finished run's last checkpoint on a test set. Raises CheckpointError where the weights are gone."""
        system = "checkpoint" if run.learns else run.cfg.model.name.name
        cfg = _evaluate_config(system, dataset).copy()
        cfg.weights = str(weights_of(run, done)) if run.learns else None
        cfg.dataset.limit_test = run.cfg.dataset.limit_test
        if dataset == TEST:
            cfg.dataset.cache = run.cfg.dataset.cache
        else:
            cfg.dataset.root = str(self.photographs)
        cfg.runtime = OmegaConf.merge(cfg.runtime, run.cfg.runtime)
        return Evaluation(run, dataset, cfg)


@cache
def _evaluate_config(system: str, dataset: str) -> DictConfig:
    return compose([f"system={system}", f"dataset={dataset}"], "evaluate")


def seeds_of_the_protocol() -> int:
    return compose((), "study").seeds


def parse_request(settings: StudyConfig, overrides: Sequence[str]) -> Study:
    """The study that a command line asks for, checked; nothing is run or written.

    Raises:
        ConfigError: it would change what the protocol fixes, or an impossible number.
        DataError: the photographs are not what they have to be.
    """
    how = TableConfig(table=TABLE, seeds=settings.seeds, jobs=settings.jobs, launcher=settings.launcher)
    runs = runs_of_the_protocol(how, overrides)
    photographs = None
    if settings.photographs is not None:
        photographs = photographs_folder(settings.photographs)
        build_data(compose(["dataset=alphamatting", f"dataset.root='{photographs}'"], "evaluate").dataset)
    return Study(runs, how, photographs, settings.seeds == seeds_of_the_protocol())


def runs_of_the_protocol(
    how: TableConfig, overrides: Sequence[str], seeds: Sequence[int] | None = None
) -> list[RowRun]:
    """Rows and seeds as `row_runs` has them, as the protocol has them run. Raises ConfigError for what it fixes."""
    # A thread a row, whatever runs beside it: the same numbers whenever a row is run.
    runs = row_runs(how, ["runtime.threads=1", *overrides, f"scale={scale_of(overrides)}"], seeds)
    if runs[0].cfg.runtime.force:
        raise ConfigError(
            "runtime.force=true would run finished rows again, which the protocol does not allow (docs/study.md); "
            "leave it out, or name another folder with runtime.outputs=DIR."
        )
    return runs


def scale_of(overrides: Sequence[str]) -> str:
    """The scale among what is given besides a study's own keys. Raises ConfigError for all but scale and runtime."""
    scale = SCALES[0]
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "scale" and value in SCALES:
            scale = value
        elif key == "scale":
            raise ConfigError(f"the study has no {override}; it has: {', '.join(SCALES)}.{did_you_mean(value, SCALES)}")
        elif not re.fullmatch(r"runtime\.\w+", key):
            raise ConfigError(
                f"{override} cannot be given to the study, whose protocol fixes it (docs/study.md): leave it out. "
                "scripts/table.py takes it."
            )
    return scale
