"""Differences between the rows of a table of several seeds and a baseline, for each metric."""

import math
from collections.abc import Mapping
from itertools import combinations

from a2u.metrics import HIGHER_IS_BETTER
from a2u.reproduce.paired import LEVEL, Difference, Scores, differences, differences_from, mean, smallest_effect
from a2u.reproduce.published import REFERENCE, metrics_of
from a2u.reproduce.render import TITLES, Group, Results, digits_for
from a2u.reproduce.tables import DASH, Cell, Column, Table, count, number, words

COLUMNS = ("difference", "95% interval", "p", "g", "seeds")


def scores_of(results: Results, metric: str) -> dict[str, Scores]:
    """Return a metric of every row that has results, by seed; for an untrained row, its single value."""
    return {
        row: {run["seed"]: run["metrics"][metric] for run in runs} if runs[0]["params"] else runs[0]["metrics"][metric]
        for row, runs in results.items()
        if runs
    }


def difference_tables(group: Group, results: Results, baseline: str | None = None) -> tuple[str, list[Table]]:
    """Return a text and a table per metric: each row minus `baseline`, by default the first trained row.

    Empty if no two rows have two seeds, or the baseline has no result.
    """
    scores = {metric: scores_of(results, metric) for metric in metrics_of(group.table)}
    main = next(iter(scores.values()))
    baseline = baseline or next((row for row, each in main.items() if isinstance(each, Mapping)), None)
    if len(main) < 2 or most_seeds(main) < 2 or baseline not in main:
        return "", []
    digits = digits_for(run for runs in results.values() for run in runs)
    tables = [_table(group, metric, baseline, each, digits[metric]) for metric, each in scores.items()]
    return _words(group, baseline, main), tables


def differences_page(group: Group, results: Results, baseline: str | None = None) -> tuple[str, str]:
    """Return the text and Markdown of `difference_tables`; empty if there are none."""
    said, tables = difference_tables(group, results, baseline)
    if not tables:
        return "", ""
    texts, markdowns = [table.text() for table in tables], [table.markdown() for table in tables]
    return "\n".join([f"{said}\n", *texts]), "\n".join([f"{said}\n", *markdowns])


def most_seeds(scores: Mapping[str, Scores]) -> int:
    """Return the largest number of seeds of a row; 0 if no row is trained."""
    return max((len(each) for each in scores.values() if isinstance(each, Mapping)), default=0)


def _words(group: Group, baseline: str, scores: Mapping[str, Scores]) -> str:
    seeds, tests = most_seeds(scores), len(scores) - 1
    what = f"the clearest of {tests} differences" if tests > 1 else "a difference"
    return (
        f"{group.title}: each row minus {baseline}, over the seeds that both have. Mean difference with 95% confidence "
        "interval (Student's t, each by itself); p of a paired t-test, two-sided, Holm-corrected over the rows of a "
        "metric, where a row without training is a constant; g: Hedges' g of paired values; verdict at "
        f"{LEVEL:.0%}. With {seeds} seeds {what} has to be {smallest_effect(seeds, tests):.1f} times its standard "
        "deviation over seeds to be found, so 'not shown' does not say equal."
    )


def _table(group: Group, metric: str, baseline: str, scores: Mapping[str, Scores], digits: int) -> Table:
    compared = differences_from(baseline, scores)
    columns = [Column(TITLES[metric], is_number=False), *map(Column, COLUMNS), Column("verdict", is_number=False)]
    rows = [[words(row), *_cells(metric, compared.get(row), digits)] for row in scores if row != baseline]
    return Table(columns, rows, _best(metric, scores), f"{group.title}, {TITLES[metric]}")


def _cells(metric: str, found: Difference | None, digits: int) -> list[Cell]:
    if found is None:
        return [DASH] * (len(COLUMNS) + 1)
    verdict = "not shown"
    if found.p < LEVEL:
        verdict = "better" if (found.mean > 0) == (metric in HIGHER_IS_BETTER) else "worse"
    interval = Cell(f"{found.low:+.{digits}f} to {found.high:+.{digits}f}", key=found.low)
    p = Cell("<0.001" if found.p < 0.001 else f"{found.p:.3f}", key=found.p)
    return [
        number([found.mean], digits, "+"),
        interval if found.seeds else words("exact"),
        p if found.seeds else DASH,
        number([] if found.effect is None else [found.effect], 2, "+"),
        count(found.seeds or None),
        words(verdict),
    ]


def _best(metric: str, scores: Mapping[str, Scores]) -> str:
    """Name the best row and those shown to be worse, corrected over all pairs, since the same seeds chose the best."""
    scores = {row: each for row, each in scores.items() if row != REFERENCE}
    if len(scores) < 2:
        return ""
    best = (max if metric in HIGHER_IS_BETTER else min)(scores, key=lambda row: mean(scores[row]))
    pairs = combinations([best, *(row for row in scores if row != best)], 2)
    worse = [row for (first, row), each in differences(pairs, scores).items() if first == best and each.p < LEVEL]
    return (
        f"Best mean: {best}; shown to be worse, Holm-corrected over all {math.comb(len(scores), 2)} pairs: "
        f"{', '.join(worse) or 'none'}."
    )
