"""Composing a test set: the rule to the pixel, interrupted runs, and refusals."""

import hashlib
import json
import math
import multiprocessing
import re
import shutil
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save, sources
from PIL import Image

from a2u.data.composition1k import compose as module
from a2u.data.composition1k.compose import make, plan
from a2u.data.composition1k.manifest import check_manifest
from a2u.data.composition1k.rule import composite, cover, read_picture, trimap
from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.errors import DataError
from a2u.files import BusyError, locked


@pytest.fixture
def root(tmp_path):
    return sources(tmp_path / "Test_set")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


# The rule


def test_mixing_is_that_of_python_floats():
    foreground, background, alpha = noise(64, 128, 3, seed=1), noise(64, 128, 3, seed=2), matte(64, 128)
    image = composite(foreground, alpha, background)
    assert image.dtype == np.uint8
    below = 0
    for y, x, c in np.ndindex(image.shape):
        f, b, a = int(foreground[y, x, c]), int(background[y, x, c]), int(alpha[y, x])
        if a in (0, 255):
            assert image[y, x, c] == (b if a == 0 else f)
            continue
        assert image[y, x, c] == int(a / 255 * f + (1 - a / 255) * b)
        exact = Fraction(a, 255) * f + (1 - Fraction(a, 255)) * b
        lost = exact - image[y, x, c]
        # Rounding can take one from a whole number; any other value is at least 1/255 away from the next.
        assert 0 <= lost < 1 or (exact.denominator == 1 and lost == 1)
        below += lost == 1
    assert below > 0


def test_a_background_that_covers_is_only_cropped():
    picture = noise(50, 60, 3)
    np.testing.assert_array_equal(cover(Image.fromarray(picture), 30, 60), picture[:30])


@pytest.mark.parametrize(("shape", "height", "width"), [((20, 45), 30, 40), ((7, 11), 30, 40), ((375, 500), 1357, 907)])
def test_a_smaller_background_is_enlarged_by_the_larger_ratio(shape, height, width):
    picture = Image.fromarray(noise(*shape, 3))
    ratio = max(height / shape[0], width / shape[1])
    enlarged = picture.resize((math.ceil(shape[1] * ratio), math.ceil(shape[0] * ratio)), Image.Resampling.BICUBIC)
    expected = [[enlarged.getpixel((x, y)) for x in range(0, width, 7)] for y in range(0, height, 7)]
    covered = cover(picture, height, width)
    assert covered.shape == (height, width, 3)
    np.testing.assert_array_equal(covered[::7, ::7], expected)


def test_pictures_as_pil_opens_them(tmp_path):
    """Not turned by EXIF, grey to three channels, CMYK to RGB, opacity dropped."""
    pixels = noise(6, 9, 4)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: turn by 90 degrees
    save(tmp_path / "turned.png", pixels[..., :3], exif=turned)
    save(tmp_path / "grey.png", pixels[..., 0])
    save(tmp_path / "clear.png", pixels)
    Image.new("CMYK", (9, 6), (255, 0, 0, 0)).save(tmp_path / "cyan.jpg")
    for name in ("turned", "clear"):
        np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / f"{name}.png")), pixels[..., :3])
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "grey.png")), np.stack([pixels[..., 0]] * 3, 2))
    assert read_picture(tmp_path / "cyan.jpg").getpixel((4, 3)) == (0, 255, 255)


def test_pictures_that_cannot_be_taken(tmp_path):
    save(tmp_path / "deep.png", noise(4, 4).astype(np.uint16))
    (tmp_path / "text.png").write_text("no image")
    save(tmp_path / "cut.jpg", noise(64, 64, 3))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:2000])
    for name, words in (("deep.png", "16 bits a channel"), ("text.png", "not an image"), ("cut.jpg", "damaged")):
        with pytest.raises(DataError, match=rf"{name}.*{words}"):
            read_picture(tmp_path / name)


def test_trimaps_depend_on_the_name_alone():
    alpha = matte(40, 60)
    digest = int(hashlib.sha256(b"b_1").hexdigest()[:32], 16)
    sizes = 1 + (digest >> 64) % 29, 1 + (digest & (2**64 - 1)) % 29
    np.testing.assert_array_equal(trimap("b_1", alpha, 29), trimap_from_alpha(alpha, *sizes))
    assert (trimap("b_1", alpha, 29) != trimap("b_2", alpha, 29)).any()


