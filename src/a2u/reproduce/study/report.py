"""The study's report, from its records alone; where the documentation shows it."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from a2u.engine.provenance import REPOSITORY
from a2u.reproduce.curves import learning_curves
from a2u.reproduce.render import Results, as_markdown, as_text
from a2u.reproduce.study.conclusion import conclusion, finding, hypotheses
from a2u.reproduce.study.failures import noted
from a2u.reproduce.study.pictures import intervals
from a2u.reproduce.study.protocol import BASELINE, TABLE
from a2u.reproduce.study.records import load, measured, trainings
from a2u.reproduce.study.tables import (
    StudyError,
    findings_of,
    main_table,
    main_words,
    pairs_table,
    secondary_table,
    setting_of,
)
from a2u.reproduce.table import RESULTS, with_section, write


def write_report(scale: str) -> None:
    """Write report.md, finding.md and the pictures beside the results; put the texts where the documentation has them.

    Raises:
        StudyError: there are no results, or fewer than two seeds; or Matplotlib is not installed.
    """
    folder = RESULTS / scale
    records, failures = load(folder), noted(folder / "failures.json")
    text, sentences = page(records, failures, folder), two_sentences(records, folder)
    if not draw_intervals(records, folder / "intervals.svg"):
        raise StudyError('the report shows pictures, which need Matplotlib: `pip install -e ".[figures]"`.')
    draw_curves(records, folder / "curves.svg")
    write(folder / "report.md", text)
    write(folder / "finding.md", sentences)
    show("docs/study.md", folder / "report.md", page(records, failures, folder, f"../results/{scale}/"))
    show("README.md", folder / "finding.md", sentences)
    print(as_terminal(records, folder))
    print(f"report: {(folder / 'report.md').relative_to(REPOSITORY)}")


def as_terminal(records: Results, folder: Path) -> str:
    """Main table and conclusion as text. folder: where the records are from, for what is refused."""
    found, setting = findings_of(records, folder), setting_of(records)
    table = as_text(*main_table(records, found))
    return "\n".join([table, main_words(found, setting), "", conclusion(found, setting)])


def two_sentences(records: Results, folder: Path) -> str:
    """The finding and its limits, and a line break."""
    return f"{finding(findings_of(records, folder), setting_of(records))}\n"


def page(records: Results, failures: Sequence[dict[str, Any]], folder: Path, beside: str = "") -> str:
    """The report in Markdown.

    Args:
        records: of every row, one a seed.
        failures: what was noted of runs that failed.
        folder: where these are from.
        beside: how the pictures are reached from where the report is shown, with a slash at its end.
    """
    found, setting = findings_of(records, folder), setting_of(records)
    pairs = pairs_table(found)
    parts = [
        conclusion(found, setting),
        as_markdown(*main_table(records, found)),
        main_words(found, setting),
        f"![Every row's difference from {BASELINE}: seeds, mean with interval, the paper's]({beside}intervals.svg)",
        "### Hypotheses",
        "\n".join(f"- {line}" for line in hypotheses(found)),
        "### The A2U rows among each other",
        f"Shown to differ in SAD, Holm-corrected over all {len(found.pairs)} pairs: "
        + (f"{len(pairs[1])}, in percent of {BASELINE}'s mean." if pairs[1] else "none."),
        as_markdown(*pairs) if pairs[1] else "",
        "### Secondary measures",
        "Nothing is concluded from these. On the test images:",
        as_markdown(*secondary_table(measured(records, "test"), ("mse", "grad", "conn"))),
        *_photographs(records),
        f"![Learning curves on the validation images, a line a row]({beside}curves.svg)",
        "### Failures of runs",
        "\n".join(["Each was made good by a later call:", "", *map(_failure, failures)] if failures else ["None."]),
        "### Where it comes from",
        _provenance(records),
    ]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def draw_intervals(records: Results, path: Path) -> bool:
    """The picture of all differences; False where it cannot be drawn."""
    setting = setting_of(records)
    title = f"The open study, scale={setting.scale}: SAD on {setting.test_images} test images"
    return intervals(findings_of(records, path.parent), title, path)


def draw_curves(records: Results, path: Path) -> bool:
    """The learning curves; False where there are none, or they cannot be drawn."""
    results, scale = trainings(records), setting_of(records).scale
    return learning_curves(TABLE, "synthetic", scale, results, path, "the validation images")


def _photographs(records: Results) -> list[str]:
    results = measured(records, "photographs")
    if not results:
        return ["The photographs of alphamatting.com are not among these results."]
    count = results[BASELINE][0]["provenance"]["test_images"]
    table = as_markdown(*secondary_table(results, ("sad", "mse", "grad", "conn")))
    return [f"On the {count} photographs of alphamatting.com that have a true alpha, Trimap1:", table]


def _failure(each: dict[str, Any]) -> str:
    where = f"{each['row']} seed {each['seed']}, {each['what']}"
    return f"- {where}: {each['reason']} ({each['time']}, commit {each['commit'][:8]})"


def _provenance(records: Results) -> str:
    runs = [run for row in records.values() for run in row]
    trained = [run["training"]["provenance"] for run in runs if run["params"]]
    tested, on_photographs = (
        [run[part]["provenance"] for run in runs if run[part]] for part in ("test", "photographs")
    )
    minutes = [each["wall_seconds"] / 60 for each in trained]
    sentences = [
        f"{len(trained)} trainings at commit {_each(each['commit'][:8] for each in trained)}, {sum(minutes) / 60:.1f} "
        f"hours of wall time all together, {statistics.fmean(minutes):.1f} minutes each "
        f"({_each(each['machine']['cpu'] for each in trained)}; device {_each(each['device'] for each in trained)}, "
        f"threads: {_each(str(each['threads']) for each in trained)}).",
        f"Measured at commit {_each(each['commit'][:8] for each in tested)} on a test set with the SHA-256 "
        f"{_each(each['data_sha256'] for each in tested)}.",
        f"SHA-256 of the photographs: {_each(each['data_sha256'] for each in on_photographs)}." * bool(on_photographs),
        "Every number with its configuration, machine and versions: the JSON files beside the report.",
    ]
    return " ".join(filter(None, sentences))


def _each(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def show(page: str, source: Path, content: str) -> None:
    """Put `content` between the markers of `source` on a page of the documentation; say so where there are none."""
    path, marker = REPOSITORY / page, source.relative_to(REPOSITORY).as_posix()
    text = path.read_text(encoding="utf-8")
    if f"<!-- {marker} -->\n" in text:
        write(path, with_section(text, marker, content))
    else:
        print(f"{page} shows no {marker}: write the lines <!-- {marker} --> and <!-- end --> where it shall stand.")
