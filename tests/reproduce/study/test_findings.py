"""The protocol's statistics against SciPy and definitions; its rules at their borders."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from a2u.reproduce.paired import Difference
from a2u.reproduce.published import rows_of
from a2u.reproduce.study.findings import Findings, Outcome, Verdict, find, outcomes, verdict_of
from a2u.reproduce.study.protocol import MATTERS

ROWS = [row for row in rows_of("table2") if row != "trimap_only"]
A2U = [row for row in ROWS if row.startswith("a2u")]


def sad_of(rows=ROWS, seeds=6, spread=0.1):
    """Numbers of every row that have the seeds' part in common."""
    rng = np.random.default_rng(len(rows) + seeds)
    common = rng.normal(0, spread, seeds)
    values = {row: 3 + rng.normal(0, 0.1) + common + rng.normal(0, spread, seeds) for row in rows}
    return {row: dict(enumerate(map(float, each))) for row, each in values.items()}


def differences(rows, pairs=(), tau=None, tau_p=None, seeds=6):
    """Findings of given differences."""
    by_seed = {row: dict.fromkeys(range(seeds), each.mean) for row, each in rows.items()}
    return Findings(seeds, dict(rows), by_seed, dict.fromkeys(rows, -1.0), dict(pairs), tau, tau_p)


def step_down(p):
    """Holm's rule as it is told: from the smallest on, each times how many are left, never less than the one before."""
    order, adjusted = np.argsort(p), np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1, np.sort(p) * np.arange(len(p), 0, -1)))
    return adjusted


@pytest.mark.parametrize("seeds", [2, 6, 10])
def test_rows_and_pairs_are_tested_as_scipy_does_and_corrected_within_their_family(seeds):
    sad = sad_of(seeds=seeds)
    found, values = find(sad), {row: np.array(list(each.values())) for row, each in sad.items()}
    base = values["nearest"]
    tests = {row: stats.ttest_rel(values[row], base) for row in ROWS if row != "nearest"}
    assert list(found.rows) == list(tests)
    for row, test in tests.items():
        each, percent = found.rows[row], 100 / base.mean()
        assert each.mean == pytest.approx(percent * (values[row] - base).mean())
        assert (each.low, each.high) == pytest.approx(tuple(percent * np.array(test.confidence_interval(0.95))))
        assert list(found.by_seed[row].values()) == pytest.approx(percent * (values[row] - base))
    corrected = step_down([test.pvalue for test in tests.values()])
    assert [each.p for each in found.rows.values()] == pytest.approx(corrected)

    pairs = {pair: stats.ttest_rel(values[pair[0]], values[pair[1]]) for pair in itertools.combinations(A2U, 2)}
    assert len(pairs) == 28
    assert list(found.pairs) == list(pairs)
    corrected = step_down([test.pvalue for test in pairs.values()])
    assert [each.p for each in found.pairs.values()] == pytest.approx(corrected)
    for pair, test in pairs.items():
        assert np.sign(found.pairs[pair].mean) == np.sign(test.statistic)


def test_the_effect_size_is_hedges():
    """Cohen's d_z times 0.8408, his table's c(5), of six paired differences."""
    sad = sad_of()
    apart = np.subtract(list(sad["indexnet"].values()), list(sad["nearest"].values()))
    cohen = apart.mean() / apart.std(ddof=1)
    assert find(sad).rows["indexnet"].effect == pytest.approx(0.8408 * cohen, rel=1e-3)


def test_the_papers_differences_are_those_of_the_protocol():
    paper = find(sad_of()).paper
    assert paper["indexnet"] == pytest.approx(-8.6, abs=0.05)
    assert paper["bilinear"] == pytest.approx(-0.5, abs=0.05)
    assert paper["carafe"] == pytest.approx(9.3, abs=0.05)
    gains = [-paper[row] for row in A2U]
    assert (min(gains), max(gains)) == pytest.approx((2.3, 14.3), abs=0.05)
    assert pytest.approx(-paper["a2u_dynamic_cs"] / 2, abs=0.05) == MATTERS


