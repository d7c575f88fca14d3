"""Mattes of photographs: the right pixels in every file, or a sentence."""

import errno
import os
import signal
import sys

import cv2
import numpy as np
import pytest
import torch
from helpers.matting_folders import noise, save
from helpers.runs import exported_untrained
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import ExifTags, Image, ImageOps

from a2u.apply.cutout import estimate_foreground, on_background, read_background
from a2u.apply.predict import KINDS, TEXTS, TILE, predict_photographs, tile_side
from a2u.cli.main import user_errors
from a2u.config import as_typed, compose
from a2u.data.files.images import read_colour, read_grey, write_png
from a2u.engine.evaluate import predict
from a2u.errors import A2UError, ConfigError, DataError
from a2u.metrics import all_metrics
from a2u.models.networks.classic import ClosedForm
from a2u.models.weights.exported import load_exported


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return exported_untrained(tmp_path_factory.mktemp("weights") / "a2u.safetensors")


@pytest.fixture
def matting(tmp_path, weights):
    """Run predict in tmp_path with words of its command line; return the folder."""

    def run(*words, folder="out"):
        given = [f"folder={tmp_path / folder}", f"weights={weights}", "runtime.device=cpu", *words]
        return predict_photographs(compose([as_typed(word, TEXTS) for word in given], "predict"))

    return run


def thirds(height, width):
    """Return a trimap with all three values, if there is room for them."""
    trimap = np.full((height, width), 128, np.uint8)
    trimap[: height // 3, : width // 3], trimap[-(height // 3) :, -(width // 3) :] = 0, 255
    return trimap


def photograph(folder, height=40, width=48, name="photo"):
    """Write a picture and its trimap; return their command line."""
    image = cv2.GaussianBlur(noise(height, width, 3, seed=height), (0, 0), 2)
    save(folder / f"{name}.png", image)
    save(folder / "trimaps" / f"{name}.png", thirds(height, width))
    return [f"image={folder / name}.png", f"trimap={folder / 'trimaps' / name}.png"]


def written(folder, name="photo"):
    return {kind: np.asarray(Image.open(folder / f"{name}_{kind}.png")) for kind in ("alpha", "cutout", "composite")}


def in_folders(tmp_path):
    """Return the command line for all photographs in a folder and their trimaps."""
    return [f"image={tmp_path}", f"trimap={tmp_path / 'trimaps'}"]


def test_pictures_of_any_size(matting, weights, tmp_path):
    sizes = {"dot": (1, 1), "row": (1, 40), "column": (40, 1), "odd": (33, 47), "even": (64, 32)}
    for name, size in sizes.items():
        photograph(tmp_path, *size, name)
    folder, model = matting(*in_folders(tmp_path), "background=white"), load_exported(weights)
    for name, size in sizes.items():
        out, image, trimap = written(folder, name), read_colour(tmp_path / f"{name}.png"), thirds(*size)
        np.testing.assert_array_equal(out["alpha"], predict(model, image, trimap))
        assert out["alpha"].shape == size
        assert out["cutout"].shape == (*size, 4)
        assert out["composite"].shape == (*size, 3)
        np.testing.assert_array_equal(out["cutout"][..., 3], out["alpha"])
        np.testing.assert_array_equal(out["alpha"][trimap != 128], trimap[trimap != 128])


def test_pictures_of_any_mode(matting, tmp_path):
    for mode in ("L", "P", "RGBA"):
        for name in (mode, f"{mode} as RGB"):
            photograph(tmp_path, name=name)
        image = Image.open(tmp_path / f"{mode}.png").convert(mode)
        image.save(tmp_path / f"{mode}.png")
        image.convert("RGB").save(tmp_path / f"{mode} as RGB.png")
    out = matting(*in_folders(tmp_path))
    for mode in ("L", "P", "RGBA"):
        for kind in ("alpha", "cutout"):
            one, other = (out / f"{name}_{kind}.png" for name in (mode, f"{mode} as RGB"))
            assert one.read_bytes() == other.read_bytes()


def test_pictures_that_are_refused(matting, tmp_path):
    words = photograph(tmp_path)
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((40, 48, 3), np.uint16))
    with pytest.raises(DataError, match=r"photo\.png has 16 bits a channel; convert"):
        matting(*words)
    save(tmp_path / "photo.png", noise(40, 48, 4))
    with pytest.raises(DataError, match=r"photo\.png has transparent pixels"):
        matting(*words)
    assert not (tmp_path / "out").exists()


