"""One table: run what is missing, print it, measure it on another test set, publish it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2u.config import split_command_line
from a2u.data import build_data
from a2u.engine.identity import finished
from a2u.errors import A2UError
from a2u.files import locked, write_json
from a2u.reproduce.curves import draw_curves
from a2u.reproduce.differences import differences_page
from a2u.reproduce.evaluations import (
    TestSet,
    evaluate_missing,
    evaluation_record,
    measured_already,
    requested_evaluations,
    test_set,
    title_of,
    weights_of,
    without_folders,
)
from a2u.reproduce.launch import Failures, Finished, at_once_here, report_failures, run_missing
from a2u.reproduce.pages import RESULTS, make_pages, write, write_or_remove
from a2u.reproduce.published import lines_of, published, quoted_rows, rows_of
from a2u.reproduce.render import Group, Results, ranks_table, results_table
from a2u.reproduce.rows import EVERY_ROW, RowRun, row_runs
from a2u.reproduce.settings import Launcher, TableConfig
from a2u.reproduce.submission import benchmark_photographs, make_submission


class PublishError(A2UError):
    """Results that may not be published."""


@dataclass(frozen=True)
class Request:
    """The checked request of a command line.

    Attributes:
        runs: every row and seed.
        test: the test set they are measured on, if it is not their dataset's own.
        to_submit: the folder of alphamatting.com's benchmark photographs, if their alphas are requested.
    """

    runs: list[RowRun]
    test: TestSet | None
    to_submit: Path | None

    @property
    def group(self) -> Group:
        cfg = self.runs[0].cfg
        return Group(cfg.table, cfg.dataset.name, cfg.scale, self.test.name if self.test else "")

    @property
    def outputs(self) -> Path:
        return Path(self.runs[0].cfg.runtime.outputs)

    @property
    def learners(self) -> list[RowRun]:
        return [run for run in self.runs if run.learns]


def command_line(arguments: Sequence[str]) -> tuple[TableConfig, list[str]]:
    """Split a command line into the table's settings (TableConfig) and overrides for every row.

    Raises:
        ConfigError: an unknown key or a wrong type among the table's own.
    """
    tested = [word for word in arguments if re.match(r"test[.=]", word) and not word.startswith("test=[")]
    settings, overrides = split_command_line([word for word in arguments if word not in tested], TableConfig, "table")
    settings.test += tested
    return settings, overrides


def parse_request(settings: TableConfig, overrides: Sequence[str]) -> Request:
    """Check a command line's request; run and write nothing.

    Raises:
        ConfigError: an unknown row or key, or an impossible combination.
        DataError: a test set cannot be used.
    """
    runs = row_runs(settings, overrides)
    submits = "images" in published()[settings.table] and settings.photographs is not None
    to_submit = benchmark_photographs(str(settings.photographs)) if submits else None
    return Request(runs, test_set(settings), to_submit)


def make_table(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Run the rows that are not done, print the table; return 0, or 1 if a row failed.

    A row is done when a result under runtime.outputs carries the same hash of the resolved configuration, in whichever
    table it was run. With a test set, the last checkpoint of every finished row is then measured on that one, unless
    it was before. A whole table without overrides of its rows is also written to
    <outputs>/<table>/<dataset>/<scale>[/on_<test>]/table.{txt,md}, its learning curves to curves.svg. With several
    seeds the differences from settings.baseline are printed below it and written to differences.{txt,md}.
    Where Table 6 is given the benchmark's own photographs, their alphas by every trained row become an archive.

    Raises:
        ConfigError, DataError: before anything is run or written.
    """
    request = parse_request(settings, overrides)
    needed = request.learners if request.test else request.runs
    done, failures = run_missing(needed, settings) if needed else ({}, {})
    measured: Finished = {}
    if request.test:
        asked, impossible = requested_evaluations(request.runs, request.test, done)
        measured, failed = evaluate_missing(asked, evaluations_at_once(settings))
        failures |= impossible | failed
    archives, failed = _archives(request, done)
    failures |= failed
    folder = request.group.folder(request.outputs)
    whole = is_whole(settings, overrides)
    # Of two runners the later one writes what both have finished.
    with locked(folder / ".lock", settings.table, wait=True) if whole else nullcontext():
        results = by_row(request, done, measured)
        table, printed = results_table(request.group, results), ranks_table(request.group.table)
        differences, as_page = differences_page(request.group, results, settings.baseline)
        if whole:  # a part of the table must not replace the whole
            write(folder / "table.txt", table.text())
            write(folder / "table.md", table.markdown())
            draw_curves(request.group, results, folder / "curves.svg")
            write_or_remove(folder / "differences.txt", differences)
            write_or_remove(folder / "differences.md", as_page)
    for text in filter(None, [table.text(), printed.text() if printed else "", differences]):
        print(text)
    for path in archives:
        print(f"Alphas of the benchmark's own photographs, to be submitted to alphamatting.com: {path}")
    return report_failures(failures, len(request.runs) - sum(map(len, results.values())), len(request.runs))


def _archives(request: Request, done: Finished) -> tuple[list[Path], Failures]:
    """Make the archives to submit, one per trained row; return them, and why others could not be made."""
    made, failures = list[Path](), Failures()
    for run in request.learners:
        if request.to_submit and run.hash in done:
            try:
                made.append(make_submission(run, weights_of(run, done[run.hash]), request.to_submit))
            except A2UError as error:
                failures[f"{run.title}, alphas to submit"] = str(error)
    return made, failures