def test_kendalls_p_is_exact():
    """By counting all orders of five rows that agree, or disagree, as much."""
    rows = ["nearest", "bilinear", "carafe", "indexnet", "a2u_static_cw", "a2u_dynamic_cs"]
    found = find(sad_of(rows))

    def tau(first, second):
        signs = [
            math.copysign(1, (first[i] - first[j]) * (second[i] - second[j]))
            for i, j in itertools.combinations(range(len(first)), 2)
        ]
        return sum(signs) / len(signs)

    ours = [each.mean for each in found.rows.values()]
    observed = tau(ours, list(found.paper.values()))
    assert found.tau == pytest.approx(observed)
    every = [abs(tau(order, range(5))) for order in itertools.permutations(range(5))]
    assert found.tau_p == pytest.approx(np.mean([each >= abs(observed) - 1e-9 for each in every]))


def test_kendalls_tau_of_the_papers_own_order_is_one():
    paper = find(sad_of()).paper
    sad = {"nearest": {0: 100.0, 1: 101.0}}
    sad |= {row: {0: 100 + gain, 1: 101 + 1.1 * gain} for row, gain in paper.items()}
    found = find(sad)
    assert found.tau == 1
    assert found.tau_p == pytest.approx(2 / math.factorial(11))
    assert outcomes(found)["H5"] == {"": Outcome.supported}


numbers = st.floats(-20, 20)


@given(numbers, numbers, numbers, st.floats(0, 1))
def test_a_verdict_follows_the_rules_in_their_order(mean, low, high, p):
    assume(mean != 0)
    low, high = sorted((low, high))
    expected = "undecided"
    if abs(low) <= 2.2 and abs(high) <= 2.2:
        expected = "no difference that matters"
    if p < 0.05:
        expected = "better" if mean < 0 else "worse"
    assert verdict_of(Difference(6, mean, low, high, p, None)).value == expected


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (-2.2, 2.2, 0.05, Verdict.same),
        (-2.2, 2.2, 0.0499, Verdict.better),
        (-2.2001, 2.2, 1.0, Verdict.undecided),
        (-2.2, 2.2001, 1.0, Verdict.undecided),
        (-9.0, -3.0, 0.05, Verdict.undecided),  # by itself significant, not among the others
    ],
)
def test_the_borders_of_the_rules(low, high, p, verdict):
    assert verdict_of(Difference(6, -0.5, low, high, p, None)) is verdict


BETTER, WORSE = Difference(6, -5, -7, -3, 0.01, -2.0), Difference(6, 5, 3, 7, 0.01, 2.0)
SAME, UNDECIDED = Difference(6, 0.1, -1, 1.2, 1.0, 0.1), Difference(6, 1, -3, 5, 0.6, 0.3)


@pytest.mark.parametrize(
    ("each", "gain", "sameness", "loss"),
    [
        (BETTER, "supported", "contradicted", "contradicted"),
        (WORSE, "contradicted", "contradicted", "supported"),
        (SAME, "not supported", "supported", "not supported"),
        (UNDECIDED, "open", "open", "open"),
    ],
)
def test_a_hypothesis_about_a_row_has_the_outcome_of_its_verdict(each, gain, sameness, loss):
    found = outcomes(differences({"bilinear": each, "carafe": each, "indexnet": each, "a2u_static_cw": each}))
    assert {row: outcome.value for row, outcome in found["H1"].items()} == {"indexnet": gain, "a2u_static_cw": gain}
    assert {row: outcome.value for row, outcome in found["H2"].items()} == {"bilinear": sameness}
    assert {row: outcome.value for row, outcome in found["H3"].items()} == {"carafe": loss}


@pytest.mark.parametrize(
    ("tau", "tau_p", "outcome"),
    [(0.6, 0.01, "supported"), (0.6, 0.05, "open"), (-0.6, 0.01, "open"), (None, None, "open")],
)
def test_the_order_is_the_papers_where_tau_says_so(tau, tau_p, outcome):
    assert outcomes(differences({}, tau=tau, tau_p=tau_p))["H5"][""].value == outcome


def test_the_a2u_rows_differ_where_one_pair_does():
    pairs = {("a2u_a", "a2u_b"): UNDECIDED, ("a2u_a", "a2u_c"): BETTER}
    assert outcomes(differences({}, pairs))["H4"][""] is Outcome.supported
    assert list(differences({}, pairs).different) == [("a2u_a", "a2u_c")]
    assert outcomes(differences({}, {("a2u_a", "a2u_b"): UNDECIDED}))["H4"][""] is Outcome.open