# The whole set


def test_order_of_the_lists(root):
    made = make(plan(root))
    assert (made.made, made.kept) == (6, 0)
    test = root / "Test_set"
    order = {"b_0": "p3", "b_1": "p1", "b_2": "p2", "a_1_0": "p0", "a_1_1": "p3", "a_1_2": "p1"}
    assert {path.stem for path in (test / "merged").glob("*.png")} == set(order)
    for name, background in order.items():
        foreground = name.rpartition("_")[0]
        image, fg, alpha = (
            cv2.imread(str(test / path), cv2.IMREAD_UNCHANGED)
            for path in (f"merged/{name}.png", f"fg/{foreground}.png", f"alpha/{foreground}.png")
        )
        np.testing.assert_array_equal(image[alpha == 255], fg[alpha == 255])
        covered = cover(Image.open(test / f"bg/{background}.png"), *alpha.shape)[..., ::-1]
        np.testing.assert_array_equal(image[alpha == 0], covered[alpha == 0])
        np.testing.assert_array_equal(image, composite(fg, alpha, covered))


def test_manifest(root):
    made = make(plan(root))
    merged = root / "Test_set" / "merged"
    manifest = json.loads((merged / "manifest.json").read_text())
    assert manifest["pixels_sha256"] == made.pixels_sha256
    record = manifest["images"]["a_1_0"]
    background = root / "Test_set/bg/p0.png"
    assert record["background"] == {"file": "p0.png", "sha256": hashlib.sha256(background.read_bytes()).hexdigest()}
    assert (record["width"], record["height"]) == (20, 24)
    assert record["sha256"] == hashlib.sha256((merged / "a_1_0.png").read_bytes()).hexdigest()
    pixels = np.asarray(Image.open(merged / "a_1_0.png"))
    assert record["pixels_sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert check_manifest(merged, {}) == []


def test_several_processes_make_the_same(root, tmp_path):
    alone = make(plan(root, merged=tmp_path / "alone"))
    several = make(plan(root, merged=tmp_path / "several"), jobs=2)
    assert alone == several
    assert contents(tmp_path / "alone") == contents(tmp_path / "several")


def test_places_and_number_given(root, tmp_path):
    test = root / "Test_set"
    for name in ("fg", "alpha", "bg"):
        (test / name).rename(tmp_path / f"my {name}")
    (test / "fg_names.txt").rename(tmp_path / "names")
    planned = plan(
        root,
        foregrounds=tmp_path / "my fg",
        alphas=tmp_path / "my alpha",
        backgrounds=tmp_path / "my bg",
        foreground_list=tmp_path / "names",
        merged=tmp_path / "out" / "images",
        per_foreground=2,
    )
    assert [case.name for case in planned.cases] == ["b_0", "b_1", "a_1_0", "a_1_1"]
    assert [case.background.stem for case in planned.cases] == ["p3", "p1", "p2", "p0"]
    assert make(planned).made == 4


def test_the_released_archive_as_it_is_unpacked(root):
    test = root / "Test_set"
    for name in ("fg", "alpha"):
        (test / name).rename(
            (test / "Adobe-licensed images").mkdir(exist_ok=True) or test / f"Adobe-licensed images/{name}"
        )
    for name in ("fg", "bg"):
        (test / f"{name}_names.txt").rename(test / f"test_{name}_names.txt")
    assert make(plan(root)).made == 6


def test_photographs(shared, tmp_path):
    """Composites made by another program, pixel for pixel."""
    root = shared / "data" / "adobe-mini"
    assert make(plan(root, merged=tmp_path / "merged")).made == 20
    expected = sorted((root / "Test_set" / "merged").glob("*.png"))
    assert len(expected) == 20
    for path in expected:
        np.testing.assert_array_equal(
            cv2.imread(str(tmp_path / "merged" / path.name)), cv2.imread(str(path)), path.name
        )


# Continuing


def test_nothing_is_made_twice(root):
    first = make(plan(root))
    merged = root / "Test_set" / "merged"
    before = {path: path.stat().st_mtime_ns for path in merged.glob("*.png")}
    again = make(plan(root))
    assert (again.made, again.kept, again.pixels_sha256) == (0, 6, first.pixels_sha256)
    assert {path: path.stat().st_mtime_ns for path in merged.glob("*.png")} == before


def test_what_is_missing_or_damaged_is_made_again(root):
    make(plan(root))
    merged = root / "Test_set" / "merged"
    whole = contents(merged)
    (merged / "b_0.png").unlink()
    (merged / "b_2.png").write_bytes(whole["b_2.png"][:-20])
    problems = check_manifest(merged, {})
    assert len(problems) == 2
    assert "has no b_0.png" in problems[0]
    assert "b_2.png differs from the file that was made" in problems[1]
    assert make(plan(root)).made == 2
    assert contents(merged) == whole


def test_a_changed_source_is_noticed(root):
    before = make(plan(root))
    save(root / "Test_set/bg/p3.png", noise(9, 9, 3, seed=99))  # of b_0 and a_1_1
    after = make(plan(root))
    assert after.made == 2
    assert after.pixels_sha256 != before.pixels_sha256
    save(root / "Test_set/alpha/b.png", matte(30, 40, seed=99))
    assert make(plan(root)).made == 3
    (root / "Test_set/bg_names.txt").write_text("p3\np1\np2\np0\np3\np2\n")
    assert make(plan(root)).made == 1


def test_another_version_of_the_rule_makes_all_again(root, monkeypatch):
    make(plan(root))
    manifest = root / "Test_set/merged/manifest.json"
    manifest.write_text(manifest.read_text().replace('"rule": 1', '"rule": 0'))
    assert check_manifest(manifest.parent, {})[0].startswith(f"{manifest.parent} was made by version 0")
    assert make(plan(root)).made == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError("a picture"), OSError(28, "No space left on device")])
