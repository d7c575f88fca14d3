"""The page beside a table of several seeds: how far its rows are from one of them, metric by metric."""

from collections.abc import Mapping

from a2u.metrics import HIGHER_IS_BETTER
from a2u.reproduce.marks import NOISE, comparable, power_words
from a2u.reproduce.paired import LEVEL, Difference, Scores, differences_from
from a2u.reproduce.published import metrics_of, title_of
from a2u.reproduce.render import TITLES, Results, as_markdown, as_text, digits_for, scores_of

Block = tuple[list[str], list[list[str]]]  # header and lines of one metric
HEADER = ("difference", "95% interval", "p", "g", "seeds", "verdict")


def differences_page(
    table: str, dataset: str, scale: str, results: Results, baseline: str | None = None
) -> tuple[str, str]:
    """Text and Markdown of `difference_blocks`, which names the arguments; empty where there are none."""
    words, blocks = difference_blocks(table, dataset, scale, results, baseline)
    if not blocks:
        return "", ""
    text, markdown = ("\n".join([f"{words}\n", *(form(*block) for block in blocks)]) for form in (as_text, as_markdown))
    return text, markdown


def difference_blocks(
    table: str, dataset: str, scale: str, results: Results, baseline: str | None = None
) -> tuple[str, list[Block]]:
    """Words and a block a metric: each row minus `baseline`. None where rows are not comparable, or it has no result.

    Args:
        table: such as "table2".
        dataset: what it was measured on.
        scale: such as "lite".
        results: for each row, in order, its results, one a seed.
        baseline: a row; None: the first that is trained.
    """
    metrics = metrics_of(table)
    scores = {metric: scores_of(results, metric) for metric in metrics}
    of_main = scores[metrics[0]]
    baseline = baseline or next((row for row, each in of_main.items() if isinstance(each, Mapping)), None)
    if not comparable(of_main) or baseline not in of_main:
        return "", []
    title = f"{title_of(table)} on dataset={dataset}, scale {scale}"
    words = _words(title, baseline, of_main)
    digits = digits_for(run for runs in results.values() for run in runs)
    return words, [_block(metric, baseline, scores[metric], digits[metric]) for metric in metrics]


def _words(title: str, baseline: str, scores: Mapping[str, Scores]) -> str:
    return (
        f"{title}: each row minus {baseline}, over the seeds that both have. difference: the mean, with its 95% "
        "confidence interval (Student's t, each by itself). p: paired t-test, two-sided, Holm-corrected over the rows "
        "of a metric; a row without chance is a constant. g: the mean in standard deviations of the differences, with "
        f"Hedges' correction for few seeds. verdict: at {LEVEL:.0%}; {NOISE}: no difference shown. "
        f"{power_words(scores, len(scores) - 1)}"
    )


def _block(metric: str, baseline: str, scores: Mapping[str, Scores], digits: int) -> Block:
    """Header and rows of one metric."""
    compared = differences_from(baseline, scores)
    lines = [[row, *_cells(metric, compared.get(row), digits)] for row in scores if row != baseline]
    return [TITLES[metric], *HEADER], lines


def _cells(metric: str, found: Difference | None, digits: int) -> list[str]:
    if found is None:
        return ["—"] * len(HEADER)
    verdict = NOISE
    if found.p < LEVEL:
        verdict = "better" if (found.mean > 0) == (metric in HIGHER_IS_BETTER) else "worse"
    return [
        f"{found.mean:+.{digits}f}",
        f"{found.low:+.{digits}f} to {found.high:+.{digits}f}" if found.seeds else "exact",
        ("<0.001" if found.p < 0.001 else f"{found.p:.3f}") if found.seeds else "—",
        f"{found.effect:+.2f}" if found.effect is not None else "—",
        f"{found.seeds}" if found.seeds else "—",
        verdict,
    ]
