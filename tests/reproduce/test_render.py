"""Results as tables, and the words below them."""

import pytest

from a2u.reproduce import render
from a2u.reproduce.caption import caption
from a2u.reproduce.health import health_table
from a2u.reproduce.html_report import make
from a2u.reproduce.published import published, rows_of
from a2u.reproduce.render import Group, one_result, ranks_table, record_id, results_table, short_table


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


LITE, MNIST = Group("table2", "synthetic", "lite"), Group("table1", "mnist", "lite")


@pytest.fixture(autouse=True)
def parameters(monkeypatch):
    """At paper scale; the results of these tests have no whole configurations."""
    monkeypatch.setattr(render, "paper_parameters", lambda cfg: 8_049_003)


def lines(table):
    """Cells as texts by column, one dictionary per row."""
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, map(str, row), strict=True)) for row in table.rows]


@pytest.fixture
def table():
    results = {
        "trimap_only": [result(0, 8.0) | {"params": 0}],
        "nearest": [result(0, 4.0, {"sad": 3.5}), result(1, 5.0, {"sad": 4.5})],
        "carafe": [],
    }
    return results_table(LITE, results)


def test_measured_stands_next_to_printed_with_its_spread(table):
    reference, nearest, _ = lines(table)
    assert nearest["SAD"] == "4.500 ± 0.707"
    assert nearest["best SAD"] == "4.000 ± 0.707"
    assert nearest["printed SAD"] == "37.51"
    assert nearest["printed MSE"] == "0.0096"
    assert nearest["printed params"] == "8.05M"
    assert nearest["paper-scale params"] == "8,049,003"
    assert reference["printed SAD"] == "—"


def test_a_missing_row_shows_dashes_and_its_printed_numbers_and_the_caption_names_it(table):
    carafe = lines(table)[2]
    assert carafe["SAD"] == "—"
    assert carafe["printed SAD"] == "41.01"
    assert table.caption.endswith("WARNING: missing, not finished: carafe.")


def test_measured_cells_lead_to_their_record_and_printed_ones_to_none(table):
    sources = dict(
        zip((column.title for column in table.columns), (cell.source for cell in table.rows[1]), strict=True)
    )
    assert {title for title, source in sources.items() if source == record_id(LITE, "nearest")} == {
        *("SAD", "MSE", "Grad", "Conn", "best SAD")
    }


def test_the_short_table_has_four_columns():
    results = {"trimap_only": [result(0, 8.0) | {"params": 0}], "nearest": [result(0, 4.0)], "bilinear": []}
    reference, nearest, bilinear = lines(short_table(LITE, results))
    assert reference == {"row": "trimap_only", "SAD here": "8.000", "printed SAD": "—", "extra parameters": "—"}
    assert nearest == {"row": "nearest", "SAD here": "4.000", "printed SAD": "37.51", "extra parameters": "0"}
    assert (bilinear["SAD here"], bilinear["printed SAD"]) == ("—", "37.31")


def test_a_row_that_is_none_of_the_papers_has_dashes_in_table_1_too():
    """Where the paper measured on this very dataset, and differences are taken."""
    metrics = {"psnr": 20.0, "ssim": 0.9, "rmse": 0.1, "mae": 0.1}
    run = result(0, 0) | {"metrics": metrics, "curve": []}
    run["config"] |= {"task": "reconstruction", "metrics": {"clamp": False}, "upsampler": {"name": "nearest"}}
    run["provenance"] |= {"samples_per_second": 100, "steps": 30, "train_images": 1000}
    papers, own = lines(results_table(MNIST, {"conv_nearest": [run], "mine": [run]}))
    assert papers["PSNR − printed"] == "-8.54"
    assert own["PSNR − printed"] == "—"


def test_the_caption_is_setting_test_set_and_warnings_in_three_sentences():
    words = caption(LITE, {"nearest": [result(0, 4.0), result(1, 5.0)]})
    parts = ("Table 2 on synthetic, scale lite", "2 seeds (mean ± standard deviation)", "64 test images", "width 0.125")
    for part in (*parts, "1,200 steps of 8 crops of 64 x 64", "no pyramid pooling", "not a ranking"):
        assert part in words
    assert "WARNING" not in words


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [
        ({"name": "photo_textures", "held_out": 0.1}, "validation images"),
        ({"name": "synthetic", "test": "validation"}, "validation images"),
        ({"name": "mnist", "held_out": 64}, "held-out training images"),
        ({"name": "mnist", "held_out": 0}, "test images"),
    ],
)
def test_the_caption_says_what_the_images_are_kept_for(dataset, kind):
    run = result(0, 4.0)
    run["config"]["dataset"] = dataset
    assert f": 64 {kind}, 1 seed;" in caption(LITE, {"nearest": [run]})


