"""Image files as users have them: the right pixels, or a sentence that names the file."""

import os
import shutil
import struct
import zlib
from contextlib import suppress
from io import BytesIO

import cv2
import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from a2u.config import compose
from a2u.data.composition1k.rule import read_picture
from a2u.data.files.folders import read_names
from a2u.data.files.images import read_colour, read_grey, read_header, read_trimap
from a2u.engine.evaluate import predict
from a2u.errors import DataError
from a2u.metrics import all_metrics
from a2u.models import build_model


def turned(path, orientation):
    """Set the EXIF orientation of an image."""
    image = Image.open(path)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.load()
    image.save(path, exif=exif)


def test_a_palette_with_transparency(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise(8, 9, 3)).quantize(16).save(path, transparency=3)
    with pytest.raises(DataError, match=r"a\.png has transparent pixels"):
        read_colour(path)


def test_one_bit_a_pixel(tmp_path):
    path, alpha = tmp_path / "a.png", noise(8, 9) > 100
    Image.fromarray(alpha).save(path)
    np.testing.assert_array_equal(read_grey(path), 255 * alpha.astype(np.uint8))


def test_cmyk(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(40, 30, 3)).convert("CMYK").save(path)
    assert Image.open(path).mode == "CMYK"
    np.testing.assert_array_equal(read_colour(path), Image.open(path).convert("RGB"))


def test_floating_point(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise(8, 9).astype(np.float32)).save(path, format="TIFF")
    with pytest.raises(DataError, match=r"a\.png has 32 bits a channel"):
        read_grey(path)


@pytest.mark.parametrize("orientation", [3, 6])
def test_one_image_of_a_pair_is_to_be_turned(builders, orientation):
    for path, build in builders.items():
        turned(path, orientation)
        with pytest.raises(DataError, match=rf"{path.name} has {orientation}.* as EXIF orientation"):
            build()
        turned(path, 1)
        build()


def test_both_images_of_a_pair_are_to_be_turned(adobe_root, builders):
    folder = adobe_root / "Training_set"
    pixels = read_colour(folder / "fg" / "a.png")
    for kind in ("fg", "alpha"):
        turned(folder / kind / "a.png", 6)
    layer = builders[folder / "alpha" / "a.png"]().layers[0]
    np.testing.assert_array_equal(layer.foreground, pixels)
    np.testing.assert_array_equal(layer.alpha, matte(24, 24))


def test_one_pixel(tmp_path):
    save(tmp_path / "a.png", np.full((1, 1, 3), 7, np.uint8))
    assert read_header(tmp_path / "a.png")[:2] == (1, 1)
    np.testing.assert_array_equal(read_colour(tmp_path / "a.png"), [[[7, 7, 7]]])


def test_20000_pixels_wide(tmp_path):
    """Read, predicted whole and measured."""
    alpha, image = matte(24, 20000), noise(24, 20000, 3)
    trimap = np.full_like(alpha, 128)
    for name, pixels in {"image": image, "alpha": alpha, "trimap": trimap}.items():
        save(tmp_path / f"{name}.png", pixels)
    found = read_colour(tmp_path / "image.png")
    np.testing.assert_array_equal(found, image)
    model = build_model(compose(["scale=smoke"])).eval()
    prediction = predict(model, found, read_trimap(tmp_path / "trimap.png"))
    assert prediction.shape == (24, 20000)
    values = all_metrics(prediction, read_grey(tmp_path / "alpha.png"), trimap)
    assert values["sad"] == pytest.approx(np.abs(prediction / 255 - alpha / 255).sum() / 1000)


@pytest.mark.parametrize("network", ["resnet34_unet", "dim", "gca", "indexnet_matting"])
def test_images_smaller_than_a_network_divides_by(network):
    model = build_model(compose(["scale=smoke", f"model={network}"])).eval()
    for size in [(1, 1), (1, 40), (5, 7), (33, 15)]:
        trimap = np.full(size, 128, np.uint8)
        trimap[0, 0] = 255
        prediction = predict(model, noise(*size, 3), trimap)
        assert prediction.shape == size
        assert prediction[0, 0] == 255


@pytest.mark.parametrize("form", ["GIF", "BMP", "JPEG", "WEBP"])
def test_another_format_than_the_name_says(tmp_path, form):
    """The format is recognised by content."""
    path = tmp_path / "a.png"
    Image.fromarray(np.full((8, 9), 128, np.uint8)).save(path, format=form)
    np.testing.assert_allclose(read_colour(path), 128, atol=1)


