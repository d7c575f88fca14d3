"""Cells of a table, and the words below it."""

import pytest

from a2u.reproduce.caption import caption
from a2u.reproduce.render import as_markdown, as_text, one_result, spread, table_cells


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
    assert nearest["SAD"] == "4.500 ± 0.707"  # no mark: there is no other row to compare with but the reference
    assert nearest["best SAD"] == "4.000 ± 0.707"
    assert nearest["printed SAD"] == "37.51"
    assert nearest["printed MSE"] == "0.0096"
    assert nearest["printed params"] == "8.05M"
    assert nearest["paper-scale params"] == "8,049,003"
    assert dict(zip(header, lines[0], strict=True))["printed SAD"] == "—"


def test_a_row_that_is_none_of_the_papers_has_dashes_in_table_1_too():
    """Where the paper measured on this very dataset, and orders and differences are told."""
    metrics = {"psnr": 20.0, "ssim": 0.9, "rmse": 0.1, "mae": 0.1}
    run = result(0, 0) | {"metrics": metrics, "curve": [metrics | {"epoch": 2}, metrics | {"epoch": 3}]}
    run["config"] |= {"task": "reconstruction", "metrics": {"clamp": False}}
    run["provenance"] |= {"samples_per_second": 100, "steps": 30, "train_images": 1000}
    results = {"conv_nearest": [run], "mine": [run]}
    header, (papers, own) = table_cells("table1", "mnist", results, {})
    assert dict(zip(header, papers, strict=True))["PSNR − printed"] == "-8.54"
    assert dict(zip(header, own, strict=True))["PSNR − printed"] == "—"
    words = caption("table1", "mnist", "lite", results)
    assert "printed conv_nearest." in words
    assert "nothing is printed there: mine." in words


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


def test_rows_are_marked_and_the_words_below_say_what_marks_mean():
    results = {"nearest": [result(0, 4.0), result(1, 5.0)], "bilinear": [result(0, 3.0), result(1, 4.1)]}
    header, lines = table_cells("table2", "synthetic", results, {})
    marked = [dict(zip(header, cells, strict=True))["SAD"] for cells in lines]
    assert marked == ["4.500 ± 0.707", "3.550 ± 0.778 ★"]
    assert "with 2 seeds the test has hardly any power" in caption("table2", "synthetic", "lite", results).lower()
    one = {row: runs[:1] for row, runs in results.items()}
    assert "With one seed nothing can be said about noise" in caption("table2", "synthetic", "lite", one)
    assert not [cell for cells in table_cells("table2", "synthetic", one, {})[1] for cell in cells if "★" in cell]


def reconstruction(psnr, curve, row="conv_nearest", seed=0, scale="lite"):
    values = {"psnr": psnr, "ssim": 0.98765, "rmse": 0.0456, "mae": 0.0123}
    return {
        "table": "table1",
        "row": row,
        "dataset": "mnist",
        "scale": scale,
        "seed": seed,
        "params": 969_890,
        "metrics": values,
        "best": values | {"epoch": 10, "psnr": psnr + 0.5},
        "curve": [{"epoch": epoch, "psnr": value} for epoch, value in curve.items()],
        "undefined": [],
        "hash": f"{row}-{seed}",
        "config": {
            "task": "reconstruction",
            "metrics": {"clamp": False},
            "model": {"name": "reconstruction"},
            "sample": {},
            "trainer": {"epochs": 10, "batch_size": 100},
        },
        "provenance": {
            "test_images": 10_000,
            "train_images": 8_000,
            "steps": 800,
            "samples_per_second": 512.4,
            "data_sha256": "a",
        },
    }


CURVES = {"conv_nearest": {1: 11.0, 5: 20.0, 10: 22.0}, "maxpool_a2u": {1: 10.0, 5: 25.0, 10: 21.0}}


@pytest.fixture
def reconstructions():
    return {row: [reconstruction(curve[10], curve, row)] for row, curve in CURVES.items()}


