"""Reading images: the right pixels or an error that names the file, never a silently wrong number."""

import struct
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.matting_folders import noise
from PIL import ExifTags, Image, ImageOps

from a2u.data.composition1k.rule import read_picture
from a2u.data.files.images import (
    encode_png,
    read_colour,
    read_deep_grey,
    read_grey,
    read_header,
    read_srgb,
    read_trimap,
    read_upright,
)
from a2u.errors import DataError

READERS = [read_colour, read_grey, read_trimap]
COLOURS = noise(5, 7, 3)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels, colours in RGB(A) order, with OpenCV, which also writes 16 bits per channel."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + b"\0" * 7
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


# Pixels


def test_colours_come_back_in_rgb_order(tmp_path):
    np.testing.assert_array_equal(read_colour(save(tmp_path / "a.png", COLOURS)), COLOURS)


def test_grey_file_read_as_colour_has_equal_channels(tmp_path):
    read = read_colour(save(tmp_path / "a.png", COLOURS[..., 0]))
    np.testing.assert_array_equal(read, np.stack([COLOURS[..., 0]] * 3, axis=-1))


def test_opaque_fourth_channel_is_dropped(tmp_path):
    opaque = np.dstack([COLOURS, np.full((5, 7), 255, np.uint8)])
    np.testing.assert_array_equal(read_colour(save(tmp_path / "a.png", opaque)), COLOURS)


def test_grey_stored_as_rgb(tmp_path):
    stored = np.stack([COLOURS[..., 0]] * 3, axis=-1)
    np.testing.assert_array_equal(read_grey(save(tmp_path / "a.png", stored)), COLOURS[..., 0])


def test_grey_jpeg_stored_as_colour(tmp_path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    path = save(tmp_path / "a.jpg", np.stack([ramp] * 3, axis=-1))
    np.testing.assert_allclose(read_grey(path).astype(int), ramp, atol=4)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("shape", [(41, 30), (41, 30, 3)])
def test_jpeg_pixels_equal_opencvs(tmp_path, shape, subsampling):
    """So that no number of an older result depends on which of the two decoded."""
    path = tmp_path / "a.jpg"
    Image.fromarray(cv2.GaussianBlur(noise(*shape), (0, 0), 1)).save(path, quality=90, subsampling=subsampling)
    np.testing.assert_array_equal(read_colour(path), cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])


def test_palette_trimap(tmp_path):
    trimap = np.array([[0, 128, 255], [255, 128, 0]], np.uint8)
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8)).convert("P")
    image.putpalette([0] * 3 + [128] * 3 + [255] * 3)
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    np.testing.assert_array_equal(read_trimap(tmp_path / "a.png"), trimap)


def test_names_may_hold_any_letter(tmp_path):
    path = save(tmp_path / "Bärenfell 灰色 ñ.png", COLOURS)
    np.testing.assert_array_equal(read_colour(path), COLOURS)


def test_a_jpeg_of_several_pictures_is_the_first(tmp_path):
    first, second = (np.full((16, 24, 3), value, np.uint8) for value in (50, 200))
    path = tmp_path / "a.jpg"
    Image.fromarray(first).save(path, "MPO", save_all=True, append_images=[Image.fromarray(second)])
    np.testing.assert_array_equal(read_colour(path), first)
    path.write_bytes(path.read_bytes()[:-30])  # of the second
    np.testing.assert_array_equal(read_colour(path), first)


def test_transparency_is_written_as_pillow_reads_it(tmp_path):
    pixels = np.dstack([COLOURS, COLOURS[..., 0]])
    (tmp_path / "a.png").write_bytes(encode_png(pixels))
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image), pixels)


# Refusals


@pytest.mark.parametrize("read", READERS)
def test_transparency_is_refused(tmp_path, read):
    opacity = np.full((5, 7), 255, np.uint8)
    opacity[2, 3] = 254
    path = save(tmp_path / "a.png", np.dstack([COLOURS, opacity]))
    with pytest.raises(DataError, match=r"a\.png has transparent pixels"):
        read(path)