def test_turned_photographs_are_matted_as_they_are_shown(matting, tmp_path):
    save(tmp_path / "stored.png", noise(40, 48, 3))
    for orientation in range(1, 9):
        name, exif = f"{orientation}.png", Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        photo, shown = tmp_path / "photos" / name, tmp_path / "shown" / name
        photo.parent.mkdir(exist_ok=True)
        Image.open(tmp_path / "stored.png").save(photo, exif=exif)
        pixels = np.asarray(ImageOps.exif_transpose(Image.open(photo)))
        save(shown, pixels)
        save(tmp_path / "trimaps" / name, thirds(*pixels.shape[:2]))
    for folder in ("photos", "shown"):
        matting(f"image={tmp_path / folder}", f"trimap={tmp_path / 'trimaps'}", "cutout=false", folder=f"of_{folder}")
    for orientation in range(1, 9):
        name = f"{orientation}_alpha.png"
        alphas = [read_grey(tmp_path / folder / name) for folder in ("of_photos", "of_shown")]
        assert alphas[0].shape == ((40, 48) if orientation < 5 else (48, 40))
        np.testing.assert_array_equal(*alphas)


def test_tiles_give_what_the_whole_picture_gives(matting, tmp_path):
    words = [*photograph(tmp_path, 150, 290), "cutout=false"]
    whole, tiled = (
        read_grey(matting(*words, further, folder=further) / "photo_alpha.png").astype(int)
        for further in ("runtime.tile=null", "runtime.tile=128")
    )
    assert len(np.unique(whole)) > 20
    assert np.abs(whole - tiled).max() <= 1


def test_large_pictures_are_tiled_where_the_network_can_be(weights):
    network, cfg = load_exported(weights), compose(["image=a"], "predict")
    assert tile_side(cfg, network, 2_000_000) is None
    assert tile_side(cfg, network, 2_000_001) == TILE
    assert tile_side(cfg, ClosedForm(), 10**8) is None
    cfg.tile_above = None
    assert tile_side(cfg, network, 10**8) is None
    cfg.runtime.tile = 256
    assert tile_side(cfg, network, 10) == 256


def test_the_composite_is_the_cutout_over_the_background(matting, tmp_path):
    words = photograph(tmp_path)
    save(tmp_path / "behind.png", noise(40, 48, 3, seed=1))
    behind = {"white": [255] * 3, "#ff8800": [255, 136, 0], tmp_path / "behind.png": noise(40, 48, 3, seed=1)}
    for background, pixels in behind.items():
        out = written(matting(*words, f"background={background}"))
        foreground, alpha = out["cutout"][..., :3].astype(float), out["alpha"][..., None] / 255
        exact = alpha * foreground + (1 - alpha) * np.array(pixels)
        assert (exact - out["composite"]).min() > -1e-9
        assert (exact - out["composite"]).max() < 1  # cut off to 8 bits


def test_a_background_picture_covers_and_is_cut_evenly(tmp_path):
    halves = np.zeros((20, 80, 3), np.uint8)
    halves[:, 40:] = 255
    save(tmp_path / "halves.png", halves)
    clear = np.zeros((40, 40), np.uint8)
    on = on_background(noise(40, 40, 3), clear, read_background(str(tmp_path / "halves.png")))
    assert on.shape == (40, 40, 3)
    assert on[:, :15].max() == 0
    assert on[:, 25:].min() == 255


def test_colours_of_the_foreground_come_back_without_the_background():
    """A red foreground on blue, with every alpha."""
    alpha = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))
    share = alpha[..., None] / 255
    image = np.rint(share * [220, 20, 20] + (1 - share) * [10, 30, 200]).astype(np.uint8)
    found = estimate_foreground(image, alpha)
    error = np.abs(found.astype(int) - [220, 20, 20])[alpha > 100]
    assert error.max() < 25
    assert np.abs(image.astype(int) - [220, 20, 20])[alpha > 100].max() > 100


def test_opaque_pixels_keep_their_colours(matting, tmp_path):
    out = written(matting(*photograph(tmp_path), "background=black"))
    opaque = out["alpha"] == 255
    np.testing.assert_array_equal(out["cutout"][opaque, :3], read_colour(tmp_path / "photo.png")[opaque])
    np.testing.assert_array_equal(out["composite"][opaque], read_colour(tmp_path / "photo.png")[opaque])


