"""The study's tables, from its records."""

from collections.abc import Sequence
from pathlib import Path

from a2u.errors import A2UError
from a2u.reproduce.paired import Difference
from a2u.reproduce.render import TITLES, Results, digits_for, scores_of, spread
from a2u.reproduce.study.conclusion import Setting, p_words, percent
from a2u.reproduce.study.findings import Findings, find, verdict_of
from a2u.reproduce.study.protocol import BASELINE, METRIC
from a2u.reproduce.study.records import measured

Lines = tuple[list[str], list[list[str]]]  # header and rows
NUMBERS = ("difference", "95% interval", "p", "g")
DASH = "—"


class StudyError(A2UError):
    """There is nothing to report."""


def findings_of(records: Results, folder: Path) -> Findings:
    """What was found. Raises StudyError, which names `folder`, where there is nothing to compare."""
    sad = scores_of(measured(records, "test"), METRIC)
    trained = {row: scores for row, scores in sad.items() if not isinstance(scores, float)}
    if len(trained.get(BASELINE, ())) < 2:
        raise StudyError(
            f"{folder} has no two seeds of {BASELINE}, so there is nothing to compare; run `make study`, then "
            "`make study ARGS=publish=true`."
        )
    return find(trained)


def setting_of(records: Results) -> Setting:
    """What the findings are about."""
    run = records[BASELINE][0]
    training = run["training"]
    width, steps = training["config"]["model"]["width"], training["provenance"]["steps"]
    return Setting(training["scale"], width, steps, run["test"]["provenance"]["test_images"])


def main_table(records: Results, found: Findings) -> Lines:
    """Every row's primary measure and how far it is from the baseline, beside the paper's difference."""
    results = measured(records, "test")
    digits = digits_for(run for runs in results.values() for run in runs)[METRIC]
    header = ["row", "params", TITLES[METRIC], *NUMBERS, "verdict", "paper"]
    lines = []
    for row, runs in results.items():
        cells = [row, f"{runs[0]['params']:,}", spread([run["metrics"][METRIC] for run in runs], digits)]
        if row in found.rows:
            each = found.rows[row]
            cells += [*_numbers(each), verdict_of(each).value, percent(found.paper[row])]
        lines.append(cells + [DASH] * (len(header) - len(cells)))
    return header, lines


def main_words(found: Findings, setting: Setting) -> str:
    """What the columns of the main table are."""
    return (
        f"SAD / 1,000 on the {setting.test_images} test images, mean ± standard deviation over {found.seeds} seeds. "
        f"difference: from {BASELINE}, in percent of its mean, paired over seeds; below zero is better. 95% interval: "
        f"Student's t, each by itself. p: paired t-test, two-sided, Holm-corrected over the {len(found.rows)} rows. g: "
        "Hedges' g of paired values. paper: its printed difference on Composition-1k. trimap_only is the reference: "
        "alpha 0.5 in the unknown region."
    )


def pairs_table(found: Findings) -> Lines:
    """The pairs of A2U rows that are shown to differ; no lines where none is."""
    lines = [[f"{first} − {second}", *_numbers(each)] for (first, second), each in found.different.items()]
    return ["pair", *NUMBERS], lines


def secondary_table(results: Results, metrics: Sequence[str]) -> Lines:
    """Mean and deviation of every row's metrics; nothing is tested.

    results: of one test set, as `measured` gives them.
    """
    digits = digits_for(run for runs in results.values() for run in runs)
    lines = [
        [row, *(spread([run["metrics"][name] for run in runs], digits[name]) for name in metrics)]
        for row, runs in results.items()
    ]
    return ["row", *(TITLES[name] for name in metrics)], lines


def _numbers(each: Difference) -> list[str]:
    effect = DASH if each.effect is None else f"{each.effect:+.2f}"
    return [percent(each.mean), f"{percent(each.low)} to {percent(each.high)}", p_words(each.p), effect]
