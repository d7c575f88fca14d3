"""Reading images: right pixels or an error that names the file, never a silent wrong number."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.matting_folders import noise
from PIL import ExifTags, Image, ImageOps

from a2u.data.composition1k.rule import read_picture
from a2u.data.files.images import encode_png, read_colour, read_grey, read_header, read_trimap, read_upright
from a2u.errors import DataError

READERS = [read_colour, read_grey, read_trimap]


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels, colours in RGB(A) order."""
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def palette_png(path: Path, indices: np.ndarray, palette: list[tuple[int, int, int]]) -> Path:
    """Write a palette PNG, which OpenCV cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = indices.shape
    rows = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in indices)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(value for colour in palette for value in colour))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + b"\0" * 7
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_colours_come_back_in_rgb_order(tmp_path, colours):
    np.testing.assert_array_equal(read_colour(save(tmp_path / "a.png", colours)), colours)


def test_grey_file_read_as_colour_has_equal_channels(tmp_path, colours):
    grey = colours[..., 0]
    read = read_colour(save(tmp_path / "a.png", grey))
    np.testing.assert_array_equal(read, np.stack([grey] * 3, axis=-1))


def test_opaque_fourth_channel_is_dropped(tmp_path, colours):
    opaque = np.dstack([colours, np.full((5, 7), 255, np.uint8)])
    np.testing.assert_array_equal(read_colour(save(tmp_path / "a.png", opaque)), colours)


@pytest.mark.parametrize("read", READERS)
def test_transparency_is_refused(tmp_path, colours, read):
    opacity = np.full((5, 7), 255, np.uint8)
    opacity[2, 3] = 254
    path = save(tmp_path / "a.png", np.dstack([colours, opacity]))
    with pytest.raises(DataError, match=r"a\.png has transparent pixels"):
        read(path)


@pytest.mark.parametrize("read", [*READERS, read_picture, read_header])
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 4)])
def test_sixteen_bits_are_refused(tmp_path, read, suffix, shape):
    path = save(tmp_path / f"a.{suffix}", np.full(shape, 128, np.uint16))
    with pytest.raises(DataError, match=rf"a\.{suffix} has 16 bits a channel"):
        read(path)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("shape", [(41, 30), (41, 30, 3)])
def test_jpeg_pixels_equal_opencvs(tmp_path, shape, subsampling):
    """So that no number of an older result depends on which of the two decoded."""
    path = tmp_path / "a.jpg"
    Image.fromarray(cv2.GaussianBlur(noise(*shape), (0, 0), 1)).save(path, quality=90, subsampling=subsampling)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_colour(path), expected)


def test_names_may_hold_any_letter(tmp_path, colours):
    path = save(tmp_path / "Bärenfell 灰色 ñ.png", colours)
    np.testing.assert_array_equal(read_colour(path), colours)


def test_a_header_is_read_without_the_picture(tmp_path):
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200])  # most of what is to be decoded is gone
    assert read_header(path) == (40, 30, 1)


@pytest.mark.parametrize(("written", "read"), [(0, 1), (1, 1), (6, 6), (8, 8), (9, 1)])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path, written, read):
    jpeg = cv2.imencode(".jpg", np.zeros((8, 6), np.uint8))[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(with_orientation(jpeg, written))
    assert read_header(tmp_path / "a.jpg").orientation == read


def test_exif_orientation_does_not_turn_the_picture(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    path = tmp_path / "a.jpg"
    path.write_bytes(with_orientation(cv2.imencode(".jpg", pixels)[1].tobytes(), 6))
    assert cv2.imread(str(path), cv2.IMREAD_COLOR).shape == (16, 8, 3)  # OpenCV alone would turn it
    read = read_colour(path)
    assert read.shape == (8, 16, 3)
    assert read[:, 0].min() > 250
    assert read[:, -1].max() < 5


def test_grey_stored_as_rgb(tmp_path, colours):
    grey = colours[..., 0]
    stored = np.stack([grey] * 3, axis=-1)
    np.testing.assert_array_equal(read_grey(save(tmp_path / "a.png", stored)), grey)


def test_grey_jpeg_stored_as_colour(tmp_path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    path = save(tmp_path / "a.jpg", np.stack([ramp] * 3, axis=-1))
    np.testing.assert_allclose(read_grey(path).astype(int), ramp, atol=4)


@pytest.mark.parametrize(("suffix", "difference"), [("png", 1), ("jpg", 60)])
def test_coloured_file_is_no_grey_image(tmp_path, suffix, difference):
    pixels = np.full((16, 16, 3), 100, np.uint8)
    pixels[..., 2] += difference
    path = save(tmp_path / f"a.{suffix}", pixels)
    with pytest.raises(DataError, match=rf"a\.{suffix} is coloured"):
        read_grey(path)


@pytest.mark.parametrize("read", [*READERS, read_header])
def test_missing_file(tmp_path, read):
    with pytest.raises(DataError, match=r"a\.png cannot be read: No such file"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("missing", [5, 20, 2000, 10_000])
def test_truncated_file(tmp_path, suffix, missing):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", pixels)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DataError, match=rf"a\.{suffix} is damaged .*\(\d+ bytes\)"):
        read_colour(path)


def test_a_jpeg_without_its_end_marker(tmp_path):
    """OpenCV before version 5 reads it, and fills what is missing with grey."""
    path = save(tmp_path / "a.jpg", noise(40, 40, 3))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="damaged"):
        read_colour(path)


@pytest.mark.filterwarnings("ignore")  # of Pillow, about metadata
def test_a_changed_byte_in_a_png_never_changes_pixels_silently(tmp_path):
    """Pillow alone returns other pixels for some of them."""
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
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
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


def test_a_jpeg_of_several_pictures_is_the_first(tmp_path):
    first, second = (np.full((16, 24, 3), value, np.uint8) for value in (50, 200))
    path = tmp_path / "a.jpg"
    Image.fromarray(first).save(path, "MPO", save_all=True, append_images=[Image.fromarray(second)])
    np.testing.assert_array_equal(read_colour(path), first)
    path.write_bytes(path.read_bytes()[:-30])  # of the second
    np.testing.assert_array_equal(read_colour(path), first)


def test_of_a_heic_the_sentence_says_to_convert_it(tmp_path):
    path = tmp_path / "a.jpg"  # as telephones name some
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(
        DataError, match=r"a\.jpg is of a kind that cannot be read here, such as HEIC: convert it to PNG"
    ):
        read_colour(path)


def test_text_is_no_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("not an image")
    with pytest.raises(DataError, match=r"a\.png is damaged or not an image that can be read \(12 bytes\)"):
        read_colour(path)


def test_palette_trimap(tmp_path):
    indices = np.array([[0, 1, 2], [2, 1, 0]])
    path = palette_png(tmp_path / "a.png", indices, [(0, 0, 0), (128, 128, 128), (255, 255, 255)])
    np.testing.assert_array_equal(read_trimap(path), [[0, 128, 255], [255, 128, 0]])


def test_trimap_with_other_values_is_refused_with_file_and_values(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 128, 255, 127, 254]], np.uint8))
    with pytest.raises(DataError, match=r"a\.png holds the value\(s\) 127, 254; a trimap holds 0"):
        read_trimap(path)


def test_size_from_the_header(tmp_path):
    assert read_header(save(tmp_path / "a.png", np.zeros((3, 300), np.uint8))) == (3, 300, 1)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", bytes(100)])
def test_header_of_something_else(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png is damaged or not an image"):
        read_header(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 mean nothing
def test_upright_is_what_viewers_show(tmp_path, form, orientation):
    pixels = np.kron(np.random.default_rng(0).integers(0, 256, (2, 3, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"a.{form.lower()}"
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    Image.fromarray(pixels).save(path, exif=exif, **options)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path))).astype(int)
    read = read_upright(path, read_colour)
    assert read.shape == shown.shape == ((24, 16, 3) if orientation in range(5, 9) else (16, 24, 3))
    np.testing.assert_array_equal(read, shown)
    green = read_upright(path, lambda path: read_colour(path)[..., 1])
    np.testing.assert_array_equal(green, read[..., 1])


def test_transparency_is_written_as_pil_reads_it(tmp_path, colours):
    pixels = np.dstack([colours, colours[..., 0]])
    (tmp_path / "a.png").write_bytes(encode_png(pixels))
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image), pixels)
