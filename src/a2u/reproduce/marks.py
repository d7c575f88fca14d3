"""Marks in a table of several seeds: the best row of a metric, and the rows within noise of it."""

import math
from collections.abc import Mapping
from itertools import combinations

from a2u.metrics import HIGHER_IS_BETTER
from a2u.reproduce.paired import LEVEL, Scores, differences, mean, smallest_effect
from a2u.reproduce.published import REFERENCE

BEST, NOISE = "★", "≈"
FEW = 5  # seeds; with fewer hardly any test finds anything


def marks(scores: Mapping[str, Scores], metric: str) -> dict[str, str]:
    """What stands behind each row's number: BEST, NOISE or nothing; nothing at all where there is no noise to see.

    A row is within noise unless it is shown to differ from the best, so that one which cannot be tested is too.
    The reference is no contender: it has no mark, and its comparisons would cost the others power.
    """
    unmarked, scores = dict.fromkeys(scores, ""), _contenders(scores)
    if not comparable(scores):
        return unmarked
    best = (max if metric in HIGHER_IS_BETTER else min)(scores, key=lambda row: mean(scores[row]))
    rows = [best, *(row for row in scores if row != best)]
    found = differences(combinations(rows, 2), scores)  # all pairs, for the seeds might have chosen another row as best
    worse = {row for (first, row), each in found.items() if first == best and each.p < LEVEL}
    return unmarked | {row: BEST if row == best else "" if row in worse else NOISE for row in scores}


def _contenders(scores: Mapping[str, Scores]) -> dict[str, Scores]:
    return {row: each for row, each in scores.items() if row != REFERENCE}


def marks_words(scores: Mapping[str, Scores]) -> str:
    """What the marks of a table say and what not; empty where nothing was trained, or there is one row."""
    scores = _contenders(scores)
    if not comparable(scores):
        return "With one seed nothing can be said about noise: no row is marked." if most_seeds(scores) == 1 else ""
    constants = sum(not isinstance(each, Mapping) for each in scores.values())
    tests = math.comb(len(scores), 2) - math.comb(constants, 2)  # two constants differ or do not, without a test
    return (
        f"{BEST}: the best mean of a metric. {NOISE}: not shown to differ from it, by a paired t-test over the seeds "
        f"of both rows (two-sided, {LEVEL:.0%}, Holm-corrected over all pairs of rows, since {BEST} is chosen by the "
        f"same seeds; a row without chance is a constant). {power_words(scores, tests)} The other rows are worse than "
        f"{BEST}, and not ranked."
    )


def power_words(scores: Mapping[str, Scores], tests: int) -> str:
    """How little is found by so many tests, corrected together, of rows that are comparable."""
    seeds = most_seeds(scores)
    what = f"the clearest of {tests} differences" if tests > 1 else "a difference"
    found = f"{what} has to be {smallest_effect(seeds, tests):.1f} times its standard deviation over seeds to be found"
    if seeds < FEW:
        return (
            f"With {seeds} seeds the test has hardly any power: {found}, so nearly every row has {NOISE}, which does "
            "not say equal."
        )
    return f"With {seeds} seeds {found}; {NOISE} does not say equal."


def comparable(scores: Mapping[str, Scores]) -> bool:
    """Whether there are two rows, and two seeds of one."""
    return len(scores) > 1 and most_seeds(scores) > 1


def most_seeds(scores: Mapping[str, Scores]) -> int:
    """Of a row; 0 where no row knows chance."""
    return max((len(each) for each in scores.values() if isinstance(each, Mapping)), default=0)