def test_the_caption_warns_of_test_sets_that_differ_and_of_what_evaluations_warned_of():
    results = {"nearest": [result(0, 4.0)], "bilinear": [result(0, 5.0, data="b"), result(1, 5.0, data="b")]}
    results["nearest"][0] |= {
        "undefined": ["GT03"],
        "warnings": ["2 of 4 test images were trained on."],
        "row": "nearest",
    }
    words = caption(LITE, results)
    assert "1 to 2 seeds" in words
    assert words.endswith(
        "WARNING: rows were evaluated on test sets that differ (data_sha256), and cannot be compared; nearest: 2 of 4 "
        "test images were trained on; left out of the means, no unknown pixel: GT03."
    )


def test_the_caption_names_other_programs():
    other = result(0, 4.0)
    other["config"]["metrics"] = {"program": "released_python", "rounding": "truncate"}
    assert "metrics of the program released_python; rounding truncate" in caption(LITE, {"nearest": [other]})


def test_a_probe_s_control_is_a_column_of_its_row():
    def probed(mae):
        run = result(0, 0) | {"metrics": {"mae": mae, "mse": 0.01, "grad": 1.0}}
        run["config"] |= {"task": "probe", "model": {"channels": 16}}
        run["provenance"] |= {"steps": 1000, "samples_per_second": 100, "wall_seconds": 60.0}
        return [run]

    results = {"nearest": probed(0.3), "indexnet": probed(0.1), "indexnet_blank": probed(0.29)}
    group = Group("probe", "synthetic", "lite")
    table = results_table(group, results)
    nearest, indexnet = lines(table)
    titles = ["row", "MAE", "MSE", "Grad", "blank guide MAE", "params", "samples/s"]
    assert list(indexnet) == titles
    assert (indexnet["MAE"], indexnet["blank guide MAE"], nearest["blank guide MAE"]) == ("0.1000", "0.2900", "—")
    assert "1,000 steps of 8 crops of 64 x 64, 16 channels. " in table.caption
    assert "nobody has printed such numbers" in table.caption
    assert [str(row[0]) for row in make._with_cost(table, results).rows] == ["nearest", "indexnet"]
    short = lines(short_table(group, results))
    assert list(short[1]) == ["row", "MAE here", "blank guide MAE", "extra parameters"]
    alone = results_table(group, {"indexnet_blank": results["indexnet_blank"]})
    assert [line["row"] for line in lines(alone)] == ["indexnet_blank"]


def test_no_column_holds_measured_and_quoted_numbers_of_table_6():
    table = ranks_table("table6")
    content = published()["table6"]
    assert [column.title for column in table.columns][:5] == ["method", "rank", "rank S", "rank L", "rank U"]
    for row in table.rows:
        name = str(row[0]).removesuffix(" (quoted)")
        assert [float(str(cell)) for cell in row[1:5]] == content[name]["rank"]
        assert [[float(each) for each in str(cell).split(" / ")] for cell in row[5:]] == content[name]["grad"]
    measured = results_table(Group("table6", "synthetic", "lite"), {row: [] for row in rows_of("table6")})
    assert {str(cell) for row in measured.rows for cell in row[1:]} == {"—"}
    assert not [column for column in measured.columns if "printed" in column.title or "rank" in column.title]
    assert ranks_table("table2") is None


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
            "upsampler": {"name": "a2u" if row == "maxpool_a2u" else "nearest"},
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


def test_table_1_stands_next_to_the_numbers_of_its_dataset(reconstructions):
    nearest = lines(results_table(Group("table1", "fashion_mnist", "lite"), reconstructions))[0]
    assert (nearest["PSNR"], nearest["SSIM"], nearest["RMSE"]) == ("22.00", "0.9877", "0.0456")
    assert (nearest["best PSNR"], nearest["params"], nearest["samples/s"]) == ("22.50", "969,890", "512")
    assert (nearest["printed PSNR"], nearest["PSNR − printed"]) == ("25.58", "-3.58")
    a2u = lines(results_table(MNIST, reconstructions))[1]
    assert (a2u["printed PSNR"], a2u["PSNR − printed"]) == ("47.63", "-26.63")
    assert (nearest["reads guide"], a2u["reads guide"]) == ("no", "yes")


def test_on_other_digits_no_difference_is_taken(reconstructions):
    table = results_table(Group("table1", "mnist5k", "lite"), reconstructions)
    assert "PSNR − printed" not in lines(table)[0]
    assert lines(table)[0]["printed PSNR"] == "28.54"
    assert "printed numbers are the paper's on MNIST" in table.caption