def test_an_interrupted_run_goes_on(root, tmp_path, monkeypatch, error):
    expected = make(plan(root, merged=tmp_path / "elsewhere"))
    done = []

    def compose(case, file):
        if len(done) == 3:
            raise error
        done.append(case.name)
        return made(case, file)

    made = module._compose
    monkeypatch.setattr(module, "_compose", compose)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else DataError):
        make(plan(root))
    merged = root / "Test_set" / "merged"
    assert any("is not finished" in problem for problem in check_manifest(merged, {}))
    monkeypatch.undo()
    again = make(plan(root))
    assert (again.made, again.kept, again.pixels_sha256) == (3, 3, expected.pixels_sha256)
    assert contents(merged) == contents(tmp_path / "elsewhere")


def test_a_killed_run_goes_on(root, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MANIFEST_SECONDS", 0)
    (root / "Test_set/bg_names.txt").write_text("p0\np1\np2\np3\n" * 20)
    expected = make(plan(root, merged=tmp_path / "elsewhere"))
    merged = root / "Test_set" / "merged"
    process = multiprocessing.get_context("forkserver").Process(target=make, args=(plan(root),))
    process.start()
    while process.is_alive() and len(list(merged.glob("*.png"))) < 5:
        time.sleep(0.001)
    process.kill()
    process.join()
    (merged / ".b_0.png.abc").write_text("half a file")
    assert make(plan(root)).pixels_sha256 == expected.pixels_sha256
    assert contents(merged) == contents(tmp_path / "elsewhere")
    assert not (merged / ".b_0.png.abc").exists()


def test_trimaps_on_request(root):
    make(plan(root))
    trimaps = root / "Test_set" / "trimaps"
    assert not trimaps.exists()
    assert make(plan(root, trimaps=9)).made == 6
    whole = contents(trimaps)
    alpha = np.asarray(Image.open(root / "Test_set/alpha/b.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(trimaps / "b_1.png")), trimap("b_1", alpha, 9))
    (trimaps / "b_1.png").unlink()
    assert make(plan(root)).made == 1  # once made they are kept up to date
    assert contents(trimaps) == whole
    save(root / "Test_set/alpha/b.png", 255 - alpha)
    assert make(plan(root)).made == 3
    assert make(plan(root, trimaps=9)).made == 0
    assert make(plan(root, trimaps=5)).made == 6
    save(trimaps / "b_1.png", alpha)
    found = {path.stem: path for path in trimaps.iterdir()}
    assert f"{trimaps}/b_1.png differs from the file" in check_manifest(trimaps.parent / "merged", found)[0]


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda test: shutil.rmtree(test), "has neither Test_set nor Test; it holds nothing"),
        (lambda test: (test / "fg_names.txt").unlink(), r"neither test_fg_names.txt nor .*foreground_list=FILE"),
        (lambda test: (test / "bg_names.txt").write_text("p0\np1\np2\n"), r"names 3 background\(s\), .* 2 foreground"),
        (lambda test: (test / "bg_names.txt").write_text("p0\n"), r"names 1 background\(s\), .*same number"),
        (lambda test: (test / "fg_names.txt").write_text("b\nc\n"), r"Test_set/fg has no image for 1 name.*: c;"),
        (lambda test: (test / "fg_names.txt").write_text("b\nb\n"), "names b more than once"),
        (lambda test: (test / "fg/a_1.png").unlink(), r"Test_set/fg has no image for 1 .*fg_names.txt: a_1;"),
        (lambda test: (test / "alpha/b.png").unlink(), r"Test_set/alpha has no image for 1 .*fg_names.txt: b;"),
        (lambda test: (test / "bg/p3.png").unlink(), r"Test_set/bg has no image for 1 .*bg_names.txt: p3; it holds p0"),
        (lambda test: shutil.rmtree(test / "bg"), r"no folder .*bg; .*Pascal VOC with backgrounds=DIR"),
        (lambda test: save(test / "alpha/b.png", matte(30, 41)), r"fg/b.png is 40 x 30, .*alpha/b.png is 41 x 30 pix"),
        (lambda test: save(test / "merged/b_0.png", noise(3, 3)), r"holds 1 image\(s\) and no manifest.*merged=DIR"),
    ],
)
def test_sources_that_do_not_match_are_refused_before_anything_is_made(root, change, message):
    change(root / "Test_set")
    before = sorted(root.rglob("*"))
    with pytest.raises(DataError, match=message):
        plan(root)
    assert sorted(root.rglob("*")) == before


