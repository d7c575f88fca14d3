"""Figures: every picture shows what networks and rules say, and the same runs give the same bytes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.runs import generated
from PIL import Image
from torch.nn.functional import pixel_shuffle

from a2u.config import compose, split_command_line
from a2u.data import build_data
from a2u.data.files.images import write_png
from a2u.data.types import Composite
from a2u.engine.checkpoint import CheckpointError
from a2u.engine.evaluate import predict
from a2u.engine.identity import finished
from a2u.engine.kernels import in_colours, last_upsampling
from a2u.engine.prepare import make_model
from a2u.errors import ConfigError, DataError
from a2u.metrics import sad
from a2u.models import build_model
from a2u.network_input import network_input
from a2u.reproduce import launch
from a2u.reproduce.figures import columns as columns_module
from a2u.reproduce.figures import make_figures
from a2u.reproduce.figures.cases import Case, evenly, most_translucent, named, photographs, translucency
from a2u.reproduce.figures.columns import (
    FEATURES,
    KERNELS,
    OPEN,
    QUALITATIVE,
    WEIGHTS,
    Column,
    FiguresConfig,
    Wanted,
    runs_of,
)
from a2u.reproduce.figures.features import busiest_window, feature_map, figure_1
from a2u.reproduce.figures.kernels import figure_5, mosaic, up_kernels
from a2u.reproduce.figures.qualitative import CELL_WIDTH, shortened, side_by_side, with_sad
from a2u.reproduce.figures.sheet import (
    INDEX,
    LARGEST,
    STYLE,
    Cell,
    FigureError,
    Sheet,
    drawn,
    save,
    save_pictures,
    scaled,
)
from a2u.reproduce.figures.weights import edge_position, figure_8, output_weights
from a2u.reproduce.published import rows_of

pytest.importorskip("matplotlib", reason='figures need Matplotlib (pip install -e ".[figures]")')

ROOT = Path(__file__).parents[2]
FEW = (  # systems that train in a second, in the place of those of Table 5
    Wanted("table2", "trimap_only", "Closed-Form"),
    Wanted("table2", "nearest", "baseline (nearest)"),
    Wanted("table2", "a2u_dynamic_cs_d_norm", "ours (A2U)"),
)
NAMES = ("hair", "net", "leaf", "defocus", "smoke", "fur", "lace", "feather")
NAMES = tuple(f"test_{family}_{index:04d}" for index, family in enumerate(NAMES))  # the last is not square


def given(outputs, *further):
    """A command line whose rows train for a moment on pictures of 64 x 64."""
    return [
        "launcher=inline",
        "scale=smoke",
        f"runtime.outputs='{outputs}'",
        generated(),
        "dataset.test_size=64",
        "dataset.limit_test=8",
        "trainer.epochs=1",
        "trainer.iterations=2",
        "runtime.threads=1",
        "runtime.device=cpu",
        *further,
    ]


def figures(*arguments):
    return make_figures(*split_command_line(arguments, FiguresConfig, "figures"))


def random_case(height=40, width=56, seed=0):
    rng = np.random.default_rng(seed)
    alpha = rng.integers(0, 256, (height, width), dtype=np.uint8)
    trimap = rng.choice(np.uint8([0, 128, 255]), (height, width), p=[0.2, 0.6, 0.2])
    return Case(f"case{seed}", rng.integers(0, 256, (height, width, 3), dtype=np.uint8), trimap, alpha)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six photographs with true alpha and three without, in the folders of alphamatting.com."""
    root = tmp_path_factory.mktemp("alphamatting")
    kinds = [("input_training_lowres", "trimap_training_lowres", [f"GT{number:02d}" for number in range(1, 7)])]
    kinds.append(("input_lowres", "trimap_lowres", ["doll", "net", "troll"]))
    for images, trimaps, names in kinds:
        for seed, name in enumerate(names):
            case = random_case(seed=seed)
            write_png(root / images / f"{name}.png", case.image)
            write_png(root / trimaps / "Trimap1" / f"{name}.png", case.trimap)
            if name.startswith("GT"):
                write_png(root / "gt_training_lowres" / f"{name}.png", case.alpha)
    return root


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, photos):
    """All figures, made once."""
    folder = tmp_path_factory.mktemp("figures") / "out puts"  # a path with a space
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_module, "QUALITATIVE", FEW)
        assert figures(*given(folder, f"photographs='{photos}'")) == 0
    return folder