def test_on_the_papers_own_test_set_the_difference_from_its_numbers_is_a_column():
    adobe = Group("table2", "adobe", "lite")
    reference, nearest = lines(results_table(adobe, {"trimap_only": [result(0, 80.0)], "nearest": [result(0, 40.0)]}))
    assert (nearest["printed SAD"], nearest["SAD − printed"]) == ("37.51", "+2.49")
    assert reference["SAD − printed"] == "—"
    assert "SAD − printed" in lines(results_table(Group("table7", "distinctions646", "lite"), {"nearest": []}))[0]
    assert "SAD − printed" not in lines(results_table(Group("table7", "adobe", "lite"), {"nearest": []}))[0]


def test_measured_elsewhere_there_are_seconds_per_image_and_printed_numbers_where_they_belong():
    run = result(0, 40.0) | {"trained": result(0, 1.0)}
    run["provenance"] |= {"wall_seconds": 96}
    photographs = results_table(Group("table2", "synthetic", "lite", "alphamatting"), {"nearest": [run]})
    assert lines(photographs) == [
        {"row": "nearest", "SAD": "40.00", "MSE": "0.0123", "Grad": "2.00", "Conn": "3.00"}
        | {"params": "123,456", "s/image": "1.50"}
    ]
    assert "Table 2 on alphamatting, trained on synthetic, scale lite" in photographs.caption
    elsewhere = lines(results_table(Group("table2", "synthetic", "lite", "adobe"), {"nearest": [run]}))[0]
    assert (elsewhere["printed SAD"], elsewhere["SAD − printed"]) == ("37.51", "+2.49")


def test_the_caption_of_table_1_says_what_was_reduced(reconstructions):
    words = caption(MNIST, reconstructions)
    for part in (
        "Table 1 on mnist, scale lite: 10,000 test images, 1 seed;",
        "8,000 training pictures, 800 steps of 100 pictures in 10 epochs",
        "the paper: 60,000 pictures, 60,000 steps, 100 epochs",
        "RMSE (the paper's column MSE)",
    ):
        assert part in words, words
    assert "SAD" not in words
    of_others = {"maxpool_fade": reconstructions["maxpool_a2u"]}
    assert "rows without printed numbers are not in the paper" in caption(MNIST, of_others)
    assert "not in the paper" not in words


def test_one_run_stands_next_to_the_printed_row(reconstructions):
    text = one_result(reconstructions["maxpool_a2u"][0])
    assert "printed (MNIST)" in text
    assert "47.63" in text
    assert "512 samples/s" in text
    custom = reconstructions["maxpool_a2u"][0] | {"table": "custom", "row": "custom"}
    assert "printed" not in one_result(custom)


def test_controls_are_marked_as_not_in_the_paper():
    found = results_table(LITE, {"nearest": [result(0, 4.0)], "blur": [result(0, 5.0)]})
    assert [line["row"] for line in lines(found)] == ["nearest", "blur (control)"]
    assert "controls are not in the paper" in found.caption
    assert "control" not in caption(LITE, {"nearest": [result(0, 4.0)]})


def test_what_was_measured_without_content_is_a_column_and_in_the_caption():
    ablated = {"metrics": {"sad": 4.0}, "ablated": {"mean_kernel": {"metrics": {"sad": 5.2}}}}
    results = {"nearest": [result(0, 4.0) | {"ablation": None}], "indexnet": [result(0, 4.1) | {"ablation": ablated}]}
    for table in (results_table(LITE, results), short_table(LITE, results)):
        assert [line["without content (%)"] for line in lines(table)] == ["—", "+30.0"]
        assert "that of indexnet (+30.0%) plays a part" in table.caption
    assert "without content (%)" not in lines(results_table(LITE, {"nearest": results["nearest"]}))[0]


def test_the_health_of_kernels_is_a_table_by_stage():
    kernel = {"over_positions": 0.5, "over_window": 0.25, "entropy": 0.9}
    runs = [
        result(seed, 4.0) | {"health": {"upsamplers.0": kernel | {"saturated": share}, "upsamplers.1": kernel}}
        for seed, share in ((0, 0.5), (1, 1.0))
    ]
    table = health_table(LITE, {"nearest": [result(0, 4.0)], "a2u_hybrid_cw": runs})
    (line,) = lines(table)
    assert line["row"] == "a2u_hybrid_cw"
    assert line["saturated (%)"] == "75.0"
    assert line["deviation over positions (%)"] == "50.0 / 50.0"
    assert health_table(LITE, {"nearest": [result(0, 4.0)]}) is None
