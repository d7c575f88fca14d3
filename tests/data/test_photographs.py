"""Which file goes with which photograph, and how a pair is read."""

import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save

from a2u.data.photographs import find_together, read_photograph
from a2u.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("photos/b.jpg", "photos/a.PNG", "photos/c.d.png", "trimaps/a.png", "trimaps/b.png", "trimaps/c.d.png"):
        save(tmp_path / name.lower(), noise(4, 4, 3))
    (tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / "a.PNG")
    (tmp_path / "photos" / "notes.txt").write_text("")
    save(tmp_path / "trimaps" / "more.png", noise(4, 4))
    return tmp_path


def test_files_of_folders_go_together_by_name(folder):
    found = find_together({"image": str(folder / "photos"), "trimap": str(folder / "trimaps")})
    photos, trimaps = folder / "photos", folder / "trimaps"
    assert found == {
        "a": {"image": photos / "a.PNG", "trimap": trimaps / "a.png"},
        "b": {"image": photos / "b.jpg", "trimap": trimaps / "b.png"},
        "c.d": {"image": photos / "c.d.png", "trimap": trimaps / "c.d.png"},
    }
    assert list(found) == ["a", "b", "c.d"]


def test_files_of_patterns_and_folders_go_together_by_name(folder):
    found = find_together({"image": str(folder / "*os" / "[ab].*"), "trimap": str(folder / "trimaps" / "?.png")})
    assert list(found) == ["a", "b"]
    one = find_together({"image": str(folder / "photos" / "b.jpg"), "truth": str(folder / "trimaps")})
    assert one == {"b": {"image": folder / "photos" / "b.jpg", "truth": folder / "trimaps" / "b.png"}}


def test_single_files_go_together_whatever_they_are_called(folder):
    image, trimap = folder / "photos" / "b.jpg", folder / "trimaps" / "a.png"
    assert find_together({"image": str(image), "trimap": str(trimap)}) == {"b": {"image": image, "trimap": trimap}}


def test_brackets_in_a_files_name_are_no_pattern(folder):
    path = folder / "a[1].png"
    save(path, noise(4, 4))
    assert find_together({"image": str(path)}) == {"a[1]": {"image": path}}


@pytest.mark.parametrize(
    ("image", "trimap", "words"),
    [
        ("gone.jpg", "trimaps", r"image=\S*gone\.jpg is no file and no folder: check the name"),
        ("photos", "gone/t.png", r"trimap=\S*t\.png is no file and no folder; there is no folder \S*gone; \S* holds"),
        ("photos/*.tif", "trimaps", r"photos/\*\.tif finds no image \(\.png, \.jpg, \.jpeg\): check the pattern"),
        ("*/b.*", "trimaps", r"finds both \S*photos/b\.jpg and \S*trimaps/b\.png: names have to differ"),
        ("trimaps", "photos", r"photos has no image for 1 name\(s\) of image=\S*trimaps: more; it holds a, b, c\.d"),
        ("photos", "trimaps/a.png", r"a\.png has no image for 2 name\(s\) of image=\S*photos: b, c\.d; it holds a"),
    ],
)
def test_what_does_not_go_together_is_told(folder, image, trimap, words):
    with pytest.raises(DataError, match=words):
        find_together({"image": str(folder / image), "trimap": str(folder / trimap)})


def test_sizes_that_differ_are_told(tmp_path):
    image, trimap = tmp_path / "a.png", tmp_path / "t.png"
    save(image, noise(4, 6, 3))
    save(trimap, np.zeros((6, 4), np.uint8))
    with pytest.raises(DataError, match=r"a\.png is 6 x 4, \S*t\.png is 4 x 6 pixels .* must agree"):
        read_photograph({"image": image, "trimap": trimap}, 1, 1)


def test_a_mask_gives_a_trimap(tmp_path):
    image, mask = tmp_path / "a.png", tmp_path / "m.png"
    save(image, noise(20, 60, 3))
    save(mask, np.where(matte(20, 60) == 255, 255, 0).astype(np.uint8))
    _, trimap = read_photograph({"image": image, "mask": mask}, 3, 2)
    np.testing.assert_array_equal(np.flatnonzero(trimap[0] == 128)[[0, -1]], [38, 42])
