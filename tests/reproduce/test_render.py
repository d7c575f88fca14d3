"""Cells of a table."""

import pytest

from a2u.reproduce.caption import caption
from a2u.reproduce.render import as_markdown, as_text, spread, table_cells


def result(seed, sad, best=None, data="a"):
    return {
        "seed": seed,
        "params": 123456,
        "metrics": {"sad": sad, "mse": 0.01234, "grad": 2.0, "conn": 3.0},
        "best": best,
        "undefined": [],
        "hash": f"{seed}-{sad}",
        "config": {
            "metrics": {"program": "matlab", "rounding": "nearest"},
            "model": {"width": 0.125, "encoder_blocks": [1, 1, 1], "decoder_blocks": 1, "aspp": False},
            "sample": {"crop": 64},
            "trainer": {"epochs": 3, "iterations": 400, "batch_size": 8},
        },
        "provenance": {"test_images": 64, "data_sha256": data},
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
    return table_cells("table2", "synthetic", results, {"trimap_only": 0, "nearest": 8_049_003, "carafe": 8_312_827})


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
    parts = ("Table 2", "not a ranking", "2 seeds", "64 test images", "mean ± standard deviation", "width 0.125")
    for part in (*parts, "1,200 steps of 8 crops of 64 x 64", "no pyramid pooling"):
        assert part in words
    assert "WARNING" not in words


def test_the_caption_warns_of_test_sets_that_differ():
    results = {"nearest": [result(0, 4.0)], "bilinear": [result(0, 5.0, data="b"), result(1, 5.0, data="b")]}
    words = caption("table2", "synthetic", "lite", results)
    assert "WARNING: rows were evaluated on test sets that differ" in words
    assert "1 to 2 seeds" in words
