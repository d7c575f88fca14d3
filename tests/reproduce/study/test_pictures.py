"""The picture of the differences shows what was found, and the same findings give the same bytes."""

from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.study import records

from a2u.reproduce.published import rows_of
from a2u.reproduce.study.findings import find, verdict_of
from a2u.reproduce.study.pictures import intervals
from a2u.reproduce.study.report import draw_curves

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


@pytest.fixture(scope="module")
def sad():
    rng = np.random.default_rng(5)
    rows = [row for row in rows_of("table2") if row != "trimap_only"]
    return {row: dict(enumerate(map(float, 3 + place / 20 + rng.normal(0, 0.1, 6)))) for place, row in enumerate(rows)}


@pytest.fixture
def picture(sad, tmp_path):
    pytest.importorskip("matplotlib", reason='the picture needs Matplotlib (pip install -e ".[figures]")')
    for name in ("first.svg", "second.svg"):
        assert intervals(find(sad), "The study", tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    return ElementTree.parse(tmp_path / "first.svg").getroot()


def test_every_row_has_its_mean_on_one_axis_and_its_verdict_in_words(picture, sad):
    found = find(sad)
    groups = {group.get("id"): group for group in picture.iter(f"{SVG}g")}
    places = [float(next(groups[row].iter(f"{SVG}use")).get("x")) for row in found.rows]
    means = [each.mean for each in found.rows.values()]
    slope, start = np.polyfit(means, places, 1)
    assert slope > 0
    assert places == pytest.approx(np.array(means) * slope + start, abs=0.01)
    heights = [float(next(groups[row].iter(f"{SVG}use")).get("y")) for row in found.rows]
    assert heights == sorted(heights)  # the paper's order, from the top
    marks = [float(use.get("x")) for use in picture.iter(f"{SVG}use")]
    for row, each in found.rows.items():
        for value in (each.low, each.high, found.paper[row], *found.by_seed[row].values()):
            assert min(abs(value * slope + start - mark) for mark in marks) < 0.01
    words = [text.text for text in picture.iter(f"{SVG}text")]
    for row, each in found.rows.items():
        assert row in words
        assert words.count(verdict_of(each).value) == sum(
            verdict_of(e) is verdict_of(each) for e in found.rows.values()
        )
    assert {"The study", "a seed", "mean, 95% interval", "the paper"} <= set(words)


def test_learning_curves_say_that_they_are_of_the_validation_images(sad, tmp_path):
    pytest.importorskip("matplotlib", reason='the picture needs Matplotlib (pip install -e ".[figures]")')
    assert draw_curves(records(sad), tmp_path / "curves.svg")
    assert "scale=study: learning curves on the validation images" in (tmp_path / "curves.svg").read_text()
