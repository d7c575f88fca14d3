"""Learning curves: the picture shows what the results say, and the same results give the same bytes."""

import logging
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from a2u.reproduce.curves import draw_curves, mean_curves, rate_drops
from a2u.reproduce.published import listed
from a2u.reproduce.render import Group

EPOCHS = [2, 4, 10, 14, 17, 20]
GROUP = Group("table1", "mnist", "lite")
TITLE = "Table 1 on mnist, scale lite: learning curves on the test set"


def result(values, seed=0, epochs=EPOCHS, steps=1600, metric="psnr", schedule="multistep"):
    return {
        "seed": seed,
        "curve": [{"epoch": epoch, metric: value, "other": -1.0} for epoch, value in zip(epochs, values, strict=True)],
        "config": {"trainer": {"epochs": 20, "schedule": schedule, "milestones": [10, 14, 17, 20, 26]}},
        "provenance": {"steps": steps},
    }


def nine_rows(seeds=1):
    """Every row of Table 1; the ends of the lines of several rows almost coincide."""
    ends = [25.12, 25.1, 28.3, 28.2, 28.21, 25.11, 45.4, 45.41, 45.39]
    found = {}
    for number, (row, end) in enumerate(zip(listed("table1"), ends, strict=True)):
        values = [12 + number / 3, 16.0, (12 + end) / 2, end - 2, end - 1, end]
        found[row] = [result([value + seed / 4 for value in values], seed) for seed in range(seeds)]
    return found


@pytest.fixture
def draw(tmp_path):
    """Draw results of Table 1 and parse the picture."""
    pytest.importorskip("matplotlib", reason='the picture needs Matplotlib (pip install -e ".[figures]")')

    def draw(results, group=GROUP):
        path = tmp_path / "new" / "curves.svg"
        assert draw_curves(group, results, path)
        assert [file.name for file in path.parent.iterdir()] == ["curves.svg"]
        return ElementTree.parse(path).getroot()

    return draw


