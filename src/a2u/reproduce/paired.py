"""Compare rows over seeds: difference, interval, test, effect size, correction for many tests. Numbers only."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

Scores = Mapping[int, float] | float  # of a row: by seed, or a single one if it is deterministic

LEVEL = 0.05  # of every test, two-sided; intervals cover 1 - LEVEL


@dataclass(frozen=True)
class Difference:
    """A row minus another, in the unit of the metric.

    Attributes:
        seeds: number of pairs; 0 if both rows are deterministic, and the difference is exact.
        mean: of the differences.
        low, high: 95% confidence interval of the mean (Student's t).
        p: of the paired t-test, two-sided.
        effect: Hedges' g of paired values: mean / standard deviation of the differences (Cohen's d_z), times the
            correction that makes it unbiased. None with two seeds, for which there is no correction, and if the
            differences are all equal.
    """

    seeds: int
    mean: float
    low: float
    high: float
    p: float
    effect: float | None


def mean(scores: Scores) -> float:
    """Return the mean over all seeds of a row."""
    return statistics.fmean(scores.values()) if isinstance(scores, Mapping) else scores


def difference(row: Scores, other: Scores) -> Difference | None:
    """Return `row` minus `other` over the seeds that both have; None if these are fewer than two.

    A deterministic row is a constant, so the test is then a one-sample t-test.
    """
    chances = [set(scores) for scores in (row, other) if isinstance(scores, Mapping)]
    seeds = sorted(set.intersection(*chances)) if chances else []
    if chances and len(seeds) < 2:
        return None
    values = [_of(row, seed) - _of(other, seed) for seed in seeds or [0]]  # two constants have one difference
    center = statistics.fmean(values)
    if min(values) == max(values):  # SciPy divides by zero
        return Difference(len(seeds), center, center, center, 1.0 if center == 0 else 0.0, None)
    from scipy import stats  # half a second to import, and tables of one seed do not need it

    test = stats.ttest_1samp(values, 0.0)
    low, high = test.confidence_interval(1 - LEVEL)
    effect = center / statistics.stdev(values) * _unbiased(len(seeds)) if len(seeds) > 2 else None
    return Difference(len(seeds), center, float(low), float(high), float(test.pvalue), effect)


def differences_from(baseline: str, scores: Mapping[str, Scores]) -> dict[str, Difference]:
    """Return every other row minus `baseline`, p Holm-corrected over them, if they share at least two seeds."""
    found = differences([(row, baseline) for row in scores if row != baseline], scores)
    return {row: each for (row, _), each in found.items()}


def differences(pairs: Iterable[tuple[str, str]], scores: Mapping[str, Scores]) -> dict[tuple[str, str], Difference]:
    """Return the first row of each pair minus the second, p Holm-corrected over all, if they share two seeds."""
    found = {(row, other): difference(scores[row], scores[other]) for row, other in pairs}
    compared = {pair: each for pair, each in found.items() if each is not None}
    tested = [pair for pair, each in compared.items() if each.seeds]  # an exact difference needs no test
    corrected = holm([compared[pair].p for pair in tested])
    return compared | {pair: replace(compared[pair], p=p) for pair, p in zip(tested, corrected, strict=True)}


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the family-wise error rate (Holm 1979)."""
    adjusted, least = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = least
    return adjusted


def smallest_effect(seeds: int, comparisons: int) -> float:
    """Return the smallest |mean| / standard deviation (d_z) that is significant as the largest of `comparisons`."""
    from scipy import stats

    return float(stats.t.isf(LEVEL / (2 * comparisons), seeds - 1)) / math.sqrt(seeds)


def _of(scores: Scores, seed: int) -> float:
    return scores[seed] if isinstance(scores, Mapping) else scores


def _unbiased(seeds: int) -> float:
    """Return Hedges' correction factor for this many differences; near 1 - 3 / (4 seeds - 5)."""
    free = seeds - 1
    return math.exp(math.lgamma(free / 2) - math.lgamma((free - 1) / 2)) / math.sqrt(free / 2)