@pytest.fixture(scope="module")
def column(outputs):
    """A finished row by its name."""

    @cache
    def column(row, title="title", own=()):
        wanted = Wanted("table2", row, title, own)
        _, overrides = split_command_line(given(outputs), FiguresConfig, "figures")
        run = runs_of([wanted], overrides)[wanted]
        return Column(wanted, run, finished(outputs)[run.hash])

    return column


@pytest.fixture(scope="module")
def test_cases(outputs):
    data = build_data(compose(split_command_line(given(outputs), FiguresConfig, "figures")[1]).dataset)
    assert tuple(data.test_names) == NAMES
    return [data.test[index] for index in range(len(data.test))]


@pytest.fixture(autouse=True)
def few_systems(monkeypatch):
    monkeypatch.setattr(columns_module, "QUALITATIVE", FEW)


def learned(outputs, run):
    """The trained network of a row, put together by hand."""
    (checkpoint,) = outputs.glob(f"table2/synthetic/smoke/{run.row}/seed0-{run.hash[:8]}/last.pt")
    model = build_model(run.cfg)
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    return model.eval()


def padded(case):
    """(1, 4, H, W), H and W multiples of 16."""
    height, width = case.trimap.shape
    edges = ((0, -height % 16), (0, -width % 16))
    return network_input(np.pad(case.image, (*edges, (0, 0)), mode="reflect"), np.pad(case.trimap, edges, "reflect"))[
        None
    ]


@torch.inference_mode()
def last_stage(model, case):
    """What goes into the last decoder stage: (1, C, h, w), and its guide."""
    x, upsamplers = padded(case), list(model.upsamplers)
    features, guides = model.encoder(x, upsamplers)  # largest first
    y = model.aspp(features[-1])
    for stage, skip, operator, guide in zip(model.stages, features[-2::-1], upsamplers, guides[::-1], strict=False):
        y = stage(y, skip, operator, guide)
    paired = guides[0]
    return y, model.stages[-1].shortcut(x) if paired is None else paired


# What is made


def test_single_pictures_are_those_of_the_sheet_and_no_larger_than_a_screen_needs(tmp_path):
    case, rng = random_case(), np.random.default_rng(1)
    large = rng.integers(0, 256, (3 * LARGEST, 120), dtype=np.uint8)
    save_pictures(Sheet(["image", "matte"], [[Cell(case.image, "name"), None], [None, Cell(large)]], 256, ""), tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["titles"] == ["image", "matte"]
    first, second = index["rows"]
    assert (first[0]["note"], first[1], second[0], second[1]["note"]) == ("name", None, None, "")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / first[0]["file"])), case.image)
    small = np.asarray(Image.open(tmp_path / second[1]["file"]))
    means = large.reshape(LARGEST, 3, 40, 3).mean((1, 3))
    np.testing.assert_allclose(small, means, atol=0.51)


def test_figures_of_mattes_leave_their_pictures_one_by_one(outputs):
    folder = outputs / "figures" / "synthetic" / "smoke"
    assert sorted(path.parent.name for path in folder.glob(f"*/{INDEX}")) == ["fig4", "fig6", "fig7"]
    index = json.loads((folder / "fig4" / INDEX).read_text())
    assert index["titles"] == ["image", "trimap", *(wanted.title for wanted in FEW), "ground truth"]
    assert all(cell["note"].startswith("SAD ") for row in index["rows"] for cell in row[2:-1])
    assert all((folder / "fig4" / cell["file"]).is_file() for row in index["rows"] for cell in row)


