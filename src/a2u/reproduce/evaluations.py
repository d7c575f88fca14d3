"""Measure the last checkpoints of finished rows on another test set, in parallel, none twice."""

import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from a2u.apply.evaluate_weights import evaluate_weights, evaluated, evaluations
from a2u.config import compose, quoted
from a2u.data import build_data
from a2u.data.sources.alphamatting import IMAGES, photographs_folder
from a2u.engine.checkpoint import CheckpointError
from a2u.engine.provenance import available_cores
from a2u.errors import A2UError, ConfigError
from a2u.reproduce.executors import InlineExecutor, ProcessExecutor
from a2u.reproduce.launch import as_completed, fill_caches
from a2u.reproduce.rows import RowRun
from a2u.reproduce.settings import TableConfig

PHOTOGRAPHS = "alphamatting"  # the dataset that `photographs=DIR` stands for
PLACES = ("root", "cache", "download")  # the folder of a test set, not its identity
KEPT = ("params", "metrics", "images", "undefined", "warnings", "hash", "config", "provenance")  # of an evaluation
Result = dict[str, Any]


@dataclass(frozen=True)
class TestSet:
    """A dataset that finished rows are measured on."""

    name: str  # of folders and titles, such as "alphamatting_trimap2"
    dataset: DictConfig


def test_set(settings: TableConfig) -> TestSet | None:
    """Return the test set given by `test=NAME`, `test.KEY=VALUE` and `photographs=DIR`; None if there is none.

    photographs=DIR is short for test=alphamatting test.root=DIR where DIR has photographs with true alpha.

    Raises:
        ConfigError: there is no such dataset, or an option of it without its name.
        DataError: the dataset cannot be used.
    """
    given = list(settings.test)
    names = [word.removeprefix("test=") for word in given if word.startswith("test=")]
    if settings.photographs is not None:
        if set(names) - {PHOTOGRAPHS}:
            raise ConfigError(
                f"photographs={settings.photographs} are those of test={PHOTOGRAPHS}, not of test={names[0]}: leave "
                "one of the two out."
            )
        folder = photographs_folder(settings.photographs)
        if not names and not (folder / IMAGES).is_dir():
            return None  # the benchmark's own, without true alpha
        given += [f"test.root={quoted(str(folder))}", *([] if names else [f"test={PHOTOGRAPHS}"])]
        names = names or [PHOTOGRAPHS]
    if not given:
        return None
    if not names:
        raise ConfigError(f"{given[0]} sets an option, but no test set is given: add test=NAME, a dataset.")
    dataset = compose([f"dataset{word.removeprefix('test')}" for word in given], "evaluate").dataset
    options = dict(word.removeprefix("test.").split("=", 1) for word in given if word.startswith("test."))
    kind = "_".join([dataset.name, *(value for key, value in options.items() if key not in PLACES)])
    OmegaConf.resolve(dataset)  # its references lead elsewhere in other processes
    build_data(dataset)
    return TestSet(re.sub(r"[^\w.-]+", "-", kind.lower()), dataset)


def weights_of(run: RowRun, result: Result) -> Path:
    """Return the last checkpoint of a finished run. Raises CheckpointError if it is gone."""
    path = run.weights(result)
    assert path is not None
    if not path.is_file():
        raise CheckpointError(
            f"{run.title} is finished, but its weights {path} are gone: remove {result['path']}, and the row is "
            "trained again."
        )
    return path


def evaluation_config(run: RowRun, test: TestSet, done: Mapping[str, Result]) -> DictConfig:
    """Return configs/evaluate.yaml for a finished run on a test set. Raises CheckpointError without its weights."""
    cfg = _evaluate("checkpoint" if run.learns else run.cfg.model.name).copy()
    cfg.weights = str(weights_of(run, done[run.hash])) if run.learns else None
    cfg.dataset, cfg.metrics, cfg.runtime = (node.copy() for node in (test.dataset, run.cfg.metrics, run.cfg.runtime))
    if cfg.dataset.limit_test is None:
        cfg.dataset.limit_test = run.cfg.dataset.limit_test
    if "cache" in cfg.dataset and "cache" in run.cfg.dataset:
        cfg.dataset.cache = run.cfg.dataset.cache
    return cfg


@cache
def _evaluate(system: str) -> DictConfig:
    return compose([f"system={system}"], "evaluate")


