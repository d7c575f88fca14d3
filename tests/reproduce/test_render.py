"""Cells of a table."""

import pytest

from a2u.reproduce.render import as_markdown, as_text, caption, spread, table_cells


def result(seed, sad, best=None):
    return {
        "seed": seed,
        "params": 123456,
        "metrics": {"sad": sad, "mse": 0.01234, "grad": 2.0, "conn": 3.0},
        "best": best,
        "undefined": [],
        "config": {"metrics": {"program": "matlab", "rounding": "nearest"}},
        "provenance": {"test_images": 64},
    }


def test_mean_and_sample_standard_deviation():
    assert spread([1.0, 2.0, 3.0], 2) == "2.00 ± 1.00"
    assert spread([1.25], 1) == "1.2"


@pytest.fixture
def cells():
    results = {
        "trimap_only": [result(0, 8.0)],
        "nearest": [result(0, 4.0, {"sad": 3.5}), result(1, 5.0, {"sad": 4.5})],
        "carafe": [],
    }
    return table_cells("table2", results, {"trimap_only": 0, "nearest": 8_049_003, "carafe": 8_312_827})


def test_measured_stands_beside_printed(cells):
    header, lines = cells
    nearest = dict(zip(header, lines[1], strict=True))
    assert nearest["SAD"] == "4.500 ± 0.707"
    assert nearest["best SAD"] == "4.000 ± 0.707"
    assert nearest["printed SAD"] == "37.51"
    assert nearest["printed MSE"] == "0.0096"
    assert nearest["printed params"] == "8.05M"
    assert nearest["paper-scale params"] == "8,049,003"
    assert dict(zip(header, lines[0], strict=True))["printed SAD"] == "—"


def test_a_missing_row_shows_dashes_and_its_printed_numbers(cells):
    header, lines = cells
    carafe = dict(zip(header, lines[2], strict=True))
    assert carafe["SAD"] == "—"
    assert carafe["printed SAD"] == "41.01"


def test_columns_line_up(cells):
    lines = as_text(*cells).splitlines()
    ends = {len(line) for line in lines}
    assert len(ends) == 1
    markdown = as_markdown(*cells).splitlines()
    assert {line.count("|") for line in markdown} == {len(cells[0]) + 1}


def test_the_caption_says_how_far_to_trust_the_numbers():
    words = caption("table2", "synthetic", "lite", {"nearest": [result(0, 4.0), result(1, 5.0)]})
    for part in ("Table 2", "not a ranking", "2 seeds", "64 test images", "sample standard deviation"):
        assert part in words
