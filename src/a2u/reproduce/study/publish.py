"""Copy the finished study to results/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from a2u.engine.identity import finished
from a2u.engine.provenance import REPOSITORY
from a2u.files import write_json
from a2u.reproduce.benchmark_sets import Done, weights_of
from a2u.reproduce.render import Results
from a2u.reproduce.study.failures import noted
from a2u.reproduce.study.protocol import PHOTOGRAPHS, Study, seeds_of_the_protocol
from a2u.reproduce.study.records import Parts, by_row, gather, load, without_folders
from a2u.reproduce.table import RESULTS, PublishError, refuse_unfit

AGAIN = "Commit, and run it again with another ARGS=runtime.outputs=DIR."


def publish(study: Study) -> None:
    """Write results/<scale>/<row>/seed<k>.json and failures.json; nothing where anything is amiss.

    Raises:
        PublishError: a run is not finished or not measured, was done with uncommitted changes, or at another commit,
            on another test set or with other threads than the rest; the number of seeds is not the protocol's;
            photographs were measured and are not named; or another study's runs are there already.
    """
    asked = seeds_of_the_protocol()
    if study.how.seeds != asked:
        raise PublishError(f"the protocol asks for {asked} seeds, not {study.how.seeds}; nothing was published.")
    done = finished(study.outputs)
    found = gather(study, done)
    for what in ("training", *study.tests):
        refuse_unfit({f"{run.title}, {what}": parts[what] for run, parts in found.items()}, AGAIN)
        _refuse_several_commits(what, list(found.values()))
    _refuse_other_threads([parts["training"] for run, parts in found.items() if run.learns])
    folder, rows = RESULTS / study.scale, by_row(study, found)
    if study.photographs is None:
        _refuse_measured_photographs(study, done)
    _refuse_another_study(folder, rows)
    for row, records in rows.items():
        for record in records:
            write_json(folder / row / f"seed{record['seed']}.json", record)
    write_json(folder / "failures.json", without_folders(noted(study.failures)))
    without = "" if study.photographs else ", without the photographs (PHOTOS=...)"
    print(f"published {len(study.runs)} runs to {folder.relative_to(REPOSITORY)}{without}")


def _refuse_measured_photographs(study: Study, done: Done) -> None:
    mine = {str(weights_of(run, done)) for run in study.runs if run.learns}
    measured = finished(study.outputs / "evaluate" / PHOTOGRAPHS, "result.json").values()
    if any(each["weights"] in mine for each in measured):
        raise PublishError("the photographs were measured: name them as then, with PHOTOS=...; nothing was published.")


def _refuse_other_threads(trainings: Sequence[dict[str, Any] | None]) -> None:
    """Sums are rounded by the number of threads and the device, which are no part of a run's hash."""
    provenances = [each["provenance"] for each in trainings if each]
    ways = sorted({f"{each['device']}, threads: {each['threads']}" for each in provenances})
    if len(ways) > 1:
        raise PublishError(f"training was done in several ways ({'; '.join(ways)}); nothing was published.")


def _refuse_another_study(folder: Path, rows: Results) -> None:
    """A study that is repeated because of its numbers would take the first one's place."""
    published = [(row, run) for row, runs in load(folder).items() for run in runs]
    there = {(row, run["seed"]): run["training"]["provenance"]["started"] for row, run in published}
    for row, records in rows.items():
        for record in records:
            started = record["training"]["provenance"]["started"]
            if there.get((row, record["seed"]), started) != started:
                raise PublishError(
                    f"{folder.relative_to(REPOSITORY)} has another training of {row} seed {record['seed']}, and the "
                    "protocol publishes the first; nothing was published."
                )


def _refuse_several_commits(what: str, found: Sequence[Parts]) -> None:
    results = [parts[what] for parts in found]
    commits = sorted({result["provenance"]["commit"][:8] for result in results if result})
    if len(commits) > 1:
        raise PublishError(f"{what} was done at several commits ({', '.join(commits)}); nothing was published.")
