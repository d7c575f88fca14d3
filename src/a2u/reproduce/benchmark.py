"""Table 6: run the paper's model, measure it and classic systems where there is a true alpha; publish.

The paper's numbers are of eight photographs of alphamatting.com whose true alpha is not public, so they are quoted as
a table of their own. Measured are the photographs with true alpha, where their folder is given, and generated test
images with three widths of trimap, where it is not.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from a2u.apply.evaluate_weights import evaluate_weights, evaluated
from a2u.engine.identity import finished
from a2u.engine.provenance import REPOSITORY
from a2u.errors import A2UError
from a2u.files import write_json
from a2u.reproduce.benchmark_page import Measured, page
from a2u.reproduce.benchmark_sets import Asked, Done, parse_request, weights_of
from a2u.reproduce.launch import report_failures, run_missing
from a2u.reproduce.rows import RowRun
from a2u.reproduce.settings import TableConfig
from a2u.reproduce.submission import make_submission
from a2u.reproduce.table import (
    RESULTS,
    is_whole,
    publish_page,
    refuse_part,
    refuse_unfit,
    write,
)


def make_table(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Train and evaluate what is not done, print measured and quoted numbers; return 0, or 1 where a row failed.

    A whole table without overrides of its rows is also written, to <outputs>/table6/<dataset>/<scale>/<group>.{txt,md}.
    Where `photographs` holds the benchmark's own, their alphas by every trained row become an archive in that row's
    folder.

    Raises:
        ConfigError, DataError: before anything is run or written.
    """
    asked = parse_request(settings, overrides)
    done, failures = run_missing(asked.learners, settings) if asked.learners else ({}, {})
    measured = _nothing(asked)
    for test in asked.tests:
        for run in [run for run in asked.runs if not run.learns or run.hash in done]:
            try:
                measured[test][run.row].append(_measure(asked, run, test, done))
            except A2UError as error:
                failures[f"{run.title} on {test}"] = str(error)
    archives = []
    if asked.to_submit is not None:
        for run in [run for run in asked.learners if run.hash in done]:
            try:
                archives.append(make_submission(run, weights_of(run, done), asked.to_submit))
            except A2UError as error:
                failures[f"{run.title}, alphas to submit"] = str(error)
    text, markdown = page(asked.group, asked.runs[0].cfg.scale, measured)
    if is_whole(settings, overrides):
        folder = asked.runs[0].places.of_table
        write(folder / f"{asked.group}.txt", text)
        write(folder / f"{asked.group}.md", markdown)
    print(text)
    for path in archives:
        print(f"Alphas of the benchmark's own photographs, to be submitted to alphamatting.com: {path}")
    count = sum(len(runs) for results in measured.values() for runs in results.values())
    total = len(asked.tests) * len(asked.runs)
    return report_failures(failures, total - count, total)


def publish(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Write a table's finished results to results/; refuse those of a tree that differed from its commit.

    Raises:
        PublishError: a row is not finished on every test set, or was trained or evaluated with uncommitted changes.
            Nothing is written then.
    """
    refuse_part(settings, overrides)
    asked = parse_request(settings, overrides)
    done = finished(Path(asked.runs[0].cfg.runtime.outputs))
    refuse_unfit({run.title: done.get(run.hash) for run in asked.learners})
    measured = _nothing(asked)
    for test in asked.tests:
        found = {run: evaluated(asked.evaluation_of(run, test, done)) for run in asked.runs}
        refuse_unfit({f"{run.title} on {test}": result for run, result in found.items()})
        for run, result in found.items():
            assert result is not None
            measured[test][run.row].append(_result(run, test, result, done))
    scale = asked.runs[0].cfg.scale
    folder = RESULTS / settings.table
    results = [result for rows in measured.values() for runs in rows.values() for result in runs]
    for result in results:
        write_json(folder / result["dataset"] / scale / result["row"] / f"seed{result['seed']}.json", result)
    publish_page(folder / asked.group / scale / "table.md", page(asked.group, scale, measured)[1])
    print(f"published {len(results)} results to {folder.relative_to(REPOSITORY)}/{asked.group}_*/{scale}")
    return 0


def _nothing(asked: Asked) -> Measured:
    rows = dict.fromkeys(run.row for run in asked.runs)
    return {test: {row: [] for row in rows} for test in asked.tests}


def _measure(asked: Asked, run: RowRun, test: str, done: Done) -> dict[str, Any]:
    """The result of a row on a test set: an earlier evaluation's, or that of a new one."""
    cfg = asked.evaluation_of(run, test, done)
    found = None if cfg.runtime.force else evaluated(cfg)
    if found is None:
        found = evaluate_weights(cfg)
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in found["metrics"].items())
        seconds = found["provenance"]["wall_seconds"]
        print(f"evaluated {run.title} on {test}: {numbers}  ({seconds:.0f} s)", file=sys.stderr)
    for warning in found["warnings"]:
        print(f"warning: {run.title} on {test}: {warning}", file=sys.stderr)
    return _result(run, test, found, done)


def _result(run: RowRun, test: str, evaluation: dict[str, Any], done: Done) -> dict[str, Any]:
    """What is published of one row on one test set: an evaluation, and the training behind its network."""
    trained = None
    if run.learns:
        training = done[run.hash]
        trained = evaluation["trained"] | {"weights_sha256": evaluation["weights_sha256"]}
        trained |= {key: training[key] for key in ("hash", "config", "provenance")}
    kept = ("images", "undefined", "warnings", "hash", "config", "provenance")
    return {
        "table": run.cfg.table,
        "row": run.row,
        "dataset": test,
        "scale": run.cfg.scale,
        "seed": run.seed,
        "params": evaluation["params"],
        "metrics": evaluation["metrics"],
        "best": None,
        "trained": trained,
        **{key: evaluation[key] for key in kept},
    }
