"""One table: run what is missing, collect, render; publish."""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from a2u.config import split_command_line
from a2u.data import build_data
from a2u.engine.identity import finished
from a2u.engine.provenance import REPOSITORY
from a2u.errors import A2UError, ConfigError
from a2u.files import locked, replacing, write_json
from a2u.reproduce.caption import caption
from a2u.reproduce.curves import learning_curves
from a2u.reproduce.differences import differences_page
from a2u.reproduce.launch import report_failures, run_missing
from a2u.reproduce.published import QUOTED, lines_of, rows_of
from a2u.reproduce.render import Results, as_markdown, as_text, table_cells
from a2u.reproduce.rows import RowRun, paper_parameters, row_runs
from a2u.reproduce.settings import TableConfig

RESULTS = REPOSITORY / "results"
PAGES = ("README.md", "docs/results.md", "docs/predict.md")  # where published tables are shown


class PublishError(A2UError):
    """Results that may not be published."""


def command_line(arguments: Sequence[str]) -> tuple[TableConfig, list[str]]:
    """Split what the table itself reads (keys of TableConfig) from what every row is given.

    Raises:
        ConfigError: an unknown key or a wrong type among the table's own.
    """
    return split_command_line(arguments, TableConfig, "table")


def make_table(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Run the rows that are not done, print the table; return 0, or 1 where a row failed.

    A row is done when a result under runtime.outputs carries the same hash of the resolved configuration, in whichever
    table it was run. A whole table without overrides of its rows is also
    written to <outputs>/<table>/<dataset>/<scale>/table.{txt,md}, its learning curves to curves.svg. With several
    seeds, how far the rows are from settings.baseline is printed below it and written to differences.{txt,md}.

    Raises:
        ConfigError, DataError: before anything is run or written.
    """
    if settings.photographs is not None:
        raise ConfigError(f"photographs={settings.photographs} has a meaning for table6 alone: leave it out.")
    runs = row_runs(settings, overrides)
    done, failures = run_missing(runs, settings)
    whole, folder = is_whole(settings, overrides), runs[0].places.of_table
    # Of two runners the later one writes what both have finished.
    with locked(folder / ".lock", settings.table, wait=True) if whole else nullcontext():
        text, markdown = render(settings.table, runs, done)
        differences, as_page = compare(settings, runs, done)
        if whole:  # a part of the table must not take the place of the whole
            write(folder / "table.txt", text)
            write(folder / "table.md", markdown)
            draw_curves(settings.table, runs, done, folder)
            write_or_remove(folder / "differences.txt", differences)
            write_or_remove(folder / "differences.md", as_page)
    print(text)
    if differences:
        print(differences)
    return report_failures(failures, sum(run.hash not in done for run in runs), len(runs))


def render(table: str, runs: list[RowRun], done: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """Text and Markdown of a table from finished results by hash."""
    dataset, results = runs[0].cfg.dataset.name, by_row(runs, done)
    parameters = {run.row: paper_parameters(run.cfg) for run in runs if run.seed == 0}
    header, lines = table_cells(table, dataset, results, parameters)
    words = caption(table, dataset, runs[0].cfg.scale, results)
    return f"{as_text(header, lines)}\n{words}\n", f"{as_markdown(header, lines)}\n{words}\n"


def compare(settings: TableConfig, runs: list[RowRun], done: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """Text and Markdown of how far the rows are from settings.baseline; empty where fewer than two seeds are done."""
    cfg = runs[0].cfg
    return differences_page(settings.table, cfg.dataset.name, cfg.scale, by_row(runs, done), settings.baseline)


def draw_curves(table: str, runs: list[RowRun], done: dict[str, dict[str, Any]], folder: Path) -> None:
    """curves.svg in `folder`; none where the runs were not evaluated often enough for curves."""
    cfg, path = runs[0].cfg, folder / "curves.svg"
    if not learning_curves(table, cfg.dataset.name, cfg.scale, by_row(runs, done), path):
        path.unlink(missing_ok=True)  # of earlier results


def by_row(runs: list[RowRun], done: dict[str, dict[str, Any]]) -> Results:
    """Finished results of each row, one a seed; none of a row not done, nor of the quoted rows of a whole table."""
    table, chosen = runs[0].cfg.table, list(dict.fromkeys(run.row for run in runs))
    quoted = QUOTED.get(table, ()) if set(chosen) == set(rows_of(table)) else ()
    results: Results = {row: [] for row in lines_of(table) if row in chosen or row in quoted}
    results |= {row: [] for row in chosen if row not in results}  # operators that are no rows of the paper, below
    for run in runs:
        if run.hash in done:
            results[run.row].append(done[run.hash])
    return results


def publish(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Copy a table's finished results to results/; refuse those of a tree that differed from its commit.

    Raises:
        PublishError: a row is not finished, or was run with uncommitted changes. Nothing is copied then.
    """
    refuse_part(settings, overrides)
    runs = row_runs(settings, overrides)
    done = finished(Path(runs[0].cfg.runtime.outputs), [run.hash for run in runs])
    refuse_unfit({run.title: done.get(run.hash) for run in runs})
    _refuse_another_test_set(runs[0], done[runs[0].hash])
    folder = RESULTS / settings.table / runs[0].cfg.dataset.name / runs[0].cfg.scale
    for run in runs:
        write_json(folder / run.row / f"seed{run.seed}.json", _as_row(done[run.hash], run))
    publish_page(folder / "table.md", render(settings.table, runs, done)[1])
    write_or_remove(folder / "differences.md", compare(settings, runs, done)[1])
    draw_curves(settings.table, runs, done, folder)
    print(f"published {len(runs)} results to {folder.relative_to(REPOSITORY)}")
    return 0


def _as_row(result: dict[str, Any], run: RowRun) -> dict[str, Any]:
    """A result under the labels of `run`, which may be another table's row of equal configuration."""
    labels = {"table": run.cfg.table, "row": run.row}
    ran_as = {key: result[key] for key in labels}
    shared = {} if ran_as == labels else {"ran_as": ran_as}
    kept = {key: value for key, value in result.items() if key != "path"}
    return kept | labels | shared


def refuse_part(settings: TableConfig, overrides: Sequence[str]) -> None:
    """Raise PublishError unless a whole table is asked for, its rows as their configs say, and the usual baseline."""
    if not is_whole(settings, overrides) or settings.baseline is not None:
        baseline = [] if settings.baseline is None else [f"baseline={settings.baseline}"]
        raise PublishError(
            "only a whole table is published, every row as its config says; leave out ROWS and ARGS "
            f"(given: {', '.join([*settings.rows, *baseline, *overrides])})."
        )


def refuse_unfit(
    results: Mapping[str, dict[str, Any] | None],
    again: str = "Commit, and run these again with ARGS=runtime.force=true.",
) -> None:
    """Raise PublishError unless results, by their titles, are all there, of clean trees, and of one test set.

    again: how to run those of uncommitted changes again, in words.
    """
    absent = [title for title, result in results.items() if result is None]
    if absent:
        raise PublishError(f"not finished, nothing was published: {', '.join(absent)}.")
    provenances = {title: result["provenance"] for title, result in results.items() if result}
    dirty = [title for title, provenance in provenances.items() if provenance["dirty"]]
    if dirty:
        raise PublishError(
            "run with uncommitted changes or over several commits, so no commit stands for the numbers; nothing was "
            f"published: {', '.join(dirty)}. {again}"
        )
    if len({provenance["data_sha256"] for provenance in provenances.values()}) > 1:
        raise PublishError("the rows were evaluated on test sets that differ (data_sha256); nothing was published.")


def _refuse_another_test_set(run: RowRun, result: dict[str, Any]) -> None:
    """The folder may have been filled anew since; numbers of what lay there before stay unpublished."""
    data = build_data(run.cfg.dataset)
    if data.checksum() != result["provenance"]["data_sha256"]:
        raise PublishError(
            f"{run.title} was evaluated on a test set with the checksum {result['provenance']['data_sha256']}, and "
            f"that of dataset={run.cfg.dataset.name} is now {data.checksum()}; nothing was published. Run the table "
            "again with ARGS=runtime.force=true."
        )


def publish_page(path: Path, markdown: str) -> None:
    """Write a table's page, and put it where the documentation shows it."""
    write(path, markdown)
    marker = path.relative_to(REPOSITORY).as_posix()
    for page in (REPOSITORY / name for name in PAGES):
        if page.is_file():
            write(page, with_section(page.read_text(encoding="utf-8"), marker, markdown))


def with_section(page: str, marker: str, content: str) -> str:
    """`page` with what stands between <!-- marker --> and <!-- end --> replaced; unchanged without that marker."""
    pattern = rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}{found[2]}", page, flags=re.DOTALL)


def is_whole(settings: TableConfig, overrides: Sequence[str]) -> bool:
    """Whether every row is asked for, and overrides say only on what, at which scale and where the rows run."""
    plain = r"(dataset|dataset\.(root|cache|download)|scale|runtime\.\w+)="
    return not settings.rows and all(re.match(plain, override) for override in overrides)


def write_or_remove(path: Path, text: str) -> None:
    """No text: nothing to say any more, of whatever earlier results did."""
    if text:
        write(path, text)
    else:
        path.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