def test_a_mask_instead_of_a_trimap(matting, weights, tmp_path):
    image, _ = photograph(tmp_path)
    mask, trimap = np.zeros((40, 48), np.uint8), np.zeros((40, 48), np.uint8)
    mask[:, 20:] = 255
    trimap[:, 15:], trimap[:, 30:] = 128, 255
    save(tmp_path / "mask.png", mask)
    out = matting(image, f"mask={tmp_path / 'mask.png'}", "erode=10", "dilate=5", "cutout=false")
    expected = predict(load_exported(weights), read_colour(tmp_path / "photo.png"), trimap)
    np.testing.assert_array_equal(read_grey(out / "photo_alpha.png"), expected)


def test_a_trimap_without_unknown_pixels_is_the_alpha(matting, tmp_path, capsys):
    words = photograph(tmp_path)
    known = np.where(thirds(40, 48) == 255, 255, 0).astype(np.uint8)
    save(tmp_path / "trimaps" / "photo.png", known)
    out = matting(*words, f"truth={tmp_path / 'trimaps' / 'photo.png'}")
    np.testing.assert_array_equal(read_grey(out / "photo_alpha.png"), known)
    assert "no pixel is unknown, so the alpha is the trimap" in capsys.readouterr().out


def test_metrics_are_printed_where_the_truth_is_known(matting, tmp_path, capsys):
    words = photograph(tmp_path)
    save(tmp_path / "truth.png", noise(40, 48))
    out = matting(*words, f"truth={tmp_path / 'truth.png'}", "cutout=false")
    printed = capsys.readouterr().out
    for name, value in all_metrics(read_grey(out / "photo_alpha.png"), noise(40, 48), thirds(40, 48)).items():
        assert f"{name} {value:.4f}" in printed


def test_if_one_of_many_fails_the_others_continue(matting, tmp_path, capsys):
    for name in "abc":
        photograph(tmp_path / "photos", name=name)
    save(tmp_path / "photos" / "trimaps" / "b.png", thirds(5, 5))
    words = [f"image={tmp_path / 'photos'}", f"trimap={tmp_path / 'photos' / 'trimaps' / '*.png'}", "cutout=false"]
    with pytest.raises(SystemExit) as stopped, user_errors():
        matting(*words)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    reason = f"{tmp_path / 'photos' / 'b.png'} is 48 x 40"
    assert f"FAILED b: {reason}" in printed.err
    assert f"error: 1 of 3 photographs have no matte:\n  b: {reason}" in printed.err
    assert "a: 48 x 40, 0.00 megapixels in" in printed.out
    assert "2 of 3 done" in printed.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_alpha.png", "c_alpha.png"]


@pytest.mark.parametrize("ask", [lambda: np.empty(2**56), lambda: torch.empty(2**56)])
def test_if_one_of_many_does_not_fit_into_memory_the_others_continue(matting, tmp_path, monkeypatch, ask):
    from a2u.apply import predict as module

    def short(model, image, trimap, **options):
        if image.shape[:2] == (48, 64):
            ask()
        return predict(model, image, trimap, **options)

    monkeypatch.setattr(module, "predict", short)
    for name, height in zip("abc", (40, 48, 40), strict=True):
        photograph(tmp_path / "photos", height, 64, name)
    words = [f"image={tmp_path / 'photos'}", f"trimap={tmp_path / 'photos' / 'trimaps'}", "cutout=false"]
    sentence = r"1 of 3 .*\n  b: \S*b\.png: 64 x 48 pixels do not fit into memory; give runtime\.tile=512, or make"
    with pytest.raises(A2UError, match=sentence):
        matting(*words)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a_alpha.png", "c_alpha.png"]
    with pytest.raises(A2UError, match=r"b\.png: 64 x 48 pixels do not fit into memory; make it smaller\.$"):
        matting(*words, "runtime.tile=256")
    with pytest.raises(A2UError, match=r"fit into memory; ClosedForm cannot compute it in tiles: make it smaller"):
        matting(*words, "weights=null", "system=closed_form")


def test_when_stopped_it_reports_how_many_are_done_and_where(matting, tmp_path, monkeypatch, capsys):
    from a2u.apply import predict as module

    def stop(model, image, trimap, **options):
        if image.shape[:2] == (48, 64):
            signal.raise_signal(signal.SIGTERM)
        return trimap

    monkeypatch.setattr(module, "predict", stop)
    for name, height in zip("abc", (40, 48, 40), strict=True):
        photograph(tmp_path / "photos", height, 64, name)
    words = [f"image={tmp_path / 'photos'}", f"trimap={tmp_path / 'photos' / 'trimaps'}", "cutout=false"]
    with pytest.raises(SystemExit, match=r"^stopped$"), user_errors():
        matting(*words)
    printed = capsys.readouterr().out
    assert "\n1 of 3 done, 0.00 megapixels in" in printed
    assert printed.endswith(f"; files: {tmp_path / 'out'}\n")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_alpha.png"]


