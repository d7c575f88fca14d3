"""Copy the finished study to results/."""

from collections.abc import Sequence

from a2u.engine.identity import finished
from a2u.engine.provenance import REPOSITORY
from a2u.files import write_json
from a2u.reproduce.study.failures import noted
from a2u.reproduce.study.protocol import Study, seeds_of_the_protocol
from a2u.reproduce.study.records import Parts, by_row, gather, without_folders
from a2u.reproduce.table import RESULTS, PublishError, refuse_unfit

AGAIN = "Commit, and run it again with another ARGS=runtime.outputs=DIR."


def publish(study: Study) -> int:
    """Write results/<scale>/<row>/seed<k>.json and failures.json; nothing where anything is amiss.

    Raises:
        PublishError: a run is not finished or not measured, was done with uncommitted changes, or at another commit
            or on another test set than the rest; or the number of seeds is not the protocol's.
    """
    asked = seeds_of_the_protocol()
    if study.how.seeds != asked:
        raise PublishError(f"the protocol asks for {asked} seeds, not {study.how.seeds}; nothing was published.")
    found = gather(study, finished(study.outputs))
    for what in ("training", *study.tests):
        refuse_unfit({f"{run.title}, {what}": parts[what] for run, parts in found.items()}, AGAIN)
        _refuse_several_commits(what, list(found.values()))
    folder = RESULTS / study.scale
    for row, records in by_row(study, found).items():
        for record in records:
            write_json(folder / row / f"seed{record['seed']}.json", record)
    write_json(folder / "failures.json", without_folders(noted(study.failures)))
    without = "" if study.photographs else ", without the photographs (PHOTOS=...)"
    print(f"published {len(study.runs)} runs to {folder.relative_to(REPOSITORY)}{without}")
    return 0


def _refuse_several_commits(what: str, found: Sequence[Parts]) -> None:
    results = [parts[what] for parts in found]
    commits = sorted({result["provenance"]["commit"][:8] for result in results if result})
    if len(commits) > 1:
        raise PublishError(f"{what} was done at several commits ({', '.join(commits)}); nothing was published.")
