"""Marks in a table of several seeds: the best row of a metric, and the rows within noise of it."""

from collections.abc import Mapping

from a2u.metrics import HIGHER_IS_BETTER
from a2u.reproduce.paired import LEVEL, Scores, differences_from, mean, smallest_effect

BEST, NOISE = "★", "≈"
FEW = 5  # seeds; with fewer hardly any test finds anything


def marks(scores: Mapping[str, Scores], metric: str) -> dict[str, str]:
    """What stands behind each row's number: BEST, NOISE or nothing; nothing at all where there is no noise to see.

    A row is within noise unless it is shown to differ from the best, so that one which cannot be tested is too.
    """
    if not comparable(scores):
        return dict.fromkeys(scores, "")
    best = (max if metric in HIGHER_IS_BETTER else min)(scores, key=lambda row: mean(scores[row]))
    worse = {row for row, each in differences_from(best, scores).items() if each.p < LEVEL}
    return {row: BEST if row == best else "" if row in worse else NOISE for row in scores}


def marks_words(scores: Mapping[str, Scores]) -> str:
    """What the marks of a table say and what not; empty where nothing was trained, or there is one row."""
    if not comparable(scores):
        return "With one seed nothing can be said about noise: no row is marked." if most_seeds(scores) == 1 else ""
    return (
        f"{BEST}: the best mean of a metric. {NOISE}: not shown to differ from it, by a paired t-test over the seeds "
        f"of both rows (two-sided, {LEVEL:.0%}, Holm-corrected over the rows; a row without chance is a constant). "
        f"{power_words(scores)} The other rows are worse than {BEST}, and not ranked."
    )


def power_words(scores: Mapping[str, Scores]) -> str:
    """How little a test of each row against one finds, or a little more where that one is a constant.

    The rows are comparable.
    """
    seeds, count = most_seeds(scores), len(scores) - 1
    what = f"the clearest of {count} differences" if count > 1 else "a difference"
    found = f"{what} has to be {smallest_effect(seeds, count):.1f} times its standard deviation over seeds to be found"
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