def test_table_1_stands_beside_the_numbers_of_its_dataset(reconstructions):
    header, lines = table_cells("table1", "fashion_mnist", reconstructions, {})
    nearest = dict(zip(header, lines[0], strict=True))
    assert (nearest["PSNR"], nearest["SSIM"], nearest["RMSE"]) == ("22.00", "0.9877", "0.0456")
    assert (nearest["best PSNR"], nearest["params"], nearest["samples/s"]) == ("22.50", "969,890", "512")
    assert (nearest["printed PSNR"], nearest["PSNR − printed"]) == ("25.58", "-3.58")
    a2u = dict(zip(header, table_cells("table1", "mnist", reconstructions, {})[1][1], strict=True))
    assert (a2u["printed PSNR"], a2u["PSNR − printed"]) == ("47.63", "-26.63")


def test_on_other_digits_no_difference_is_taken(reconstructions):
    header, lines = table_cells("table1", "mnist5k", reconstructions, {})
    assert "PSNR − printed" not in header
    assert dict(zip(header, lines[0], strict=True))["printed PSNR"] == "28.54"
    assert "'Printed' is the paper's figure on MNIST" in caption("table1", "mnist5k", "lite", reconstructions)


def test_on_the_papers_own_test_set_the_difference_from_its_numbers_is_a_column():
    header, lines = table_cells("table2", "adobe", {"trimap_only": [result(0, 80.0)], "nearest": [result(0, 40.0)]}, {})
    reference, nearest = (dict(zip(header, line, strict=True)) for line in lines)
    assert (nearest["printed SAD"], nearest["SAD − printed"]) == ("37.51", "+2.49")
    assert reference["SAD − printed"] == "—"
    assert "SAD − printed" in table_cells("table7", "distinctions646", {"nearest": []}, {})[0]
    assert "SAD − printed" not in table_cells("table7", "adobe", {"nearest": []}, {})[0]


def test_a_row_of_table_1_that_is_not_there_shows_dashes(reconstructions):
    reconstructions["conv_nearest"] = []
    header, lines = table_cells("table1", "mnist", reconstructions, {})
    nearest = dict(zip(header, lines[0], strict=True))
    assert (nearest["PSNR"], nearest["samples/s"], nearest["PSNR − printed"]) == ("—", "—", "—")
    assert nearest["printed PSNR"] == "28.54"
    assert "Order" not in caption("table1", "mnist", "lite", reconstructions)


def test_the_caption_of_table_1_says_what_was_reduced_and_which_order_is_reached_when(reconstructions):
    words = caption("table1", "mnist", "lite", reconstructions)
    for part in (
        "Table 1 on dataset=mnist, 10,000 test images, 1 seed.",
        "8,000 training pictures, 10 epochs, 800 steps of 100 pictures",
        "the paper has 60,000 pictures, 100 epochs, 60,000 steps",
        "the column the paper calls MSE is the root, RMSE",
        "after 80 and 800 steps conv_nearest > maxpool_a2u;",
        "after 400 steps maxpool_a2u > conv_nearest;",
        "printed maxpool_a2u > conv_nearest",
    ):
        assert part in words, words
    assert "SAD" not in words


def test_the_caption_gives_the_spread_of_psnr_in_db(reconstructions):
    reconstructions["conv_nearest"].append(reconstruction(23.0, CURVES["conv_nearest"], seed=1))
    words = caption("table1", "mnist", "lite", reconstructions)
    assert "a row's PSNR has a standard deviation of 0.71 dB." in words
    assert "1 to 2 seeds" in words


def test_one_run_stands_beside_the_printed_row(reconstructions):
    text = one_result(reconstructions["maxpool_a2u"][0])
    assert "printed (MNIST)" in text
    assert "47.63" in text
    assert "512 samples/s" in text
    custom = reconstructions["maxpool_a2u"][0] | {"table": "custom", "row": "custom"}
    assert "printed" not in one_result(custom)