def test_results_of_an_earlier_run_are_removed(matting, tmp_path):
    words = photograph(tmp_path)
    others = [tmp_path / "out" / name for name in ("notes.txt", "another_cutout.png", "photo_2_cutout.png")]
    out = matting(*words, "background=white")
    for path in others:
        path.touch()
    assert sorted(set(out.iterdir()) - set(others)) == [out / f"photo_{kind}.png" for kind in sorted(KINDS)]
    matting(*words)
    assert sorted(set(out.iterdir()) - set(others)) == [out / "photo_alpha.png", out / "photo_cutout.png"]
    matting(*words, "cutout=false")
    assert sorted(out.iterdir()) == sorted([*others, out / "photo_alpha.png"])


def test_if_the_cutout_cannot_be_written_no_earlier_one_is_left(matting, tmp_path, monkeypatch):
    from a2u.apply import predict as module

    def full(path, picture):
        if "cutout" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_png(path, picture)

    words = [*photograph(tmp_path), "background=white"]
    out = matting(*words)
    monkeypatch.setattr(module, "write_png", full)
    with pytest.raises(OSError, match="No space left"):
        matting(*words)
    assert [path.name for path in out.iterdir()] == ["photo_alpha.png"]


def test_if_a_photograph_fails_its_earlier_results_are_kept(matting, tmp_path, monkeypatch):
    from a2u.apply import predict as module

    def fail(*_):
        raise A2UError("no colours")

    words = photograph(tmp_path)
    before = {path: path.read_bytes() for path in matting(*words, "background=white").iterdir()}
    monkeypatch.setattr(module, "estimate_foreground", fail)
    with pytest.raises(A2UError, match="no colours"):
        matting(*words, "system=trimap_only", "weights=null")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_inputs_are_not_overwritten(matting, tmp_path):
    words = photograph(tmp_path)
    (tmp_path / "trimaps" / "photo.png").rename(tmp_path / "photo_alpha.png")
    content = (tmp_path / "photo_alpha.png").read_bytes()
    with pytest.raises(ConfigError, match=r"photo_alpha\.png is an input and would be overwritten: give another"):
        matting(words[0], f"trimap={tmp_path / 'photo_alpha.png'}", folder=".")
    assert (tmp_path / "photo_alpha.png").read_bytes() == content


@pytest.mark.parametrize(
    ("further", "words"),
    [
        (["trimap=null"], "give either trimap=FILE .* or mask=FILE"),
        (["mask=m.png"], "give either trimap=FILE .* or mask=FILE"),
        (["background=whitish"], "background=whitish is neither a colour nor a file: give white, #rrggbb or a picture"),
        (["background=rgb(999,0,0)"], r"rgb\(999,0,0\) is transparent or outside 0\.\.255: give white, #rrggbb"),
        (["background=rgb(101%,0%,0%)"], "is transparent or outside"),
        (["background=#ff000080"], "is transparent or outside"),
        (["trimap_values=threshold"], "needs low= below high="),
        (["mask_threshold=0"], "mask_threshold must be at least 1"),
        (["background=white", "cutout=false"], "background= needs the colours of the cut-out"),
        (["erode=-1"], "erode must be at least 0; got -1"),
        (["runtime.tile=100"], "runtime.tile=100: a tile's side must be a multiple of 16"),
        (["weights=null", "system=closed_form", "runtime.tile=128"], "takes an image whole"),
        (["weights=gone.safetensors"], "there is no weights file gone"),
        (["system=knn"], "has no weights: leave out weights="),
    ],
)
def test_invalid_commands_are_refused_before_anything_is_written(matting, tmp_path, further, words):
    with pytest.raises(A2UError, match=words):
        matting(*photograph(tmp_path), *further)
    assert not (tmp_path / "out").exists()


def test_a_network_of_another_task_is_refused(matting, tmp_path):
    path = exported_untrained(tmp_path / "digits.safetensors", "task=reconstruction", "dataset=mnist5k")
    with pytest.raises(ConfigError, match=r"digits\.safetensors reconstructs small pictures"):
        matting(*photograph(tmp_path), f"weights={path}")