@pytest.mark.parametrize("read", [*READERS, read_picture, read_header])
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 4)])
def test_sixteen_bits_are_refused(tmp_path, read, suffix, shape):
    path = save(tmp_path / f"a.{suffix}", np.full(shape, 128, np.uint16))
    with pytest.raises(DataError, match=rf"a\.{suffix} has 16 bits a channel"):
        read(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_grey_is_scaled_on_request(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", np.uint16([[0, 257, 32_895], [128, 129, 65_535]]))
    assert read_deep_grey(path).tolist() == [[0, 1, 128], [0, 1, 255]]
    assert read_header(path, deep=True)[:2] == (2, 3)
    eight = save(tmp_path / f"b.{suffix}", np.uint8([[0, 7, 255]]))
    assert read_deep_grey(eight).tolist() == read_grey(eight).tolist() == [[0, 7, 255]]


def test_float_grey_is_scaled_on_request(tmp_path):
    path = save(tmp_path / "a.tif", np.float32([[0, 0.5, 1], [0.001, 0.002, 0.25]]))
    assert read_deep_grey(path).tolist() == [[0, 128, 255], [0, 1, 64]]


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.float32([[0, 255]]), "has float values from 0 to 255; expected 0"),
        (np.float32([[0, np.nan]]), "has float values from nan"),
        (np.uint16([[0, 255]]), "has 16 bits a channel, but no value above 255"),
        (np.full((2, 3, 3), 5000, np.uint16), "has 16 bits a channel; convert"),
    ],
)
def test_deep_grey_in_another_range_is_refused(tmp_path, pixels, words):
    with pytest.raises(DataError, match=words):
        read_deep_grey(save(tmp_path / "a.tif", pixels))


@pytest.mark.parametrize(("suffix", "difference"), [("png", 1), ("jpg", 60)])
def test_coloured_file_is_refused_as_grey(tmp_path, suffix, difference):
    pixels = np.full((16, 16, 3), 100, np.uint8)
    pixels[..., 2] += difference
    path = save(tmp_path / f"a.{suffix}", pixels)
    with pytest.raises(DataError, match=rf"a\.{suffix} is coloured"):
        read_grey(path)


def test_trimap_with_other_values_is_refused_with_file_and_values(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 128, 255, 127, 254]], np.uint8))
    with pytest.raises(DataError, match=r"a\.png holds the value\(s\) 127, 254; a trimap holds 0"):
        read_trimap(path)


@pytest.mark.parametrize("read", [*READERS, read_header])
def test_missing_file(tmp_path, read):
    with pytest.raises(DataError, match=r"a\.png cannot be read: No such file"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("missing", [5, 20, 2000, 10_000])
def test_truncated_file(tmp_path, suffix, missing):
    path = save(tmp_path / f"a.{suffix}", noise(40, 40, 3))
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DataError, match=rf"a\.{suffix} is damaged .*\(\d+ bytes\)"):
        read_colour(path)


@pytest.mark.filterwarnings("ignore")  # of Pillow, about metadata
def test_a_changed_byte_in_a_png_never_changes_pixels_silently(tmp_path):
    """Without its checksums, which Pillow does not verify by itself, some changes would."""
    pixels = cv2.GaussianBlur(noise(40, 30, 3), (0, 0), 3)
    path = save(tmp_path / "a.png", pixels)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            np.testing.assert_array_equal(read_colour(path), pixels)
        except DataError:
            refused += 1
    assert refused > 0.9 * len(whole) / 5


FILM = b"\0\0\0\x18ftypmp42" + bytes(50) + b"\xff\xd9\xff\xda\0\x0c\x03" + bytes(50)  # holds JPEG's markers by chance


@pytest.mark.parametrize("kind", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
@pytest.mark.parametrize("preview", [False, True])
def test_a_jpeg_with_a_film_behind_it_is_read_and_refused_where_it_is_cut_short(tmp_path, kind, preview):
    """From its last byte on, the end marker, without which OpenCV before version 5 fills the rest with grey."""
    pixels = noise(40, 40, 3)
    path, plain, thumbnail = tmp_path / "a.jpg", BytesIO(), BytesIO()
    Image.fromarray(pixels).save(plain, "JPEG", **kind)
    Image.fromarray(pixels[:8, :8]).save(thumbnail, "JPEG")
    exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail.getvalue()) + 2) + thumbnail.getvalue()
    data = plain.getvalue()[:2] + (exif if preview else b"") + plain.getvalue()[2:]
    path.write_bytes(data)
    expected = read_colour(path)
    path.write_bytes(data + FILM)
    np.testing.assert_array_equal(read_colour(path), expected)
    for missing in (1, 20, 500):
        path.write_bytes(data[:-missing])
        with pytest.raises(DataError, match="damaged"):
            read_colour(path)


