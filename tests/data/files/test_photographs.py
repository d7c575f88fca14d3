"""Matching photographs with their trimaps or masks, and reading them."""

import struct
from io import BytesIO

import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save
from PIL import Image, ImageCms

from a2u.apply.cutout import read_background
from a2u.data.files.images import read_colour
from a2u.data.files.photographs import ENDINGS, match_files, read_photograph
from a2u.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("photos/b.jpg", "photos/a.PNG", "photos/c.d.png", "trimaps/a.png", "trimaps/b.png", "trimaps/c.d.png"):
        save(tmp_path / name.lower(), noise(4, 4, 3))
    (tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / "a.PNG")
    (tmp_path / "photos" / "notes.txt").write_text("")
    save(tmp_path / "trimaps" / "more.png", noise(4, 4))
    return tmp_path


def test_files_of_folders_are_matched_by_name(folder):
    found = match_files({"image": str(folder / "photos"), "trimap": str(folder / "trimaps")})
    photos, trimaps = folder / "photos", folder / "trimaps"
    assert found == {
        "a": {"image": photos / "a.PNG", "trimap": trimaps / "a.png"},
        "b": {"image": photos / "b.jpg", "trimap": trimaps / "b.png"},
        "c.d": {"image": photos / "c.d.png", "trimap": trimaps / "c.d.png"},
    }
    assert list(found) == ["a", "b", "c.d"]


def test_files_of_patterns_and_folders_are_matched_by_name(folder):
    found = match_files({"image": str(folder / "*os" / "[ab].*"), "trimap": str(folder / "trimaps" / "?.png")})
    assert list(found) == ["a", "b"]
    one = match_files({"image": str(folder / "photos" / "b.jpg"), "truth": str(folder / "trimaps")})
    assert one == {"b": {"image": folder / "photos" / "b.jpg", "truth": folder / "trimaps" / "b.png"}}


@pytest.mark.parametrize("text", ["photos", "photos/*", "**/photos/*"])
def test_skipped_files_are_reported(folder, caplog, text):
    for name in ("1.HEIC", "2.heic", "README", ".hidden"):
        (folder / "photos" / name).touch()
    (folder / "photos" / "inner.d").mkdir()
    found = match_files({"image": str(folder / text), "trimap": str(folder / "trimaps")})
    assert list(found) == ["a", "b", "c.d"]
    (record,) = caplog.records
    warning = f"image={folder / text}: 4 file(s) of other kinds are skipped: 2 .heic, 1 .txt, 1 no ending."
    assert record.getMessage() == warning


def test_every_kind_that_folders_are_searched_for_can_be_read(tmp_path):
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"} <= set(ENDINGS)
    for kind in ENDINGS:
        Image.fromarray(np.full((40, 30, 3), 128, np.uint8)).save(tmp_path / f"{kind[1:]}{kind}")
    save(tmp_path / "t" / "t.png", np.zeros((40, 30), np.uint8))
    found = match_files({"image": str(tmp_path)})
    assert sorted(found) == sorted(kind[1:] for kind in ENDINGS)
    for files in found.values():
        image, _ = read_photograph(files | {"trimap": tmp_path / "t" / "t.png"}, 1, 1)
        assert np.abs(image - 128.0).max() <= 2


def test_for_a_folder_of_other_kinds_the_advice_is_to_convert_them(tmp_path):
    (tmp_path / "1.heic").touch()
    with pytest.raises(DataError, match=r"holds no image .*; it holds 1\.heic: convert pictures of other kinds to PNG"):
        match_files({"image": str(tmp_path)})


def test_single_files_are_matched_whatever_their_names(folder):
    image, trimap = folder / "photos" / "b.jpg", folder / "trimaps" / "a.png"
    assert match_files({"image": str(image), "trimap": str(trimap)}) == {"b": {"image": image, "trimap": trimap}}


def test_brackets_in_a_file_name_are_not_a_pattern(folder):
    path = folder / "a[1].png"
    save(path, noise(4, 4))
    assert match_files({"image": str(path)}) == {"a[1]": {"image": path}}


@pytest.mark.parametrize(
    ("image", "trimap", "words"),
    [
        ("gone.jpg", "trimaps", r"image=\S*gone\.jpg is neither a file nor a folder: check the name"),
        (
            "photos",
            "gone/t.png",
            r"trimap=\S*t\.png is neither a file nor a folder; there is no folder \S*gone; \S* holds",
        ),
        (
            "photos/*.gif",
            "trimaps",
            r"photos/\*\.gif finds no image \(\.png, \.jpg, \.jpeg, \.webp.*\): check the pattern",
        ),
        ("*/b.*", "trimaps", r"finds both \S*photos/b\.jpg and \S*trimaps/b\.png: names must differ"),
        ("trimaps", "photos", r"photos has no image for 1 name\(s\) of image=\S*trimaps: more; it holds a, b, c\.d"),
        ("photos", "trimaps/a.png", r"a\.png has no image for 2 name\(s\) of image=\S*photos: b, c\.d; it holds a"),
    ],
)
def test_files_that_do_not_match_are_refused(folder, image, trimap, words):
    with pytest.raises(DataError, match=words):
        match_files({"image": str(folder / image), "trimap": str(folder / trimap)})


def test_different_sizes_are_refused(tmp_path):
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


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = {"rXYZ": (0.51512, 0.24120, -0.00105), "gXYZ": (0.29198, 0.69225, 0.04189), "bXYZ": (0.15710, 0.06657, 0.78407)}


def place(tag):
    """Return the offset of a tag's three numbers in the profile SRGB."""
    at = SRGB.index(tag.encode())
    return int.from_bytes(SRGB[at + 4 : at + 8]) + 8


