"""Marks of a table: which row is best, which are within noise, and what the words below say of it."""

import math
import re
import statistics

import numpy as np
import pytest
from scipy import stats

from a2u.reproduce.marks import marks, marks_words
from a2u.reproduce.paired import LEVEL

BASE = {0: 3.0, 1: 4.0, 2: 3.5}


def shifted(by, spread=0.0):
    """BASE, larger by `by`, and by more or less of `spread` from seed to seed."""
    return {seed: value + by + spread * sign for (seed, value), sign in zip(BASE.items(), (-1, 1, 0), strict=True)}


def by_seed(values):
    return dict(enumerate(map(float, values)))


SCORES = {"best": BASE, "near": shifted(0.1, 0.3), "far": shifted(5.0, 0.01)}


def test_the_lowest_error_is_best_and_rows_that_are_not_shown_to_differ_are_within_noise():
    assert marks(SCORES, "sad") == {"best": "★", "near": "≈", "far": ""}


@pytest.mark.parametrize("metric", ["psnr", "ssim"])
def test_of_psnr_and_ssim_the_highest_is_best(metric):
    assert marks(SCORES, metric) == {"best": "", "near": "", "far": "★"}


def test_the_same_difference_is_noise_where_seeds_are_not_paired_with_themselves():
    """All of the spread is shared by both rows; the test sees it because it goes seed by seed."""
    scores = {"a": {0: 1.0, 1: 9.0, 2: 5.0}, "b": {0: 1.11, 1: 9.1, 2: 5.09}}
    assert marks(scores, "sad") == {"a": "★", "b": ""}
    scores["b"] = {0: 9.1, 1: 5.09, 2: 1.11}
    assert marks(scores, "sad") == {"a": "★", "b": "≈"}


def test_more_rows_make_noise_of_what_a_single_comparison_finds():
    scores = {"best": BASE, "worse": shifted(1.0, 0.3)}
    assert marks(scores, "sad")["worse"] == ""
    crowd = {f"row{number}": shifted(0.1, 0.5) for number in range(8)}
    assert marks(scores | crowd, "sad")["worse"] == "≈"


def test_of_equal_rows_one_is_called_worse_than_the_best_in_no_more_tables_than_the_level_says():
    """The best of them was made so by chance, and looks better than it is."""
    tables = np.random.default_rng(0).normal(3, 1, (500, 6, 10))  # of six rows, ten seeds
    order = tables.mean(2).argsort(1)[..., None]
    best, *others = np.moveaxis(np.take_along_axis(tables, order, 1), 1, 0)
    plain = np.array([stats.ttest_rel(best, other, axis=1).pvalue for other in others])
    suspect = tables[plain.min(0) < LEVEL]  # no correction makes a difference clearer: the others are spared
    found = [marks({f"row{number}": by_seed(row) for number, row in enumerate(rows)}, "sad") for rows in suspect]
    wrong = sum("" in each.values() for each in found) / len(tables)
    assert 0 < wrong < LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / len(tables))


def test_the_reference_is_not_compared():
    crowd = {f"row{number}": shifted(0.1 * number, 0.3) for number in range(4)}
    assert marks({"trimap_only": 0.1} | crowd, "sad") == {"trimap_only": ""} | marks(crowd, "sad")
    assert marks_words({"trimap_only": 0.1} | crowd) == marks_words(crowd)
    assert marks({"trimap_only": 9.0, "only": BASE}, "sad") == {"trimap_only": "", "only": ""}


def test_one_seed_has_no_marks():
    assert marks({"a": {0: 1.0}, "b": {0: 2.0}, "fixed": 3.0}, "sad") == {"a": "", "b": "", "fixed": ""}
    assert marks({"a": BASE}, "sad") == {"a": ""}  # nothing to compare with


def test_a_row_of_a_single_seed_is_not_called_worse():
    assert marks({"best": BASE, "once": {0: 99.0}}, "sad") == {"best": "★", "once": "≈"}


def test_rows_without_chance_are_constants():
    far, near = {"knn": 90.0}, {"closed_form": 3.4}
    assert marks({"row": BASE} | far, "sad") == {"row": "★", "knn": ""}
    assert marks({"row": BASE} | near | far, "sad") == {"row": "≈", "closed_form": "★", "knn": ""}


@pytest.mark.parametrize(
    ("seeds", "parts"),
    [
        (1, ["With one seed nothing can be said about noise"]),
        (
            3,
            [
                "paired t-test",
                "two-sided, 5%, Holm-corrected over all pairs of rows",
                "With 3 seeds the test has hardly any power",
                "not ranked",
            ],
        ),
        (10, ["With 10 seeds a difference has to be 0.7 times", "≈ does not say equal"]),  # t(9) 2.262 / sqrt(10)
    ],
)
def test_the_words_say_what_so_many_seeds_can_tell(seeds, parts):
    row = {seed: float(seed) for seed in range(seeds)}
    words = marks_words({"a": row, "b": row})
    assert all(part in words for part in parts), words
    assert ("hardly any power" in words) is (seeds == 3)


@pytest.mark.parametrize(("rows", "seeds"), [(2, 6), (3, 3), (7, 10)])
def test_a_difference_is_marked_from_the_clearness_on_that_the_words_name(rows, seeds):
    shape = np.arange(seeds) - (seeds - 1) / 2
    shape /= statistics.stdev(shape)
    scores = {"best": by_seed(shape), "zero": by_seed(np.zeros(seeds))}
    scores |= {f"other{number}": by_seed(shape[::-1]) for number in range(rows - 2)}  # half as far from the best
    named = float(re.search(r"has to be ([\d.]+) times", marks_words(scores))[1])
    for clearness, mark in ((named + 0.1, ""), (named - 0.1, "≈")):
        found = marks(scores | {"best": by_seed(shape + clearness)}, "psnr")
        assert (found["best"], found["zero"]) == ("★", mark)


def test_nothing_is_said_of_noise_where_nothing_was_trained():
    assert marks_words({"closed_form": 3.0, "knn": 4.0}) == ""
