"""What the study found, by the protocol's rules alone. Numbers in, numbers and verdicts out."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from a2u.reproduce.paired import LEVEL, Difference, differences, differences_from, mean
from a2u.reproduce.published import printed
from a2u.reproduce.study.protocol import BASELINE, MATTERS, METRIC, TABLE

Seeds = Mapping[int, float]

OTHER_CLAIMS = ("bilinear", "carafe")  # of the paper's, than that a row is better than the baseline


class Verdict(Enum):
    """Of a row against the baseline."""

    better = "better"
    worse = "worse"
    same = "no difference that matters"
    undecided = "undecided"


class Outcome(Enum):
    """Of a hypothesis."""

    supported = "supported"
    contradicted = "contradicted"
    not_supported = "not supported"
    open = "open"


@dataclass(frozen=True)
class Findings:
    """Differences in percent of the baseline's mean; below zero is better.

    Attributes:
        seeds: so many of every row.
        rows: each other row minus the baseline, p corrected over these (family 1).
        by_seed: the same differences seed by seed.
        paper: the same of the paper's printed numbers.
        pairs: of every two A2U rows the first minus the second, p corrected over these (family 2).
        tau, tau_p: Kendall's, between the orders of `rows` and `paper`; None with fewer than two rows, and where all
            are the same.
    """

    seeds: int
    rows: dict[str, Difference]
    by_seed: dict[str, dict[int, float]]
    paper: dict[str, float]
    pairs: dict[tuple[str, str], Difference]
    tau: float | None
    tau_p: float | None

    @property
    def different(self) -> dict[tuple[str, str], Difference]:
        """The pairs shown to differ, the clearest first: Holm's p has ties."""
        found = {pair: each for pair, each in self.pairs.items() if each.p < LEVEL}
        return dict(sorted(found.items(), key=lambda item: (item[1].p, -abs(item[1].effect or math.inf))))

    def rows_with(self, verdict: Verdict) -> list[str]:
        return [row for row, each in self.rows.items() if verdict_of(each) is verdict]


def find(sad: Mapping[str, Seeds]) -> Findings:
    """What is to be concluded.

    Args:
        sad: the primary measure of every trained row by seed, two seeds at least; rows in the paper's order, the
            baseline among them.
    """
    unit = mean(sad[BASELINE]) / 100
    percent = {row: {seed: value / unit for seed, value in seeds.items()} for row, seeds in sad.items()}
    base = percent[BASELINE]
    rows = differences_from(BASELINE, percent)
    pairs = differences(itertools.combinations([row for row in sad if row.startswith("a2u_")], 2), percent)
    paper = {row: _printed(row) for row in rows}
    tau, tau_p = _kendall([each.mean for each in rows.values()], list(paper.values()))
    by_seed = {row: {seed: percent[row][seed] - base[seed] for seed in percent[row].keys() & base} for row in rows}
    return Findings(len(base), rows, by_seed, paper, pairs, tau, tau_p)


def verdict_of(found: Difference) -> Verdict:
    """The protocol's rules in their order, on a difference in percent of the baseline with its corrected p."""
    if found.p < LEVEL:
        return Verdict.better if found.mean < 0 else Verdict.worse
    return Verdict.same if matters_not(found) else Verdict.undecided


def matters_not(found: Difference) -> bool:
    """Whether the whole interval is within what would not matter."""
    return found.low >= -MATTERS and found.high <= MATTERS


def outcomes(found: Findings) -> dict[str, dict[str, Outcome]]:
    """Of H1 to H5, row by row where a hypothesis is about rows, else under an empty name."""
    verdicts = {row: verdict_of(each) for row, each in found.rows.items()}
    return {
        "H1": {row: _of_sign(each, Verdict.better) for row, each in verdicts.items() if row not in OTHER_CLAIMS},
        "H2": {row: _of_sameness(each) for row, each in verdicts.items() if row == "bilinear"},
        "H3": {row: _of_sign(each, Verdict.worse) for row, each in verdicts.items() if row == "carafe"},
        "H4": {"": Outcome.supported if found.different else Outcome.open},
        "H5": {"": Outcome.supported if _agrees(found) else Outcome.open},
    }


def _of_sign(verdict: Verdict, expected: Verdict) -> Outcome:
    if verdict is expected:
        return Outcome.supported
    return {Verdict.same: Outcome.not_supported, Verdict.undecided: Outcome.open}.get(verdict, Outcome.contradicted)


def _of_sameness(verdict: Verdict) -> Outcome:
    return {Verdict.same: Outcome.supported, Verdict.undecided: Outcome.open}.get(verdict, Outcome.contradicted)


def _agrees(found: Findings) -> bool:
    return found.tau is not None and found.tau_p is not None and found.tau > 0 and found.tau_p < LEVEL


def _printed(row: str) -> float:
    base = printed(TABLE, BASELINE)[METRIC]
    return 100 * (printed(TABLE, row)[METRIC] - base) / base


def _kendall(ours: list[float], papers: list[float]) -> tuple[float | None, float | None]:
    if len(ours) < 2:
        return None, None
    from scipy import stats  # half a second to import

    found = stats.kendalltau(ours, papers)  # exact for so few, where no two are equal
    return (None, None) if math.isnan(found.statistic) else (float(found.statistic), float(found.pvalue))