def evaluations_at_once(settings: TableConfig) -> int:
    """Return the number of evaluations at a time: on this machine, with any launcher of the trainings."""
    return 1 if settings.launcher.name is Launcher.inline else at_once_here(settings.jobs)


def by_row(request: Request, done: Finished, measured: Finished) -> Results:
    """Finished results of each row, one per seed; none of a row not done, nor of the quoted rows of a whole table.

    measured: evaluations by title, where the request is for a test set.
    """
    table, chosen = request.group.table, list(dict.fromkeys(run.row for run in request.runs))
    quoted = quoted_rows(table) if set(chosen) == set(rows_of(table)) and not request.test else ()
    results: Results = {row: [] for row in lines_of(table) if row in chosen or row in quoted}
    results |= {row: [] for row in chosen if row not in results}  # below, operators that are not rows of the paper
    for run in request.runs:
        if request.test and title_of(run, request.test) in measured:
            results[run.row].append(evaluation_record(run, request.test, measured[title_of(run, request.test)], done))
        elif not request.test and run.hash in done:
            results[run.row].append(done[run.hash])
    return results


def publish(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Copy a table's finished results to results/, and render the pages that show them.

    Rows that are not finished are left out, reported, and named in the caption.

    Raises:
        PublishError: nothing is finished, or a result has uncommitted changes, another test set, or no
            provenance. Nothing is copied then.
    """
    if not is_whole(settings, overrides) or settings.baseline is not None:
        baseline = [] if settings.baseline is None else [f"baseline={settings.baseline}"]
        raise PublishError(
            "only a whole table is published, every row as its config says; leave out ROWS and ARGS "
            f"(given: {', '.join([*settings.rows, *baseline, *overrides])})."
        )
    request = parse_request(settings, overrides)
    found = _to_publish(request)
    absent = [run.title for run in request.runs if run not in found]
    if not found:
        raise PublishError(f"not finished, nothing was published: {', '.join(absent)}.")
    refuse_unfit({run.title: result for run, result in found.items()})
    dataset = request.test.dataset if request.test else request.runs[0].cfg.dataset
    _refuse_another_test_set(build_data(dataset).checksum(), *next(iter(found.items())))
    folder = request.group.folder(RESULTS)
    for run, result in found.items():
        write_json(folder / run.row / f"seed{run.seed}.json", result)
    make_pages()
    if absent:
        print(f"not finished, and left out: {', '.join(absent)}")
    print(f"published {len(found)} results to {folder.relative_to(RESULTS.parent)}")
    return 0


def _to_publish(request: Request) -> dict[RowRun, dict[str, Any]]:
    """Return the finished results in published form. Raises PublishError for trainings that may not be published."""
    done = finished(request.outputs, [run.hash for run in request.runs])
    if not request.test:
        return {run: _training_record(done[run.hash], run) for run in request.runs if run.hash in done}
    refuse_unfit({run.title: done[run.hash] for run in request.learners if run.hash in done}, one_test_set=False)
    measured = measured_already(requested_evaluations(request.runs, request.test, done)[0])
    return {
        run: without_folders(evaluation_record(run, request.test, measured[title], done))
        for run in request.runs
        if (title := title_of(run, request.test)) in measured
    }


def _training_record(result: dict[str, Any], run: RowRun) -> dict[str, Any]:
    """Label a result as `run`, which may be another table's row with the same configuration."""
    labels = {"table": run.cfg.table, "row": run.row}
    ran_as = {key: result[key] for key in labels}
    shared = {} if ran_as == labels else {"ran_as": ran_as}
    kept = {key: value for key, value in result.items() if key != "path"}
    return kept | labels | shared


def refuse_unfit(results: Mapping[str, dict[str, Any]], one_test_set: bool = True) -> None:
    """Raise PublishError unless results, by title, record clean trees and one test set."""
    provenances = {title: result.get("provenance", {}) for title, result in results.items()}
    silent = [title for title, each in provenances.items() if not {"commit", "dirty", "data_sha256"} <= each.keys()]
    if silent:
        raise PublishError(f"without provenance, nothing was published: {', '.join(silent)}.")
    dirty = [title for title, provenance in provenances.items() if provenance["dirty"]]
    if dirty:
        raise PublishError(
            "run with uncommitted changes or over several commits, so no commit stands for the numbers; nothing was "
            f"published: {', '.join(dirty)}. Commit, and run these again with ARGS=runtime.force=true."
        )
    if one_test_set and len({provenance["data_sha256"] for provenance in provenances.values()}) > 1:
        raise PublishError("the rows were evaluated on test sets that differ (data_sha256); nothing was published.")


def _refuse_another_test_set(checksum: str, run: RowRun, result: dict[str, Any]) -> None:
    """Raise PublishError if the test folder has changed since the evaluation."""
    if checksum != result["provenance"]["data_sha256"]:
        raise PublishError(
            f"{run.title} was evaluated on a test set with the checksum {result['provenance']['data_sha256']}, and "
            f"that of the same folder is now {checksum}; nothing was published. Run the table again with "
            "ARGS=runtime.force=true."
        )


def is_whole(settings: TableConfig, overrides: Sequence[str]) -> bool:
    """Return whether every row is requested, and overrides only set dataset, scale and where rows run."""
    plain = r"(dataset|dataset\.(root|cache|download)|scale|runtime\.\w+)="
    return settings.rows in ([], EVERY_ROW) and all(re.match(plain, override) for override in overrides)