def test_invalid_numbers_are_refused(root):
    for given in (0, 4):
        with pytest.raises(DataError, match=f"per_foreground is {given}; give 1 to 3"):
            plan(root, per_foreground=given)
    with pytest.raises(DataError, match="trimaps is 0"):
        plan(root, trimaps=0)


def test_a_coloured_alpha_is_refused(root):
    save(root / "Test_set/alpha/b.png", noise(30, 40, 3))
    with pytest.raises(DataError, match=r"alpha/b.png is coloured"):
        make(plan(root))


def test_a_damaged_background_is_named_by_every_number_of_processes(root):
    (root / "Test_set/bg/p2.png").write_text("no image")
    for jobs in (1, 2):
        with pytest.raises(DataError, match=r"bg/p2.png is damaged"):
            make(plan(root), jobs)


def test_images_of_other_programs_are_kept(root):
    make(plan(root))
    save(root / "Test_set/merged/c_0.png", noise(3, 3))
    with pytest.raises(DataError, match=r"images that the lists do not name, c_0: remove them"):
        plan(root)
    (root / "Test_set/merged/c_0.png").unlink()
    save(root / "Test_set/trimaps/b_0.png", noise(3, 3))
    plan(root)
    with pytest.raises(DataError, match=r"trimaps holds trimaps that this program did not make, b_0: use them"):
        plan(root, trimaps=29)


def test_a_damaged_manifest(root):
    make(plan(root))
    for text in ('{"rule"', "[]", "{}"):
        (root / "Test_set/merged/manifest.json").write_text(text)
        with pytest.raises(
            DataError, match=rf"manifest.json is damaged .*remove {re.escape(str(root))}/Test_set/merged"
        ):
            plan(root)


def test_two_runs_at_once(root):
    planned = plan(root)
    with locked(planned.merged / ".lock", "compose"), pytest.raises(BusyError, match="another process is running"):
        make(planned)


def test_a_folder_that_cannot_be_written(root):
    (root / "file").write_text("")
    with pytest.raises(DataError, match=r"file.* cannot be written: "):
        make(plan(root, merged=root / "file" / "merged"))