def test_without_pymatting_the_sentence_says_how_to_install_it(matting, tmp_path, monkeypatch):
    words = photograph(tmp_path)
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(A2UError, match=r"colours of a cut-out needs the package pymatting; install it with `pip inst"):
        matting(*words)
    assert [path.name for path in matting(*words, "cutout=false").iterdir()] == ["photo_alpha.png"]


def test_weights_that_give_nan_are_reported(matting, tmp_path, weights, monkeypatch):
    from a2u.apply import predict as module

    def spoiled(*_):
        loaded = load(*_)
        with torch.no_grad():
            next(loaded.model.parameters()).fill_(float("inf"))
        return loaded

    load = module.load_system
    monkeypatch.setattr(module, "load_system", spoiled)
    with pytest.raises(A2UError, match="prediction holds NaN or infinite values"):
        matting(*photograph(tmp_path))


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" \\'\"(),=#~*[]{}$"), min_size=1))
@example("${x}")
@example("\\${x}")
@example("\\\\${")
def test_names_of_files_are_taken_as_they_are_typed(typed):
    """By Hydra's own parser and OmegaConf; quoted values stay as they are."""
    name = f"./{typed}"
    parsed = OverridesParser.create().parse_override(as_typed(f"image={name}", ["image"])).value()
    assert OmegaConf.create({"image": parsed}).image == name
    assert as_typed(f"image='{typed}", ["image"]) == f"image='{typed}"
    assert as_typed(f"erode={typed}", ["image"]) == f"erode={typed}"


def test_what_is_no_picture_in_a_folder_does_not_stop_the_others(matting, tmp_path):
    """A pipe, and a link to itself."""
    for name in "abc":
        photograph(tmp_path / "photos", name=name)
    for name, make in {"a": os.mkfifo, "b": lambda path: path.symlink_to(path.name)}.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.unlink()
        make(path)
    words = [f"image={tmp_path / 'photos'}", f"trimap={tmp_path / 'photos' / 'trimaps'}", "cutout=false"]
    with pytest.raises(A2UError, match=r"(?s)2 of 3 .*a: .*a\.png cannot be read: it is a pipe.*b: .*Too many levels"):
        matting(*words)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c_alpha.png"]


def test_a_photograph_with_a_reference_in_its_name(matting, tmp_path):
    words = photograph(tmp_path, name="${folder}")
    assert (matting(*words, "cutout=false") / "${folder}_alpha.png").is_file()


def test_a_photograph_with_a_line_break_in_its_name_is_found_in_its_folder(matting, tmp_path):
    photograph(tmp_path, name="a\nb")
    out = matting(*in_folders(tmp_path), "cutout=false")
    assert [path.name for path in out.iterdir()] == ["a\nb_alpha.png"]


def test_trimaps_of_other_values_on_request(matting, tmp_path, caplog):
    words = photograph(tmp_path)
    expected = matting(*words, "cutout=false", folder="exact")
    save(tmp_path / "trimaps" / "photo.png", np.uint8([1, 127, 254])[thirds(40, 48) // 127])
    with pytest.raises(DataError, match=r"holds the value\(s\) 1, 127, 254"):
        matting(*words)
    for rule in (["nearest"], ["threshold", "low=10", "high=245"]):
        out = matting(*words, f"trimap_values={rule[0]}", *rule[1:], "cutout=false", folder=rule[0])
        assert (out / "photo_alpha.png").read_bytes() == (expected / "photo_alpha.png").read_bytes()
        assert f"trimap_values={rule[0]} changed 1920 of 1920 pixels" in caplog.text


def test_a_mask_of_labels_is_refused_and_taken_with_its_threshold(matting, tmp_path):
    photograph(tmp_path)
    mask = np.zeros((40, 48), np.uint8)
    mask[5:35, 5:35] = 1
    save(tmp_path / "mask.png", mask)
    words = [f"image={tmp_path / 'photo.png'}", f"mask={tmp_path / 'mask.png'}", "cutout=false", "erode=4", "dilate=4"]
    with pytest.raises(DataError, match=r"mask\.png holds the value\(s\) 1, all below 128.* give mask_threshold=1"):
        matting(*words)
    out = matting(*words, "mask_threshold=1")
    save(tmp_path / "mask.png", 255 * mask)
    assert (out / "photo_alpha.png").read_bytes() == (matting(*words, folder="b") / "photo_alpha.png").read_bytes()