def test_heic_is_refused_with_advice_to_convert_it(tmp_path):
    path = tmp_path / "a.jpg"  # as telephones name some
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(
        DataError, match=r"a\.jpg is of a kind that cannot be read here, such as HEIC: convert it to PNG"
    ):
        read_colour(path)


def test_text_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("not an image")
    with pytest.raises(DataError, match=r"a\.png is damaged or not an image that can be read \(12 bytes\)"):
        read_colour(tmp_path / "a.png")


# Headers and EXIF


def test_a_header_is_read_without_the_picture(tmp_path):
    path = save(tmp_path / "a.png", noise(40, 300, 3))
    path.write_bytes(path.read_bytes()[:200])  # most of what is to be decoded is gone
    assert read_header(path) == (40, 300, 1)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", bytes(100)])
def test_header_of_something_else(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png is damaged or not an image"):
        read_header(tmp_path / "a.png")


@pytest.mark.parametrize(("written", "read"), [(0, 1), (1, 1), (6, 6), (8, 8), (9, 1)])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path, written, read):
    path = save(tmp_path / "a.jpg", noise(8, 6))
    path.write_bytes(with_orientation(path.read_bytes(), written))
    assert read_header(path).orientation == read


def test_exif_orientation_does_not_turn_the_picture(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    path = save(tmp_path / "a.jpg", pixels)
    path.write_bytes(with_orientation(path.read_bytes(), 6))
    assert cv2.imread(str(path), cv2.IMREAD_COLOR).shape == (16, 8, 3)  # OpenCV alone would turn it
    read = read_colour(path)
    assert read.shape == (8, 16, 3)
    assert read[:, 0].min() > 250
    assert read[:, -1].max() < 5


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 mean nothing
def test_upright_is_what_viewers_show(tmp_path, form, orientation):
    pixels = np.kron(noise(2, 3, 3), np.ones((8, 8, 1))).astype(np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a.{form.lower()}"
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    Image.fromarray(pixels).save(path, exif=exif, **options)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    read = read_upright(path, read_colour)
    assert read.shape == ((24, 16, 3) if orientation in range(5, 9) else (16, 24, 3))
    np.testing.assert_array_equal(read, shown)
    green = read_upright(path, lambda path: read_colour(path)[..., 1])
    np.testing.assert_array_equal(green, read[..., 1])


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_with_a_transparent_entry_is_refused_as_palettes_are(tmp_path, mode):
    image = Image.fromarray(np.uint8([[0, 255], [0, 255]])).convert(mode)
    image.save(tmp_path / "a.png", transparency=0)
    for read in (read_grey, read_colour, read_trimap):
        with pytest.raises(DataError, match=r"a\.png has transparent pixels"):
            read(tmp_path / "a.png")
    Image.fromarray(np.uint8([[5, 255], [5, 255]])).save(tmp_path / "a.png", transparency=7)  # which no pixel has
    assert read_grey(tmp_path / "a.png").tolist() == [[5, 255], [5, 255]]


def test_cielab_colours_are_refused(tmp_path):
    Image.new("LAB", (4, 4), (128, 20, 30)).save(tmp_path / "a.tif")
    for read in (read_colour, read_srgb, read_header):
        with pytest.raises(DataError, match=r"a\.tif has CIELAB colours; convert it to RGB"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_cut_short_with_its_end_mark_put_back_is_refused(tmp_path, options, mode):
    """The decoder fills it with grey. A picture that ends in that grey is read."""
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(90, 70, 3)).convert(mode).save(path, **options)
    data = path.read_bytes()
    read_colour(path)
    for share in (0.5, 0.9):
        path.write_bytes(data[: int(share * len(data))].rstrip(b"\xff") + b"\xff\xd9")
        with pytest.raises(DataError, match=r"a\.jpg is damaged"):
            read_colour(path)
    for grey in (127, 128):
        pixels = noise(90, 70, 3)
        pixels[40:] = grey
        Image.fromarray(pixels).convert(mode).save(path, **options)
        read_colour(path)
        path.write_bytes(path.read_bytes() + b"further data \xff\xd9")
        read_colour(path)