def test_a_folder_in_an_images_place(builders):
    for path, build in builders.items():
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        with pytest.raises(DataError, match=rf"{path.name} cannot be read: Is a directory"):
            build()
        path.rmdir()
        path.write_bytes(content)


def test_broken_links(builders):
    for path, build in builders.items():
        content = path.read_bytes()
        for target, reason in {path.name: "Too many levels of symbolic links", "gone": "No such file"}.items():
            path.unlink()
            path.symlink_to(target)
            with pytest.raises(DataError, match=rf"{path.name} cannot be read: {reason}"):
                build()
        path.unlink()
        path.write_bytes(content)


def test_far_more_pixels_than_bytes(builders):
    """A small file that would fill the memory is refused by its header."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    for path, build in builders.items():
        content = path.read_bytes()
        path.write_bytes(bomb)
        with pytest.raises(DataError, match=rf"{path.name} cannot be used \(Image size \(900000000 pixels\)"):
            build()
        path.write_bytes(content)


def claiming(form):
    """An image of 8 x 8 pixels whose header claims 30,000 x 30,000, or in a WebP the most there can be."""
    content = BytesIO()
    Image.new("RGB", (8, 8)).save(content, form, lossless=True)
    data = bytearray(content.getvalue())
    if form == "WEBP":
        place = data.index(b"VP8L") + 9
        claim = struct.pack("<I", struct.unpack_from("<I", data, place)[0] | 2**28 - 1)
    else:
        place = {"GIF": 6, "BMP": 18, "JPEG": data.find(b"\xff\xc0") + 5}[form]
        claim = struct.pack({"GIF": "<HH", "BMP": "<ii", "JPEG": ">HH"}[form], 30000, 30000)
    data[place : place + len(claim)] = claim
    return bytes(data)


@pytest.mark.parametrize("form", ["GIF", "BMP", "JPEG", "WEBP"])
@pytest.mark.parametrize("read", [read_header, read_colour, read_picture])
def test_far_more_pixels_than_bytes_in_other_formats(tmp_path, form, read):
    (tmp_path / "a.png").write_bytes(claiming(form))
    with pytest.raises(DataError, match=r"a\.png cannot be used \(Image size"):
        read(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore")  # PIL's of what it passes over
@given(
    form=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), min_size=1, max_size=8),
    kept=st.just(1.0) | st.floats(0, 1),
)
def test_bytes_that_are_damaged(tmp_path_factory, form, changes, kept):
    """Pixels or a sentence, never another error; most changes are near the start, where the headers are."""
    path, content = tmp_path_factory.getbasetemp() / "damaged.png", BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(noise(9, 8, 3)).save(content, form, **({"exif": exif} if form in ("PNG", "JPEG") else {}))
    data = bytearray(content.getvalue())
    for place, new in changes:
        at = int(place**3 * (len(data) - 1))
        data[at : at + len(new)] = new
    path.write_bytes(data[: int(kept * len(data))])
    for read in (read_header, read_colour, read_picture):
        with suppress(DataError):
            read(path)


def test_a_jpeg_trimap(adobe_root, builders):
    """Lossy compression creates other values, whatever the name says."""
    path = adobe_root / "Test_set" / "trimaps" / "t_0.png"
    trimap = np.zeros((24, 20), np.uint8)
    trimap[6:, 7:], trimap[13:, 5:] = 128, 255
    jpeg = cv2.imencode(".jpg", trimap, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
    path.write_bytes(jpeg)
    with pytest.raises(DataError, match=r"t_0\.png holds the value\(s\) .* without scaling or lossy compression"):
        builders[path]().test[0]
    shutil.move(path, path.with_suffix(".jpg"))
    with pytest.raises(DataError, match=r"trimaps holds no image \(\.png\); it holds t_0\.jpg"):
        builders[path]()


def test_a_pipe_among_pictures(builders):
    """Refused instead of waited for; datasets."""
    for path, build in builders.items():
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(DataError, match=rf"{path.name} cannot be read: it is a pipe, a socket or a device"):
            build()
        path.unlink()
        path.write_bytes(content)


def test_a_list_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(DataError, match=r"list\.txt cannot be read: .* it is a pipe"):
        read_names(tmp_path / "list.txt")
