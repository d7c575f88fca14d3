"""What is kept of a run of the study: its training, and what its last checkpoint was measured at."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from a2u.apply.evaluate_weights import evaluated, evaluations
from a2u.reproduce.benchmark_sets import Done
from a2u.reproduce.published import lines_of
from a2u.reproduce.render import Results
from a2u.reproduce.rows import RowRun
from a2u.reproduce.study.protocol import PHOTOGRAPHS, TABLE, TEST, Evaluation, Study

PARTS = {"training": "training", TEST: "test", PHOTOGRAPHS: "photographs"}  # what was done -> key of a record
KEPT = ("metrics", "undefined", "warnings", "hash", "weights_sha256", "config", "provenance")  # of an evaluation
# Of an absolute path, in a text or alone: at least one folder, so that "1,000 /2" stays; the rest is its name.
FOLDERS = re.compile(r"(?<![\w.:/~])~?/(?:[^\s'\",;:\[\]/]+/)+([^\s'\",;:\[\]/]*)|^/([^\s/]+)$")
Parts = dict[str, dict[str, Any] | None]  # what was done -> its result, where there is one


def gather(study: Study, done: Done) -> dict[RowRun, Parts]:
    """What there is of every run of the study. Raises CheckpointError where a finished run's weights are gone."""
    found: dict[RowRun, Parts] = {run: {"training": done.get(run.hash)} for run in study.runs}
    for test in study.tests:
        asked = [study.evaluation(run, test, done) for run in study.runs if run.hash in done]
        results = {each.run: result for each, result in zip(asked, measured_already(asked), strict=True)}
        for run, parts in found.items():
            parts[test] = results.get(run)
    return found


def measured_already(asked: Sequence[Evaluation]) -> list[dict[str, Any] | None]:
    """The result of each evaluation, where there is one; what lies there is read once for each test set."""
    read = {each.dataset: each.cfg for each in asked}
    among = {dataset: evaluations(cfg) for dataset, cfg in read.items()}
    return [evaluated(each.cfg, among[each.dataset]) for each in asked]


def by_row(study: Study, found: dict[RowRun, Parts]) -> Results:
    """Records of each row, one a seed: as they are published."""
    records: Results = {run.row: [] for run in study.runs}
    for run, parts in found.items():
        records[run.row].append(_record(run, parts))
    return records


def load(folder: Path) -> Results:
    """Published records of each row, one a seed; each with its `path`. Rows without any are left out."""
    found = {row: sorted((folder / row).glob("seed*.json"), key=_seed) for row in lines_of(TABLE)}
    return {row: [_read(path) for path in paths] for row, paths in found.items() if paths}


def measured(records: Results, part: str) -> Results:
    """Records as results on one test set, in the form of a table that measures what another has trained (Table 6).

    part: "test" or "photographs"; rows that were not measured on it are left out.
    """
    found: Results = {}
    for row, runs in records.items():
        results = [_as_result(run, part) for run in runs if run[part] is not None]
        if results:
            found[row] = results
    return found


def trainings(records: Results) -> Results:
    """Records as results of their trainings."""
    return {row: [run["training"] for run in runs] for row, runs in records.items()}


def without_folders(value: Any) -> Any:
    """The same without the folders of absolute paths, which are one machine's: "weights=/a/b.pt" is "weights=b.pt"."""
    if isinstance(value, dict):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    return FOLDERS.sub(r"\1\2", value) if isinstance(value, str) else value


def _record(run: RowRun, parts: Parts) -> dict[str, Any]:
    training = parts["training"]
    assert training is not None
    record: dict[str, Any] = {"row": run.row, "seed": run.seed, "params": training["params"]}
    record["training"] = {key: value for key, value in training.items() if key != "path"}
    for test, part in PARTS.items():
        if test != "training":
            result = parts.get(test)
            record[part] = None if result is None else {key: result[key] for key in KEPT}
    return without_folders(record)


def _seed(path: Path) -> int:
    return int(path.stem.removeprefix("seed"))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) | {"path": str(path)}


def _as_result(run: dict[str, Any], part: str) -> dict[str, Any]:
    training, evaluation = run["training"], run[part]
    trained = None
    if run["params"]:
        trained = {key: training[key] for key in ("table", "row", "seed", "dataset", "provenance")}
        trained |= {"steps": training["provenance"]["steps"], "weights_sha256": evaluation["weights_sha256"]}
    labels = {"table": TABLE, "row": run["row"], "seed": run["seed"], "scale": training["scale"]}
    labels |= {"dataset": evaluation["config"]["dataset"]["name"], "params": run["params"]}
    return evaluation | labels | {"trained": trained, "path": run.get("path", "")}
