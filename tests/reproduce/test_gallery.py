"""The gallery of docs/operators.md: every operator stands in it, with numbers that its authors print."""

import json

import pytest

from a2u.engine.provenance import REPOSITORY
from a2u.reproduce.gallery import ENTRIES, gallery, measurements, multiply_adds
from a2u.upsampling import operators


def entry(title):
    return next(each for each in ENTRIES if each.title == title)


def test_every_operator_stands_in_the_gallery():
    ours = {name for name, kind in operators().items() if kind.__module__.startswith("a2u.")}
    assert {each.operator for each in ENTRIES} == ours
    assert len({each.title for each in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize(("title", "printed"), [("CARAFE", 6.00), ("FADE-Lite", 1.46)])
def test_multiply_adds_are_those_the_authors_print(title, printed):
    assert round(multiply_adds(entry(title)) / 1e9, 2) == printed


def test_a_sample_is_four_multiply_adds_for_a_value():
    """DySample-S: a 1x1 convolution C/4 -> 8 on the large map, then sampling: 2C + 4C for each of its positions."""
    stages = ((256, 32), (128, 64), (64, 128), (64, 256))
    assert multiply_adds(entry("DySample-S")) == sum(6 * channels * (2 * side) ** 2 for channels, side in stages)


def test_measurements_stand_in_the_line_of_their_operator():
    what = measurements(entry("FADE"))
    lines = [{"what": what[0], "unit": "s", "ours": 0.0123}, {"what": what[3], "unit": "MB", "ours": 4321.0}]
    provenance = {"machine": {"cpu": "a CPU"}, "threads": 2, "versions": {"torch": "2"}, "commit": "c" * 40}
    text = gallery({"lines": lines, "provenance": provenance | {"started": "2026-11-29T00:00"}})
    assert "| FADE | 22,746 | 124,008 | 8.81 | 12.3 ms | — | — | 4,321 MB |" in text
    assert "a CPU, 2 threads, PyTorch 2; commit ccccccc, 2026-11-29" in text


def test_the_page_shows_the_published_measurements():
    """After a change of this code or of an operator: gallery(measured), as here, is the text of the section."""
    path = REPOSITORY / "results" / "bench" / "operators.json"
    measured = json.loads(path.read_text()) if path.is_file() else None
    page = (REPOSITORY / "docs" / "operators.md").read_text()
    assert f"<!-- results/bench/operators.json -->\n{gallery(measured)}<!-- end -->" in page