def tags(picture, tag):
    return list(picture.iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def points(path):
    """The corners of an SVG path of straight lines, as (corners, 2)."""
    assert set(re.findall("[A-Za-z]", path.get("d"))) <= set("MLz")
    return np.array([float(number) for number in re.findall(r"[-\d.]+", path.get("d"))]).reshape(-1, 2)


def line_of(picture, row):
    (group,) = (group for group in tags(picture, "g") if group.get("id") == row)
    return points(tags(group, "path")[0])


def strokes(picture, words):
    return [path for path in tags(picture, "path") if words in path.get("style", "")]


def test_a_curve_is_the_mean_over_seeds_where_every_seed_was_evaluated():
    results = {
        "conv_nearest": [result([10, 20, 30], 0, [2, 4, 10]), result([14, 70, 34, 99], 1, [2, 8, 10, 12])],
        "pixel_shuffle": [result([30, 10, 20], 0, [10, 2, 4])],
        "conv_deconv": [result([1, 2], 0, [1, 2], steps=50)],
    }
    assert mean_curves(results, "psnr") == {
        "conv_nearest": ([160, 800], [12, 32]),
        "pixel_shuffle": ([160, 320, 800], [10, 20, 30]),
        "conv_deconv": ([2, 5], [1, 2]),
    }


def test_a_row_without_results_or_with_a_seed_without_a_curve_has_no_points():
    old = result([1, 2], 1, [2, 4])
    del old["curve"]
    results = {"conv_nearest": [], "conv_deconv": [result([1, 2], 0, [2, 4]), old]}
    assert mean_curves(results, "psnr") == {"conv_nearest": ([], []), "conv_deconv": ([], [])}


def test_the_rate_falls_at_the_milestones_before_the_end_of_the_multistep_schedule_alone():
    assert rate_drops([result([1] * 6), result([2] * 6, 1)]) == [800, 1120, 1360]
    assert rate_drops([result([1] * 6, schedule="one_cycle")]) == []


def test_lines_run_through_the_points_of_the_curves(draw):
    """Corners of every row's line and the points are one linear relation, the same for all rows."""
    results = nine_rows(seeds=2)
    picture = draw(results)
    corners = np.concatenate([line_of(picture, row) for row in results])
    curves = mean_curves(results, "psnr")
    expected = np.concatenate([np.transpose(curves[row]) for row in results])
    assert corners.shape == (9 * 6, 2)
    for axis, direction in ((0, 1), (1, -1)):  # y of an SVG points down
        slope, offset = np.polyfit(expected[:, axis], corners[:, axis], 1)
        assert np.sign(slope) == direction
        np.testing.assert_allclose(slope * expected[:, axis] + offset, corners[:, axis], atol=1e-4)


def test_the_words_are_text(draw):
    texts = tags(draw(nine_rows()), "text")
    assert all("'DejaVu Sans', sans-serif" in text.get("style") for text in texts)
    words = [text.text for text in texts]
    assert words.count(TITLE) == 1
    assert all(words.count(row) == 1 for row in listed("table1"))
    assert "PSNR (dB)" in words
    assert "1,600" in words  # steps at the end of the axis
    assert "training steps (dotted: the learning rate falls)" in words


def test_the_legend_lists_the_rows_as_their_lines_end(draw):
    picture = draw(nine_rows())
    heights = {text.text: float(y_of(text)) for text in tags(picture, "text") if text.text in listed("table1")}
    ends = {row: line_of(picture, row)[-1][1] for row in heights}
    assert sorted(heights, key=heights.get) == sorted(ends, key=ends.get)
    assert min(np.diff(sorted(heights.values()))) >= 10  # a font's height apart


def y_of(text):
    """Where a text stands, whichever way Matplotlib writes it down."""
    moved = re.search(r"translate\([-\d.]+ ([-\d.]+)\)", text.get("transform", ""))
    return moved[1] if moved else text.get("y")


def look(picture, row):
    """Style of a row's line, shape of its marker."""
    (group,) = (group for group in tags(picture, "g") if group.get("id") == row)
    line, marker = tags(group, "path")[:2]
    return line.get("style"), marker.get("d")


def test_lines_and_markers_tell_every_row_from_every_other(draw):
    rows = listed("table2")  # the longest table
    picture = draw(
        {row: [result([1, 2, 3, 4, 5, 6], metric="sad")] for row in rows}, Group("table2", "synthetic", "lite")
    )
    assert len({look(picture, row)[0] for row in rows}) == len(rows)
    assert len({look(picture, row)[1] for row in rows[:9]}) == 9
    assert "SAD" in [text.text for text in tags(picture, "text")]


def test_a_row_looks_the_same_while_others_are_missing(draw):
    whole = nine_rows()
    part = {row: runs if row == "maxpool_a2u" else [] for row, runs in whole.items()}
    assert look(draw(part), "maxpool_a2u") == look(draw(whole), "maxpool_a2u")


def test_single_seeds_are_thin_lines_where_there_are_several(draw):
    several = {"conv_nearest": [result([1, 2, 3, 4, 5, 6 + seed], seed) for seed in range(3)], "pixel_shuffle": []}
    thin = strokes(draw(several), "stroke-opacity: 0.35")
    assert len({tuple(points(path)[-1]) for path in thin}) == 3
    assert strokes(draw(nine_rows(seeds=1)), "stroke-opacity: 0.35") == []


def test_dotted_verticals_stand_at_the_falls_of_the_learning_rate(draw):
    picture = draw({"conv_nearest": [result([1, 2, 3, 4, 5, 6])]})
    corners = dict(zip(EPOCHS, line_of(picture, "conv_nearest")[:, 0], strict=True))
    verticals = [points(path)[:, 0] for path in strokes(picture, "stroke: #666666")]
    np.testing.assert_allclose(verticals, [[corners[epoch]] * 2 for epoch in (10, 14, 17)], atol=1e-4)
    without = draw({"conv_nearest": [result([1, 2, 3, 4, 5, 6], schedule="constant")]})
    assert strokes(without, "stroke: #666666") == []
    assert "training steps" in [text.text for text in tags(without, "text")]


def test_the_background_is_white_to_the_edges(draw):
    picture = draw(nine_rows())
    _, _, width, height = map(float, picture.get("viewBox").split())
    background = tags(picture, "path")[0]
    assert background.get("style") == "fill: #ffffff"
    assert {tuple(corner) for corner in points(background)} == {(0, 0), (width, 0), (0, height), (width, height)}
    assert (width, height) == (576, 360)  # points: 8 x 5 inches


def test_same_results_same_bytes(tmp_path):
    """Under other settings of Matplotlib."""
    matplotlib = pytest.importorskip("matplotlib", reason='needs Matplotlib (pip install -e ".[figures]")')
    first, second = (tmp_path / f"{number}.svg" for number in range(2))
    assert draw_curves(GROUP, nine_rows(2), first)
    with matplotlib.rc_context({"lines.linewidth": 7, "svg.fonttype": "path", "figure.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert draw_curves(GROUP, nine_rows(2), second)
        assert dict(matplotlib.rcParams) == before
    assert first.read_bytes() == second.read_bytes()
    assert b"dc:date" not in first.read_bytes()


@pytest.mark.slow
def test_another_process_with_other_hashes_gives_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib", reason='needs Matplotlib (pip install -e ".[figures]")')
    here, there = tmp_path / "here.svg", tmp_path / "there.svg"
    assert draw_curves(GROUP, nine_rows(2), here)
    program = (
        "import runpy, sys; from pathlib import Path\n"
        f"test = runpy.run_path({str(__file__)!r})\n"
        f"assert test['draw_curves'](test['GROUP'], test['nine_rows'](2), Path({str(there)!r}))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    "results",
    [
        {},
        {"conv_nearest": [], "pixel_shuffle": []},
        {"conv_nearest": [result([1, 2], epochs=[10, 20])]},
        {"conv_nearest": [result([1, 2, 3], 0, [2, 4, 10]), result([1, 2, 3], 1, [4, 10, 20])]},
        {"conv_nearest": [{key: value for key, value in result([1] * 6).items() if key != "curve"}]},
    ],
    ids=["no rows", "no results", "two points", "two points in common", "a result without a curve"],
)
def test_without_three_points_no_picture_is_left(results, tmp_path, caplog):
    path = tmp_path / "curves.svg"
    path.write_text("the last one")
    assert draw_curves(GROUP, results, path) is False
    assert not path.exists()
    assert caplog.records == []


def test_a_row_with_fewer_than_three_points_is_left_out(draw):
    short, enough = result([1, 2], epochs=[10, 20]), result([1, 2, 3], epochs=[2, 10, 20])
    picture = draw({"conv_nearest": [short], "pixel_shuffle": [enough]})
    words = [text.text for text in tags(picture, "text")]
    assert "pixel_shuffle" in words
    assert "conv_nearest" not in words


def test_without_matplotlib_a_warning_says_what_to_install(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "curves.svg"
    with caplog.at_level(logging.WARNING):
        assert draw_curves(GROUP, nine_rows(), path) is False
    assert list(tmp_path.iterdir()) == []
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(path) in record.getMessage()
    assert 'pip install -e ".[figures]"' in record.getMessage()
