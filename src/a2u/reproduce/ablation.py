"""Measure finished rows without what their operators read off the picture: `make ablate`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from a2u.engine.ablation import Ablation, check_ablation
from a2u.engine.identity import finished
from a2u.engine.prepare import make_model
from a2u.errors import A2UError, ConfigError
from a2u.files import locked, write_json
from a2u.reproduce.evaluations import (
    TestSet,
    evaluate_missing,
    evaluation_config,
    evaluation_record,
    measured_already,
    title_of,
    without_folders,
)
from a2u.reproduce.launch import Failures, Finished, report_failures
from a2u.reproduce.pages import ABLATION, RESULTS, make_pages, write
from a2u.reproduce.render import Results, ablation_table
from a2u.reproduce.rows import RowRun
from a2u.reproduce.settings import TableConfig
from a2u.reproduce.table import (
    PublishError,
    Request,
    evaluations_at_once,
    is_whole,
    parse_request,
    refuse_unfit,
)

Asked = dict[RowRun, dict[Ablation, DictConfig]]


def ablate_table(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Measure the last checkpoint of every finished row with and without content; print what that changes.

    Nothing is trained. A row whose operators have no content, or read no guide, says so in a sentence, and so does one
    that is not finished or whose checkpoint is gone. Returns 0, or 1 if a row could not be measured.

    Raises:
        ConfigError, DataError: before anything is measured or written.
    """
    request = parse_request(settings, overrides)
    done = finished(request.outputs, [run.hash for run in request.runs])
    asked, refusals, failures = _asked(request, done)
    found, failed = evaluate_missing(_titled(asked, _test(request)), evaluations_at_once(settings))
    failures |= failed
    results: Results = {run.row: [] for run in asked}
    for run, record in _records(request, asked, found, done).items():
        results[run.row].append(record)
    table, folder = ablation_table(request.group, results), request.group.folder(request.outputs)
    if is_whole(settings, overrides):
        with locked(folder / ".lock", settings.table, wait=True):
            write(folder / f"{ABLATION}.txt", table.text())
            write(folder / f"{ABLATION}.md", table.markdown())
    print(table.text())
    for refusal in refusals:
        print(refusal)
    return report_failures(failures, absent=0, total=len(request.learners))


def publish_ablation(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Copy what `ablate_table` measured to results/, and render the pages that show it.

    Raises:
        PublishError: nothing is measured, or an evaluation has uncommitted changes or no provenance.
    """
    if not is_whole(settings, overrides):
        raise PublishError("only a whole table is published, every row as its config says; leave out ROWS and ARGS.")
    request = parse_request(settings, overrides)
    done = finished(request.outputs, [run.hash for run in request.runs])
    asked, *_ = _asked(request, done)
    records = _records(request, asked, measured_already(_titled(asked, _test(request))), done)
    if not records:
        raise PublishError(f"nothing is measured, so nothing was published: make ablate TABLE={settings.table}.")
    parts = {f"{run.title}, {kind}": part for run, each in records.items() for kind, part in each["ablated"].items()}
    refuse_unfit({run.title: record for run, record in records.items()} | parts)
    folder = request.group.folder(RESULTS) / ABLATION
    for run, record in records.items():
        write_json(folder / run.row / f"seed{run.seed}.json", without_folders(record))
    make_pages()
    print(f"published {len(records)} results to {folder.relative_to(RESULTS.parent)}")
    return 0


def _test(request: Request) -> TestSet:
    """Return the test set: the one given, or the rows' own."""
    if request.test:
        return request.test
    dataset = request.runs[0].cfg.dataset.copy()
    OmegaConf.resolve(dataset)
    return TestSet(dataset.name, dataset)


def _asked(request: Request, done: Finished) -> tuple[Asked, list[str], Failures]:
    """Return the evaluations of the finished rows, sentences about what cannot be taken away, and what is missing."""
    asked, refusals, failures = Asked(), dict[str, None](), Failures()
    for run in request.learners:
        if run.hash not in done:
            failures[run.title] = f"it is not finished, so it has no checkpoint: make {request.group.table} trains it."
            continue
        try:
            plain = evaluation_config(run, _test(request), done)
        except A2UError as error:
            failures[run.title] = str(error)
            continue
        with torch.device("meta"):
            model = make_model(run.cfg)
        asked[run] = {}
        for kind in Ablation:
            try:
                check_ablation(kind, model)
            except ConfigError as error:
                refusals[f"{run.row}: {error}"] = None
                continue
            asked[run][kind] = plain.copy()
            asked[run][kind].ablate = kind
    return asked, list(refusals), failures


def _titled(asked: Asked, test: TestSet) -> dict[str, DictConfig]:
    return {_title(run, test, kind): cfg for run, kinds in asked.items() for kind, cfg in kinds.items()}


def _title(run: RowRun, test: TestSet, kind: Ablation) -> str:
    return title_of(run, test) + ("" if kind is Ablation.none else f", {kind.name}")


def _records(
    request: Request, asked: Asked, found: Mapping[str, dict[str, Any]], done: Finished
) -> dict[RowRun, dict[str, Any]]:
    """Return, by run, the evaluation of the whole network, and metrics and provenance of each without something."""
    records, test = {}, _test(request)
    for run, kinds in asked.items():
        measured = {kind: found.get(_title(run, test, kind)) for kind in kinds}
        whole = measured.pop(Ablation.none)
        if whole is None or None in measured.values():
            continue
        record = evaluation_record(run, test, whole, done) | {"test": request.group.test}
        record.pop("images")
        record["ablated"] = {
            kind.name: {key: each[key] for key in ("metrics", "provenance")} for kind, each in measured.items() if each
        }
        records[run] = record
    return records