def test_every_figure_is_a_png_a_pdf_and_a_caption(outputs, column):
    folder = outputs / "figures" / "synthetic" / "smoke"
    expected = {f"fig{number}.{kind}" for number in (1, 4, 5, 6, 7) for kind in ("png", "pdf", "txt")}
    assert {path.name for path in folder.iterdir() if path.is_file()} == expected
    for number in (1, 4, 5, 6, 7):
        with Image.open(folder / f"fig{number}.png") as image:
            assert image.format == "PNG"
            assert min(image.size) > 300
            image.load()
        pdf = (folder / f"fig{number}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        assert pdf.rstrip().endswith(b"%%EOF")
        assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    nearest = column("nearest")
    digest = subprocess.run(["sha256sum", nearest.run.weights(nearest.result)], capture_output=True, text=True)
    for number, words in {
        1: ["Figure 1, dataset=synthetic, scale=smoke.", "test_hair_0000", "before the shortcut"],
        4: ["evenly spaced through the test set: test_hair_0000, test_net_0001, test_defocus_0003, test_smoke_0004"],
        6: ["Networks trained on dataset=synthetic, on photographs", "GT01, GT02, GT04, GT05, doll, net, troll"],
        7: ["largest share of unknown pixels whose true alpha lies strictly between 0.1 and 0.9"],
    }.items():
        text = (folder / f"fig{number}.txt").read_text()
        assert all(word in text for word in words)
        origin = f"table2/nearest, seed 0, 2 steps, last checkpoint, sha256 {digest.stdout[:16]}, "
        assert origin + f"run {nearest.run.hash[:8]}, commit " in text
        assert ("Test set: 8 images, sha256 " in text) == (number != 6)
        assert "WARNING" not in text
    assert "Closed-Form: table2/trimap_only, seed 0, nothing to train" in (folder / "fig4.txt").read_text()
    assert "table2/a2u_hybrid_cw" in (folder / "fig5.txt").read_text()


def test_the_numbers_below_mattes_are_their_sad(outputs, column, test_cases):
    cases = [Case(*test_cases[index]) for index in (0, 7)]
    columns = [column("trimap_only", "Closed-Form"), column("nearest", "baseline")]
    sheet = side_by_side(columns, [*cases, cases[0]._replace(alpha=None)], "Some images.")
    assert list(sheet.titles) == ["image", "trimap", "Closed-Form", "baseline", "ground truth"]
    model = learned(outputs, columns[1].run)
    for case, row in zip(cases, sheet.rows, strict=False):
        for cell, prediction in zip(row[2:4], (case.trimap, predict(model, case.image, case.trimap)), strict=True):
            np.testing.assert_array_equal(cell.picture, prediction)
            assert cell.note == f"SAD {sad(prediction, case.alpha, case.trimap):.2f}"
    *_, matte, truth = sheet.rows[2]
    assert matte.note == ""
    assert truth is None
    assert sheet.caption.startswith("Some images. Below a matte")


def test_a_picture_without_unknown_pixels_has_no_sad():
    case = random_case()._replace(trimap=np.zeros((40, 56), np.uint8))
    assert with_sad(case.trimap, case).note == "no unknown pixel"


# Figure 1


@pytest.mark.parametrize("row", ["nearest", "bilinear", "a2u_dynamic_cs_d_norm"])
@pytest.mark.parametrize("index", [0, 7])
def test_a_feature_map_is_the_last_operators_output(row, index, outputs, column, test_cases):
    case = test_cases[index]
    model = learned(outputs, column(row).run)
    x, guide = last_stage(model, case)
    with torch.inference_mode():
        if row == "a2u_dynamic_cs_d_norm":
            windows = F.unfold(x, 3, padding=1).view(1, x.shape[1], 9, *x.shape[2:])
            windows = windows.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
            kernel = pixel_shuffle(guide.flatten(1, 2), 2)
            output = (windows * kernel[:, None]).sum(dim=2)
        else:
            output = F.interpolate(x, scale_factor=2, mode=row)
    height, width = case.trimap.shape
    expected = output[0].abs().mean(dim=0)[:height, :width]
    found = feature_map(column(row).network(), case)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.std() > 0


def test_figure_1_shows_the_map_and_below_it_the_outlined_window(column, test_cases):
    case = test_cases[0]
    sheet = figure_1([column("nearest", "nearest")], case)
    assert list(sheet.titles) == ["input", "nearest"]
    (image, whole), (image_part, part) = sheet.rows
    top, left, height, width = image.box
    assert whole.box == image.box
    np.testing.assert_array_equal(image.picture, case.image)
    np.testing.assert_array_equal(image_part.picture, case.image[top : top + height, left : left + width])
    values = feature_map(column("nearest").network(), case)
    np.testing.assert_array_equal(whole.picture, in_colours(values, *np.percentile(values, (1, 99))))
    values = values[top : top + height, left : left + width]
    np.testing.assert_array_equal(part.picture, in_colours(values, *np.percentile(values, (1, 99))))


def test_watching_a_network_leaves_no_hook_behind(column, test_cases):
    model = column("nearest").network()
    last_upsampling(model, test_cases[0])
    assert not any(module._forward_hooks for module in model.modules())


def test_the_busiest_window_holds_the_edge():
    alpha = np.zeros((40, 60), np.uint8)
    alpha[22:28, 41:47] = 255
    top, left, height, width = busiest_window(alpha)
    assert (height, width) == (10, 10)
    assert top <= 21
    assert top + height - 1 >= 28
    assert left <= 40
    assert left + width - 1 >= 47
    assert busiest_window(np.zeros((40, 60), np.uint8)) == (0, 0, 10, 10)


# Figure 5


def test_initial_kernels_are_those_of_the_seeds_network_and_learned_ones_of_the_checkpoint(outputs, column, test_cases):
    hybrid, case = column("a2u_hybrid_cw"), test_cases[7]
    height, width = case.trimap.shape
    found = []
    for shown, model in (
        (hybrid.initial(), make_model(hybrid.run.cfg).eval()),
        (hybrid.network(), learned(outputs, hybrid.run)),
    ):
        with torch.inference_mode():
            guide, operator = model.stages[-1].shortcut(padded(case)), model.upsamplers[-1]
            kernel = operator.up_kernel(guide, operator.affinity(guide))
            expected = pixel_shuffle(kernel.flatten(1, 2), 2)[0, :, :height, :width]
        kernels = up_kernels(shown, case)
        assert kernels.shape == (9, height, width)
        np.testing.assert_array_equal(kernels, expected)
        np.testing.assert_allclose(kernels.sum(axis=0), 1, atol=1e-6)
        found.append(kernels)
    assert np.abs(found[1] - found[0]).max() > 1e-3


def test_kernels_are_what_the_operator_multiplies_with(outputs, column, test_cases):
    """The window's weighted sum, with the kernels that are shown, is what the operator wrote."""
    case, hybrid = test_cases[0], column("a2u_hybrid_cw")
    x, _ = last_stage(learned(outputs, hybrid.run), case)
    windows = F.unfold(x, 3, padding=1).view(1, x.shape[1], 9, *x.shape[2:])
    windows = windows.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    expected = (windows * torch.from_numpy(up_kernels(hybrid.network(), case))).sum(dim=2)
    output = last_upsampling(hybrid.network(), case).output
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_figure_5_shows_every_weight_of_the_first_sub_position_on_one_scale(column, test_cases):
    hybrid, opened = column("a2u_hybrid_cw"), column("a2u_hybrid_cw", "opened", OPEN)
    sheet = figure_5([hybrid, opened], test_cases[:2])
    models = hybrid.initial(), hybrid.network(), opened.network()
    maps = [[up_kernels(model, case) for model in models] for case in test_cases[:2]]
    low, high = np.percentile(maps, (0.5, 99.5))
    assert f"{low:.3f} (dark blue" in sheet.caption
    assert sheet.titles == ["input", "initial kernels", "learned kernels", "opened"]
    assert "opened (upsampler.kernel_norm=softmax, upsampler.normalise_uv=true), which the paper" in sheet.caption
    for row, pair in zip(sheet.rows, maps, strict=True):
        for cell, kernels in zip(row[1:], pair, strict=True):
            tile = in_colours(kernels[5, ::2, ::2], low, high).repeat(8, axis=0).repeat(8, axis=1)  # second row, third
            np.testing.assert_array_equal(cell.picture[260:516, 520:776], tile)
            assert cell.picture.shape == (776, 776, 3)
            assert cell.note == f"weights {kernels.min():.3f} to {kernels.max():.3f}"


# Figure 8


def test_weights_of_an_output_position_are_the_kernel_that_made_it(column, test_cases):
    hybrid, case = column("a2u_hybrid_cw").network(), test_cases[0]
    for row, col in ((31, 40), (0, 63)):  # inside, and in a corner, where a part of the window is outside
        weights = output_weights(hybrid, case, row, col)
        assert weights.shape == (11, 11)
        kernel = up_kernels(hybrid, case)[:, row, col].reshape(3, 3)
        if col == 63:
            kernel[0] = kernel[:, 2] = 0
        np.testing.assert_allclose(weights[4:7, 4:7], kernel, atol=1e-6)
        assert np.count_nonzero(weights) == np.count_nonzero(kernel)


def test_figure_8_shows_weights_on_the_image_where_alpha_changes_most(column, test_cases):
    case = test_cases[0]
    sheet = figure_8([column("nearest", "nearest")], case)
    picture, tile, *empty = sheet.rows[0]
    assert empty == [None] * 3
    row, col = edge_position(case.alpha)
    assert f"row {row}, column {col}" in sheet.caption
    top, left = row // 2 * 2 - 10, col // 2 * 2 - 10
    np.testing.assert_array_equal(picture.picture[::16, ::16], case.image[top : top + 22, left : left + 22])
    blue = (tile.picture == (0, 114, 178)).all(axis=2)
    assert blue.sum() == 32**2  # the one pixel, two of the image wide
    assert blue[160:192, 160:192].all()
    assert tile.note == "nearest, up to 1.00"
    assert tile.box == (16 * (row - top), 16 * (col - left), 16, 16)


def test_a_mosaic_has_white_between_its_tiles():
    picture = mosaic(np.zeros((4, 2, 2), np.float32), 0, 1)
    white = (picture == 255).all(axis=2)
    assert white[256:260].all()
    assert white[:, 256:260].all()
    assert white.sum() == 2 * 4 * 516 - 16


# Which images


class Alphas(list):
    """Test cases from alphas, unknown in their left half."""

    def __getitem__(self, index):
        alpha = list.__getitem__(self, index)
        trimap = np.zeros((10, 20), np.uint8)
        trimap[:, :10] = 128
        return Composite(f"{index}", np.zeros((10, 20, 3), np.uint8), trimap, alpha)


def alpha_with(count, value=128, elsewhere=0):
    """`count` of 100 unknown pixels at `value`; the known right half is all translucent."""
    alpha = np.full((10, 20), 128, np.uint8)
    alpha[:, :10] = np.where(np.arange(100).reshape(10, 10) < count, value, elsewhere)
    return alpha


def test_figure_7_takes_the_most_translucent_images_one_of_each_alpha():
    test = Alphas([alpha_with(30), alpha_with(90), alpha_with(0), alpha_with(90), alpha_with(60), alpha_with(30, 100)])
    assert most_translucent(test, 4) == {1: 0.9, 4: 0.6, 0: 0.3, 5: 0.3}
    assert list(most_translucent(test, 3)) == [1, 4, 0]
    assert len(most_translucent(test, 9)) == 5


@pytest.mark.parametrize(("value", "share"), [(25, 0), (26, 1), (229, 1), (230, 0), (0, 0), (255, 0)])
def test_translucent_is_strictly_between_a_tenth_and_nine_tenths(value, share):
    alpha = np.full((4, 4), value, np.uint8)
    assert translucency(alpha, np.full((4, 4), 128, np.uint8)) == share
    assert translucency(alpha, np.zeros((4, 4), np.uint8)) == 0  # no unknown pixel


def test_images_are_evenly_spaced_or_named():
    assert evenly(1000, 5) == [0, 200, 400, 600, 800]
    assert evenly(3, 5) == [0, 1, 2]
    assert named(["c", "a"], ["a", "b", "c"]) == [2, 0]


def test_photographs_of_one_kind_are_enough(photos, tmp_path, monkeypatch):
    both = photographs(str(photos))
    assert [case.name for case in both] == ["GT01", "GT02", "GT04", "GT05", "doll", "net", "troll"]
    np.testing.assert_array_equal(both[2].image, random_case(seed=3).image)
    np.testing.assert_array_equal(both[2].alpha, random_case(seed=3).alpha)
    np.testing.assert_array_equal(both[5].trimap, random_case(seed=1).trimap)
    assert both[5].alpha is None
    for folder in ("input_lowres", "trimap_lowres"):
        (tmp_path / folder).symlink_to(photos / folder)
    assert [case.name for case in photographs(str(tmp_path))] == ["doll", "net", "troll"]


def test_chosen_images_and_systems(outputs, tmp_path):
    folder = tmp_path / "here"
    arguments = given(outputs, "figures=[4,1]", "systems=[nearest]", f"images=[{NAMES[2]},{NAMES[7]}]")
    assert figures(*arguments, f"folder='{folder}'") == 0
    assert {path.stem for path in folder.iterdir()} == {"fig1", "fig4"}
    with Image.open(folder / "fig4.png") as image:  # image, trimap, nearest, ground truth
        assert 4 * CELL_WIDTH < image.width < 5 * CELL_WIDTH
    text = (folder / "fig4.txt").read_text()
    assert f"Test images, chosen by name: {NAMES[2]}, {NAMES[7]}." in text
    assert "a2u" not in text
    assert f"Test image {NAMES[2]};" in (folder / "fig1.txt").read_text()


# Runs


def test_a_second_call_runs_nothing_and_writes_the_same_bytes(outputs, photos, capsys):
    folder = outputs / "figures" / "synthetic" / "smoke"
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    runs = {path: path.stat().st_mtime_ns for path in outputs.rglob("seed0*/*")}
    assert figures(*given(outputs, "figures=[1,6]", f"photographs='{photos}'")) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert {path: path.stat().st_mtime_ns for path in outputs.rglob("seed0*/*")} == runs
    assert "Figure 6 was left out" not in capsys.readouterr().out


def test_a_row_that_another_table_ran_is_found(outputs, column):
    """Its result, and its checkpoint, lie in the other table's folder."""
    nearest = column("nearest")
    there = nearest.run.weights(nearest.result)
    asked = nearest.run.cfg.copy()
    asked.table = "table9"
    elsewhere = Column(nearest.wanted, replace(nearest.run, cfg=asked), nearest.result)
    assert elsewhere.run.places.last != there
    expected = torch.load(there, weights_only=True)["model"]
    torch.testing.assert_close(elsewhere.network().state_dict(), expected, rtol=0, atol=0)


def test_a_row_that_failed_leaves_its_column_out(tmp_path, monkeypatch, capsys):
    whole = launch.run

    def fails(cfg):
        if cfg.row in ("bilinear", "a2u_hybrid_cw"):
            raise DataError("the disk fell out")
        return whole(cfg)

    monkeypatch.setattr(launch, "run", fails)
    monkeypatch.setattr(columns_module, "QUALITATIVE", FEW[:2])
    outputs = tmp_path / "outputs"
    assert figures(*given(outputs, f"images=[{NAMES[0]}]", "dataset.limit_test=2")) == 1
    captured = capsys.readouterr()
    assert "Figure 6 was left out: it shows the photographs of alphamatting.com; give photographs=DIR." in captured.out
    assert "FAILED bilinear seed 0: the disk fell out" in captured.err
    assert "FAILED Figure 5: none of its rows is done." in captured.err
    assert "3 of 6 runs are not done" in captured.err
    folder = outputs / "figures" / "synthetic" / "smoke"
    assert {path.name for path in folder.glob("*.png")} == {"fig1.png", "fig4.png", "fig7.png"}
    assert "bilinear" not in (folder / "fig1.txt").read_text()


def test_a_checkpoint_that_is_gone_is_a_sentence(column, tmp_path):
    nearest = column("nearest")
    moved = Column(nearest.wanted, nearest.run, nearest.result | {"path": str(tmp_path / "seed0.json")})
    with pytest.raises(CheckpointError, match=r"nearest seed 0 is finished, but its weights .*last.pt are gone"):
        moved.network()


@pytest.mark.parametrize(
    ("further", "error", "words"),
    [
        (["figures=[2]"], ConfigError, r"there is no figure 2 to draw; there are: 1, 4, 5, 6, 7, 8\."),
        (["figures=[6]"], ConfigError, "Figure 6 shows the photographs of alphamatting.com: give photographs=DIR"),
        (["figures=four"], ConfigError, "figures"),
        (["systems=[adamatting]"], ConfigError, "no system 'adamatting'; they have: trimap_only, nearest, a2u"),
        (["images=[nobody]"], ConfigError, "no test image 'nobody'; there are test_hair_0000, test_net_0001"),
        (["photographs=/nowhere/photos"], DataError, "there is no folder /nowhere/photos"),
        (["photographs=/dev"], DataError, "photographs of alphamatting.com"),
        (["dataset=adobe", "dataset.root=/nowhere"], DataError, "/nowhere"),
        (["dataset=mnist5k"], ConfigError, "dataset=mnist5k is for reconstruction"),
        (["upsampler=a2u"], ConfigError, "whose rows set upsampler"),
        (["seed=1"], ConfigError, "seed"),
        (["jobs=0"], ConfigError, "jobs must be at least 1"),
        (["trainer.lrr=1"], ConfigError, "trainer.lrr"),
    ],
)
def test_bad_input_ends_in_a_sentence_before_anything_is_written(tmp_path, monkeypatch, further, error, words):
    monkeypatch.setattr("a2u.reproduce.figures.make.FEATURES", FEW[1:2])  # all figures, of fewer rows
    outputs = tmp_path / "outputs"
    arguments = ["launcher=inline", "scale=smoke", f"runtime.outputs='{outputs}'", *further]
    with pytest.raises(error, match=words) as refused:
        figures(*arguments)
    assert "\n" not in str(refused.value)
    assert not outputs.exists()


def test_without_matplotlib_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outputs = tmp_path / "outputs"
    with pytest.raises(FigureError, match=r"figures need Matplotlib; install it with `pip install -e"):
        figures(*given(outputs))
    assert not outputs.exists()


def test_figure_4_has_the_systems_of_table_5_none_of_them_quoted():
    assert {wanted.row for wanted in QUALITATIVE} == set(rows_of("table5")) - {"trimap_only"} | {"nearest"}


def test_every_row_of_the_figures_is_a_row_of_its_table():
    assert all(wanted.row in rows_of(wanted.table) for wanted in (*FEATURES, *KERNELS, *WEIGHTS, *QUALITATIVE))
    for wanted in (each for each in (*FEATURES, *KERNELS, *QUALITATIVE) if each.overrides):
        cfg = compose([f"experiment={wanted.table}/{wanted.row}", *wanted.overrides])
        assert (cfg.table, cfg.row) == (wanted.table, wanted.row)


@pytest.mark.slow
def test_the_script(outputs, tmp_path):
    """As `make figures` calls it, on rows that are done: the same bytes."""
    arguments = given(outputs, "figures=[1]", f"folder='{tmp_path / 'new'}'")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    command = [sys.executable, str(ROOT / "scripts" / "figures.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Figure 1, dataset=synthetic, scale=smoke. Feature maps")
    assert f"Files: {tmp_path / 'new' / 'fig1.png'}, {tmp_path / 'new' / 'fig1.pdf'}" in ended.stdout
    old = outputs / "figures" / "synthetic" / "smoke" / "fig1.png"
    assert (tmp_path / "new" / "fig1.png").read_bytes() == old.read_bytes()


# The sheet


def small_sheet():
    cells = [Cell(random_case(30, 45).image, "a name"), Cell(random_case(30, 45).alpha, "SAD 1.23"), None]
    return Sheet(["image", "matte", "truth"], [cells, [cells[2], cells[0], Cell(random_case(45, 45).trimap)]], 90, "")


def test_every_cell_is_a_subplot_with_its_picture_and_its_note():
    sheet = small_sheet()
    axes = drawn(sheet).axes
    assert [each.get_title() for each in axes] == ["image", "matte", "truth", "", "", ""]
    cells = [cell for row in sheet.rows for cell in row]
    for each, cell in zip(axes, cells, strict=True):
        assert each.get_xlabel() == (cell.note if cell else "")
        assert bool(each.images) == (cell is not None)
        if cell:
            np.testing.assert_array_equal(each.images[0].get_array(), cell.picture)
            assert each.images[0].get_clim() == (0, 255) or cell.picture.ndim == 3


def test_a_box_outlines_its_pixels():
    (axes,) = drawn(Sheet([""], [[Cell(np.zeros((20, 20), np.uint8), box=(5, 10, 4, 6))]], 40, "")).axes
    (outline,) = axes.patches
    assert outline.get_bbox().bounds == (9.5, 4.5, 6, 4)


def test_a_sheet_is_saved_as_png_and_pdf(tmp_path):
    stem = tmp_path / "new" / "sheet"
    assert save(small_sheet(), stem, "A title") == [stem.with_suffix(".png"), stem.with_suffix(".pdf")]
    with Image.open(stem.with_suffix(".png")) as image:
        assert image.info["Title"] == "A title"
        assert np.asarray(image.convert("RGB"))[0, 0].tolist() == [255, 255, 255]


def test_small_pixels_are_averaged_and_large_ones_repeated():
    picture = np.uint8([[0, 100], [200, 100]])
    assert scaled(picture, 1).tolist() == [[100]]
    assert scaled(picture, 4).tolist() == [[0, 0, 100, 100]] * 2 + [[200, 200, 100, 100]] * 2


def test_colours_run_from_dark_to_light_and_a_constant_is_dark():
    values = np.linspace(-1, 2, 200).reshape(1, -1)
    colours = in_colours(values, 0, 1)
    light = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert np.all(np.diff(light) >= -1)
    assert colours[0, 0].tolist() == [68, 1, 84]
    assert colours[0, -1].tolist() == [253, 231, 37]
    assert (in_colours(np.ones((2, 2)), 1, 1) == [68, 1, 84]).all()


def test_words_do_not_touch_each_other_nor_leave_the_page():
    """The titles of Figure 4, long names, large SADs: at the real width of a cell."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    name = shortened("antique-honiton-lace-1182740_1280_19")
    assert name == "antique-ho…80_19"
    cells = [
        Cell(np.zeros((8, 8), np.uint8), note)
        for note in [name, "", *["SAD 1234.56"] * len(QUALITATIVE), "no unknown pixel"]
    ]
    titles = ["image", "trimap", *(wanted.title for wanted in QUALITATIVE), "ground truth"]
    assert len(titles) == len(cells) == 14
    with style.context(["default", STYLE]):
        figure = drawn(Sheet(titles, [cells, cells], CELL_WIDTH, ""))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label) if text.get_text()]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    width, height = figure.canvas.get_width_height()
    for number, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[:number])


@pytest.mark.slow
def test_the_same_sheet_gives_the_same_bytes(tmp_path):
    """In this process under other settings of Matplotlib, and in another one with other hashes."""
    import matplotlib

    first, second, third = (tmp_path / f"{number}" for number in range(3))
    save(small_sheet(), first, "A title")
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "red", "savefig.dpi": 20, "pdf.fonttype": 3}):
        before = dict(matplotlib.rcParams)
        save(small_sheet(), second, "A title")
        assert dict(matplotlib.rcParams) == before
    program = (
        "import runpy, sys; from pathlib import Path\n"
        f"test = runpy.run_path({str(__file__)!r})\n"
        f"test['save'](test['small_sheet'](), Path({str(third)!r}), 'A title')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    for kind in (".png", ".pdf"):
        files = [path.with_suffix(kind).read_bytes() for path in (first, second, third)]
        assert files[0] == files[1] == files[2]
    assert b"CreationDate" not in first.with_suffix(".pdf").read_bytes()


def test_names_of_training_foregrounds_are_told(photos, outputs, tmp_path, monkeypatch):
    """A network trained on GT01 says nothing about unseen images on the photograph GT01."""
    from a2u.reproduce.figures import make

    seen = make.seen_in_training
    monkeypatch.setattr(make, "seen_in_training", lambda _, names: seen(["GT01", "GT05"], names))
    arguments = given(outputs, "figures=[6]", f"photographs='{photos}'", "systems=[nearest]")
    assert figures(*arguments, f"folder='{tmp_path}'") == 0
    assert "2 of 7 test images are named like a foreground" in (tmp_path / "fig6.txt").read_text()