def evaluate_missing(asked: Mapping[str, DictConfig], at_once: int = 1) -> tuple[dict[str, Result], dict[str, str]]:
    """Run the evaluations that have no result yet.

    Args:
        asked: evaluations by title, of one test set.
        at_once: number of processes; 1: one after the other in this process.

    Returns:
        Results by title, and why others failed, by title.
    """
    found, failures = measured_already(asked), dict[str, str]()
    missing = {title: cfg for title, cfg in asked.items() if cfg.runtime.force or title not in found}
    if not missing:
        return found, failures
    fill_caches(next(iter(missing.values())).dataset)
    at_once = min(at_once, len(missing))
    threads = next(iter(missing.values())).runtime.threads or max(1, available_cores() // at_once)
    executor = ProcessExecutor(at_once, threads) if at_once > 1 else InlineExecutor()
    with executor, tqdm(total=len(missing), unit="evaluation", disable=not sys.stderr.isatty()) as bar:

        def submit(title: str) -> Future[str | None]:
            return executor.submit(evaluate_weights, missing[title], _log(missing[title], title))

        for title, future in as_completed(list(missing), at_once, submit, lambda running: bar.refresh()):
            reason = future.result()
            bar.update()
            tqdm.write(f"evaluated {title}" if reason is None else f"FAILED    {title}: {reason}", file=sys.stderr)
            if reason is not None:
                failures[title] = reason
    found = measured_already(asked)
    return {title: result for title, result in found.items() if title not in failures}, failures


def _log(cfg: DictConfig, title: str) -> Path:
    """Return the log file of an evaluation's own process."""
    return Path(cfg.runtime.outputs) / "evaluate" / cfg.dataset.name / f"{title.replace(' ', '_')}.txt"


def measured_already(asked: Mapping[str, DictConfig]) -> dict[str, Result]:
    """Return the existing results, by title; the test set's folder is read once."""
    among = evaluations(next(iter(asked.values()))) if asked else {}
    found = {title: evaluated(cfg, among) for title, cfg in asked.items()}
    return {title: result for title, result in found.items() if result is not None}


def evaluation_record(run: RowRun, test: TestSet, evaluation: Result, done: Mapping[str, Result]) -> Result:
    """Return the record of a run on a test set for tables and results/: the evaluation, and the training before it."""
    labels = {"table": run.cfg.table, "row": run.row, "dataset": run.cfg.dataset.name, "scale": run.cfg.scale}
    labels |= {"seed": run.seed, "test": test.name, "best": None}
    training = {key: done[run.hash][key] for key in ("hash", "config", "provenance")} if run.learns else None
    return labelled(evaluation, labels, training)


def labelled(evaluation: Result, labels: Result, training: Result | None) -> Result:
    """Return what is kept of an evaluation, with `labels` and, of trained weights, what is to know of the training."""
    trained = None
    if training is not None:
        trained = evaluation["trained"] | {"weights_sha256": evaluation["weights_sha256"]} | training
    return {**labels, "trained": trained, **{key: evaluation[key] for key in KEPT}}


def without_folders(value: Any) -> Any:
    """Return the same without the folders of paths, which differ by machine: "weights=/a/b.pt" is "weights=b.pt"."""
    if isinstance(value, dict):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    found = re.fullmatch(r"([\w.+]+=)?['\"]?([/~.].*/.*?|/.*?)['\"]?", value) if isinstance(value, str) else None
    return f"{found[1] or ''}{Path(found[2]).name}" if found else value


def requested_evaluations(
    runs: Sequence[RowRun], test: TestSet, done: Mapping[str, Result]
) -> tuple[dict[str, DictConfig], dict[str, str]]:
    """Return the evaluations of the runs that are finished, by title, and why others cannot be, by title."""
    asked, failures = dict[str, DictConfig](), dict[str, str]()
    for run in runs:
        if run.learns and run.hash not in done:
            continue
        try:
            asked[title_of(run, test)] = evaluation_config(run, test, done)
        except A2UError as error:
            failures[title_of(run, test)] = str(error)
    return asked, failures


def title_of(run: RowRun, test: TestSet) -> str:
    """Name a run on a test set, such as "nearest seed 0 on alphamatting"."""
    return f"{run.title} on {test.name}"