def with_primaries(primaries):
    """Return the profile SRGB with other primaries."""
    profile = bytearray(SRGB)
    for tag, numbers in primaries.items():
        struct.pack_into(">3i", profile, place(tag), *(round(number * 2**16) for number in numbers))
    return bytes(profile)


def from_p3(pixels):
    """Convert Display P3 to sRGB by the formulas: same curve, different primaries."""
    linear = np.where(pixels <= 0.04045 * 255, pixels / 255 / 12.92, ((pixels / 255 + 0.055) / 1.055) ** 2.4)
    srgb = [np.array(struct.unpack_from(">3i", SRGB, place(tag))) / 2**16 for tag in P3]
    linear = (linear @ np.array(list(P3.values())) @ np.linalg.inv(srgb)).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_colours_are_those_that_the_profile_means(tmp_path, suffix):
    path, trimap = tmp_path / f"a.{suffix}", tmp_path / "t.png"
    save(trimap, np.zeros((40, 30), np.uint8))
    Image.fromarray(noise(40, 30, 3)).save(path, icc_profile=with_primaries(P3))
    stored = read_colour(path)
    read, _ = read_photograph({"image": path, "trimap": trimap}, 1, 1)
    assert np.abs(read - from_p3(stored)).max() <= 1
    assert np.abs(read - stored.astype(int)).max() > 20
    own = ImageCms.profileToProfile(
        Image.fromarray(stored), ImageCms.ImageCmsProfile(BytesIO(with_primaries(P3))), ImageCms.createProfile("sRGB")
    )
    np.testing.assert_array_equal(read, np.asarray(own))
    np.testing.assert_array_equal(np.asarray(read_background(str(path))), read)


@pytest.mark.parametrize(
    ("profile", "warning"),
    [
        (SRGB, ""),
        (None, ""),
        (with_primaries(P3)[:300], "a.png: its colour profile is damaged"),
        (b"no profile", "a.png: its colour profile is damaged"),
    ],
)
def test_colours_stay_where_the_profile_is_srgb_missing_or_damaged(tmp_path, caplog, profile, warning):
    pixels = noise(40, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(read_background(str(tmp_path / "a.png"))), pixels)
    assert warning in caplog.text
    assert bool(warning) == bool(caplog.records)


def test_grey_stays_whatever_its_profile(tmp_path):
    grey = bytearray(SRGB)
    grey[16:20] = b"GRAY"
    Image.fromarray(noise(40, 30)).save(tmp_path / "a.png", icc_profile=bytes(grey))
    read = np.asarray(read_background(str(tmp_path / "a.png")))
    np.testing.assert_array_equal(read, np.dstack([noise(40, 30)] * 3))


def test_pixels_of_datasets_are_taken_as_they_are_stored_whatever_their_profile(tmp_path):
    Image.fromarray(noise(40, 30, 3)).save(tmp_path / "a.png", icc_profile=with_primaries(P3))
    np.testing.assert_array_equal(read_colour(tmp_path / "a.png"), noise(40, 30, 3))


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "pics [2024]" / "x?" / f"{name}.png", noise(4, 4))
    for text in ("pics [2024]/x?/*.png", "pics [2024]/*/[ab].png", "pics [2024]/**/*"):
        assert list(match_files({"image": str(tmp_path / text)})) == ["a", "b"]
    with pytest.raises(DataError, match="is neither a file nor a folder"):
        match_files({"image": str(tmp_path / "pics [2024]" / "c.png")})


def test_brackets_in_a_relative_folder_are_no_pattern(tmp_path, monkeypatch):
    save(tmp_path / "pics [2024]" / "a.png", noise(4, 4))
    monkeypatch.chdir(tmp_path)
    assert list(match_files({"image": "pics [2024]/*.png"})) == ["a"]


def test_names_match_however_their_letters_are_composed(tmp_path):
    """As macOS stores them (NFD), and as others do (NFC)."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    save(tmp_path / "photos" / f"{decomposed}.png", noise(4, 4))
    save(tmp_path / "trimaps" / f"{composed}.png", noise(4, 4))
    for image in ("photos", "photos/*.png", f"photos/{decomposed}.png"):
        found = match_files({"image": str(tmp_path / image), "trimap": str(tmp_path / "trimaps")})
        assert found[composed]["image"].parent.name == "photos"
    save(tmp_path / "photos" / f"{composed}.png", noise(4, 4))
    with pytest.raises(DataError, match="holds both"):
        match_files({"image": str(tmp_path / "photos")})


def test_a_cut_out_is_a_mask(tmp_path):
    """As background removers write it; an opaque picture is one by its grey values."""
    save(tmp_path / "photo.png", noise(40, 50, 3))
    mask = np.zeros((40, 50), np.uint8)
    mask[10:30, 10:40] = 255
    save(tmp_path / "mask.png", mask)
    save(tmp_path / "cutout.png", np.dstack([noise(40, 50, 3), mask]))
    save(tmp_path / "grey and alpha.png", np.dstack([noise(40, 50), mask]))
    save(tmp_path / "opaque.png", np.dstack([mask, mask, mask, np.full_like(mask, 255)]))
    expected = read_photograph({"image": tmp_path / "photo.png", "mask": tmp_path / "mask.png"}, 3, 3)[1]
    for name in ("cutout.png", "grey and alpha.png", "opaque.png"):
        _, trimap = read_photograph({"image": tmp_path / "photo.png", "mask": tmp_path / name}, 3, 3)
        np.testing.assert_array_equal(trimap, expected)
    assert set(np.unique(expected)) == {0, 128, 255}
