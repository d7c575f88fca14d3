"""One table: run what is missing, collect, render; publish."""

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from tqdm import tqdm

from a2u.config import TableConfig, compose
from a2u.data import prepare_data
from a2u.engine.identity import finished
from a2u.engine.provenance import REPOSITORY, available_cores
from a2u.engine.run import prepare
from a2u.errors import A2UError
from a2u.files import replacing
from a2u.reproduce.caption import caption
from a2u.reproduce.figures import learning_curves
from a2u.reproduce.launch import launch
from a2u.reproduce.published import REFERENCE
from a2u.reproduce.render import Results, as_markdown, as_text, table_cells
from a2u.reproduce.rows import RowRun, paper_parameters, row_runs

RESULTS = REPOSITORY / "results"


class PublishError(A2UError):
    """Results that may not be published."""


def command_line(arguments: Sequence[str]) -> tuple[TableConfig, list[str]]:
    """Split what the table itself reads (keys of TableConfig) from what every row is given.

    Raises:
        ConfigError: an unknown key or a wrong type among the table's own.
    """
    own = {entry.name for entry in fields(TableConfig)}
    mine = [argument for argument in arguments if re.split(r"[.=]", argument.lstrip("+~"))[0] in own]
    settings: TableConfig = OmegaConf.to_object(compose(mine, "table"))  # type: ignore[assignment]
    return settings, [argument for argument in arguments if argument not in mine]


def make_table(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Run the rows that are not done, print the table; return 0, or 1 where a row failed.

    A row is done when a result under runtime.outputs carries the same hash of the resolved configuration, in whichever
    table it was run. A whole table without overrides of its rows is also
    written to <outputs>/<table>/<dataset>/<scale>/table.{txt,md}, its learning curves to curves.svg.

    Raises:
        ConfigError, DataError: before anything is run or written.
    """
    runs = row_runs(settings, overrides)
    outputs = Path(runs[0].cfg.runtime.outputs)
    done = finished(outputs)
    force = runs[0].cfg.runtime.force
    missing = list({run.hash: run for run in runs if force or run.hash not in done}.values())
    failures = {}
    if missing:
        first = next((run for run in missing if run.row != REFERENCE), missing[0])
        _fill_caches(first)
        prepare(first.cfg)  # data, encoder weights or a device that cannot be used are refused here, once
        failures = launch(missing, settings.jobs or _default_jobs(), settings.launcher.name.name)
        done = finished(outputs)
    text, markdown = render(settings.table, runs, done)
    if not settings.rows and _is_plain(overrides):  # a part of the table must not take the place of the whole
        folder = runs[0].places.result.parents[1]
        _write(folder / "table.txt", text)
        _write(folder / "table.md", markdown)
        draw_curves(settings.table, runs, done, folder)
    print(text)
    for title, reason in failures.items():
        print(f"FAILED {title}: {reason}", file=sys.stderr)
    absent = [run.title for run in runs if run.hash not in done]
    if absent:
        print(f"{len(absent)} of {len(runs)} runs are not done; the same command goes on with them.", file=sys.stderr)
    return 1 if failures or absent else 0


def render(table: str, runs: list[RowRun], done: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """Text and Markdown of a table from finished results by hash."""
    dataset, results = runs[0].cfg.dataset.name, by_row(runs, done)
    parameters = {run.row: paper_parameters(run.cfg) for run in runs if run.seed == 0}
    header, lines = table_cells(table, dataset, results, parameters)
    words = caption(table, dataset, runs[0].cfg.scale, results)
    return f"{as_text(header, lines)}\n{words}\n", f"{as_markdown(header, lines)}\n{words}\n"


def draw_curves(table: str, runs: list[RowRun], done: dict[str, dict[str, Any]], folder: Path) -> None:
    """curves.svg in `folder`; none where the runs were not evaluated often enough for curves."""
    cfg, path = runs[0].cfg, folder / "curves.svg"
    if not learning_curves(table, cfg.dataset.name, cfg.scale, by_row(runs, done), path):
        path.unlink(missing_ok=True)  # of earlier results


def by_row(runs: list[RowRun], done: dict[str, dict[str, Any]]) -> Results:
    """Finished results of each row, one a seed; a row without any has an empty list."""
    results: Results = {run.row: [] for run in runs}
    for run in runs:
        if run.hash in done:
            results[run.row].append(done[run.hash])
    return results


def publish(settings: TableConfig, overrides: Sequence[str]) -> int:
    """Copy a table's finished results to results/; refuse those of a tree that differed from its commit.

    Raises:
        PublishError: a row is not finished, or was run with uncommitted changes. Nothing is copied then.
    """
    if settings.rows or not _is_plain(overrides):
        raise PublishError(
            "only a whole table is published, every row as its config says; leave out ROWS and ARGS "
            f"(given: {', '.join([*settings.rows, *overrides])})."
        )
    runs = row_runs(settings, overrides)
    done = finished(Path(runs[0].cfg.runtime.outputs))
    absent = [run.title for run in runs if run.hash not in done]
    if absent:
        raise PublishError(f"not finished, nothing was published: {', '.join(absent)}.")
    results = [done[run.hash] for run in runs]
    dirty = [run.title for run in runs if done[run.hash]["provenance"]["dirty"]]
    if dirty:
        raise PublishError(
            "run with uncommitted changes or over several commits, so no commit stands for the numbers; nothing was "
            f"published: {', '.join(dirty)}. Commit, and run these again with ARGS=runtime.force=true."
        )
    if len({result["provenance"]["data_sha256"] for result in results}) > 1:
        raise PublishError("the rows were evaluated on test sets that differ (data_sha256); nothing was published.")
    folder = RESULTS / settings.table / runs[0].cfg.dataset.name / runs[0].cfg.scale
    for run in runs:
        with replacing(folder / run.row / f"seed{run.seed}.json") as temporary:
            shutil.copyfile(done[run.hash]["path"], temporary)
    markdown = render(settings.table, runs, done)[1]
    _write(folder / "table.md", markdown)
    draw_curves(settings.table, runs, done, folder)
    readme = REPOSITORY / "README.md"
    marker = (folder / "table.md").relative_to(REPOSITORY).as_posix()
    _write(readme, with_section(readme.read_text(encoding="utf-8"), marker, markdown))
    print(f"published {len(runs)} results to {folder.relative_to(REPOSITORY)}")
    return 0


def with_section(page: str, marker: str, content: str) -> str:
    """`page` with what stands between <!-- marker --> and <!-- end --> replaced; unchanged without that marker."""
    pattern = rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}{found[2]}", page, flags=re.DOTALL)


def _is_plain(overrides: Sequence[str]) -> bool:
    """Whether overrides say only on what, at which scale and where the rows run."""
    return all(
        re.match(r"(dataset|dataset\.(root|cache|download)|scale|runtime\.\w+)=", override) for override in overrides
    )


def _default_jobs() -> int:
    return 1 if torch.cuda.is_available() else available_cores()


def _fill_caches(run: RowRun) -> None:
    """Fill caches once, before several processes would each do it."""
    with tqdm(desc="preparing data", disable=not sys.stderr.isatty(), unit="item", leave=False) as bar:

        def progress(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        prepare_data(run.cfg.dataset, progress)


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
