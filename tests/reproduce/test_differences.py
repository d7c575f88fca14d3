"""The page of differences: which rows, from which baseline, in which direction better."""

import re

import pytest

from a2u.reproduce.differences import differences_page
from a2u.reproduce.render import Group


def results(scores, metrics=("sad", "mse", "grad", "conn")):
    """One result a seed and row, every metric of the same value; rows named fixed are not trained."""
    return {
        row: [
            {"seed": seed, "params": 0 if row.startswith("fixed") else 9, "metrics": dict.fromkeys(metrics, value)}
            for seed, value in enumerate(values)
        ]
        for row, values in scores.items()
    }


GROUP = Group("table2", "synthetic", "lite")
SCORES = {
    "fixed": [20.0],
    "fixed_too": [25.0],
    "nearest": [3.0, 4.0, 3.5],
    "better": [2.01, 3.0, 2.49],
    "near": [3.1, 3.8, 3.65],
    "once": [1.0],
    "missing": [],
}


def block(text, title):
    """Cells of a metric's block by row; an interval is one cell."""
    lines = re.search(rf"^{title} .*?\n-+\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL).group(1).splitlines()
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line) for line in lines)}


def test_every_row_is_compared_with_the_first_that_is_trained():
    text, markdown = differences_page(GROUP, results(SCORES))
    assert text.startswith("Table 2 on synthetic, scale lite: each row minus nearest, over the seeds")
    found = block(text, "SAD")
    assert list(found) == ["fixed", "fixed_too", "better", "near", "once"]
    # differences -0.99, -1.00, -1.01: mean -1, standard deviation 0.01, t(2) = 4.3027
    assert found["better"][:2] == ["-1.00", "-1.02 to -0.98"]
    assert found["better"][-2:] == ["3", "better"]
    assert found["near"][0] == "+0.02"
    assert found["near"][-1] == "not shown"
    assert found["fixed"][-1] == "worse"
    assert found["once"] == ["—"] * 6
    assert markdown.count("| better | -1.00 | -1.02 to -0.98 |") == 3  # SAD, Grad, Conn; MSE has four digits
    assert "With 3 seeds the clearest of 5 differences has to be 5.7 times its standard deviation" in markdown


def test_the_best_mean_is_named_and_what_is_shown_to_be_worse_over_all_pairs():
    text = differences_page(GROUP, results(SCORES))[0]
    # of the six rows; the reference is left out
    assert "Best mean: once; shown to be worse, Holm-corrected over all 15 pairs: none." in text
    scores = {row: each for row, each in SCORES.items() if row in ("trimap_only", "nearest", "better", "fixed")}
    scores = {"trimap_only": [1.0], **scores}
    fixed = results(scores)
    fixed["trimap_only"][0]["params"] = 0
    words = "Best mean: better; shown to be worse, Holm-corrected over all 3 pairs: fixed, nearest."
    assert words in differences_page(GROUP, fixed)[0]


def test_the_baseline_can_be_another_row_and_one_without_chance():
    assert block(differences_page(GROUP, results(SCORES), "better")[0], "SAD")["nearest"][-1] == "worse"
    found = block(differences_page(GROUP, results(SCORES), "fixed")[0], "SAD")
    assert found["fixed_too"] == ["+5.00", "exact", "—", "—", "—", "worse"]
    assert found["nearest"][-2:] == ["3", "better"]


def test_more_psnr_is_better_and_more_rmse_is_worse():
    metrics = ("psnr", "ssim", "rmse", "mae")
    scores = {"conv_nearest": SCORES["nearest"], "conv_bilinear": SCORES["better"]}
    text = differences_page(Group("table1", "mnist", "lite"), results(scores, metrics))[0]
    verdicts = {title: block(text, title)["conv_bilinear"][-1] for title in ("PSNR", "SSIM", "RMSE", "MAE")}
    assert verdicts == {"PSNR": "worse", "SSIM": "worse", "RMSE": "better", "MAE": "better"}


@pytest.mark.parametrize(
    ("scores", "baseline"),
    [
        ({"nearest": [3.0], "carafe": [4.0]}, None),
        ({"nearest": [3.0, 4.0]}, None),
        ({"fixed": [3.0], "fixed_too": [4.0]}, None),
        (SCORES, "missing"),
    ],
    ids=["one seed", "one row", "no chance", "no result of the baseline"],
)
def test_there_is_no_page_where_nothing_can_be_compared(scores, baseline):
    assert differences_page(GROUP, results(scores), baseline) == ("", "")
