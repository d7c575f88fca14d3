"""Statistics over seeds, against published numbers, SciPy, definitions and simulation."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from a2u.reproduce.paired import LEVEL, difference, differences_from, holm, smallest_effect

# Student's sleep data (1908), in R as `sleep`: additional hours after two drugs, ten patients.
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


def by_seed(values):
    return dict(enumerate(map(float, values)))


def test_the_known_example_gives_what_r_prints_for_it():
    """t.test(first, second, paired = TRUE): t = -4.0621, df = 9, p-value = 0.002833, -2.4598858 -0.7001142."""
    found = difference(FIRST, SECOND)
    assert (found.seeds, found.mean) == (10, pytest.approx(-1.58))
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.low, found.high) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert found.effect == pytest.approx(-4.0621 / math.sqrt(10) * 0.914, abs=1e-3)  # Hedges (1981): c(9) = 0.914


@pytest.mark.parametrize("seeds", [2, 3, 5, 12])
def test_the_paired_test_is_scipys(seeds):
    rng = np.random.default_rng(seeds)
    row, other = rng.normal(3, 1, seeds), rng.normal(4, 2, seeds)
    found, expected = difference(by_seed(row), by_seed(other)), stats.ttest_rel(row, other)
    assert found.mean == pytest.approx((row - other).mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_two_seeds_follow_the_cauchy_distribution_and_have_no_unbiased_effect():
    found = difference({0: 1.0, 1: 4.0}, {0: 0.0, 1: 1.0})  # differences 1 and 3: mean 2, standard error 1
    assert found.p == pytest.approx(2 / math.pi * math.atan(1 / 2))
    assert found.high - found.mean == pytest.approx(math.tan(math.pi / 2 * 0.95))
    assert found.effect is None


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=2, max_size=6))
@settings(max_examples=50, deadline=None)
def test_the_other_way_round_it_is_the_same_with_the_other_sign(pairs):
    row, other = by_seed(a for a, _ in pairs), by_seed(b for _, b in pairs)
    there, back = difference(row, other), difference(other, row)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    assert back.p == pytest.approx(there.p)
    assert (there.p < LEVEL) == (not there.low <= 0 <= there.high)  # test and interval agree


def test_only_seeds_that_both_rows_have_are_paired():
    row, other = {0: 3.0, 1: 5.0, 2: 9.0, 7: 100.0}, {2: 6.0, 1: 4.0, 0: 1.0, 5: -100.0}
    assert difference(row, other) == difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 4.0, 2: 6.0})
    assert difference(row, {0: 1.0, 5: 2.0}) is None
    assert difference({3: 1.0}, 2.0) is None


def test_differences_that_are_all_the_same_are_certain():
    row = {0: 1.0, 1: 2.0, 2: 4.0}
    same = difference(row, dict(row))
    assert (same.mean, same.low, same.high, same.p, same.effect) == (0, 0, 0, 1, None)
    shifted = difference(row, {seed: value - 0.5 for seed, value in row.items()})
    assert (shifted.seeds, shifted.mean, shifted.low, shifted.high, shifted.p) == (3, 0.5, 0.5, 0.5, 0)


def test_a_row_without_chance_is_a_constant():
    found, expected = difference(FIRST, 0.5), stats.ttest_1samp(list(FIRST.values()), 0.5)
    assert (found.seeds, found.p) == (10, pytest.approx(expected.pvalue))
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low - 0.5, high - 0.5))
    exact = difference(8.0, 3.0)
    assert (exact.seeds, exact.mean, exact.p) == (0, 5.0, 0.0)
    assert difference(8.0, 8.0).p == 1.0


@pytest.mark.parametrize("seeds", [3, 4, 8])
def test_the_effect_size_is_unbiased(seeds):
    """Of normal differences with mean 0.8 and standard deviation 1; Cohen's d_z at three seeds is 77% too large."""
    values = np.random.default_rng(0).normal(0.8, 1, (200_000, seeds))
    cohen = values.mean(1) / values.std(1, ddof=1)
    factor = difference(by_seed(values[0]), 0.0).effect / cohen[0]
    assert factor < 1
    assert (cohen * factor).mean() == pytest.approx(0.8, abs=0.02)


def test_holm_gives_what_r_prints():
    """p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.5), "holm"), and an order that is not ascending."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.5]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.5])
    assert holm([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_holm_is_closed_testing_with_bonferroni(p):
    """A hypothesis is rejected where Bonferroni rejects every set of hypotheses that it belongs to."""
    sets = [chosen for size in range(1, len(p) + 1) for chosen in itertools.combinations(range(len(p)), size)]
    expected = [
        max(min(1.0, len(chosen) * min(p[other] for other in chosen)) for chosen in sets if index in chosen)
        for index in range(len(p))
    ]
    assert holm(p) == pytest.approx(expected)


def test_each_row_is_compared_with_the_baseline_and_corrected_for_the_tests_made():
    scores = {"a": FIRST, "b": SECOND, "fixed": 0.5, "once": {0: 1.0}, "c": {k: v + 0.1 * k for k, v in FIRST.items()}}
    found = differences_from("a", scores)
    assert list(found) == ["b", "fixed", "c"]  # a single seed cannot be compared
    plain = [difference(scores[row], FIRST).p for row in found]
    assert [each.p for each in found.values()] == pytest.approx(holm(plain))
    of_fixed = differences_from("fixed", {"fixed": 0.5, "other": 0.7, "b": SECOND})
    assert of_fixed["b"].p == pytest.approx(difference(SECOND, 0.5).p)  # one test: the exact difference is none
    assert of_fixed["other"].p == 0


@pytest.mark.parametrize(("seeds", "rows"), [(2, 2), (3, 13), (8, 4)])
def test_the_smallest_effect_is_where_the_best_of_several_becomes_significant(seeds, rows):
    shape = np.arange(seeds) - (seeds - 1) / 2
    shape /= statistics.stdev(shape)
    others = {f"other{number}": by_seed(shape[::-1]) for number in range(rows - 2)}
    for factor, significant in ((1.01, True), (0.99, False)):
        clear = by_seed(shape + factor * smallest_effect(seeds, rows - 1))
        found = differences_from("zero", {"zero": by_seed(np.zeros(seeds)), "clear": clear, **others})
        assert (found["clear"].p < LEVEL) is significant
