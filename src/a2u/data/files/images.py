"""Read and write image files: 8-bit pixels as they are stored, or an error that names the file.

Pillow decodes every image. The released program composes Composition-1k from what Pillow reads, so a second decoder
could only disagree with it. Pillow also reports a truncated JPEG, which OpenCV before version 5 fills with grey; on
whole JPEG files the two give the same pixels.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from a2u.data.sampling.trimaps import TrimapValues
from a2u.errors import DataError
from a2u.files import check_regular, replacing

log = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")  # of the contents, whatever the name says
JPEG_GREY_TOLERANCE = 3  # grey stored in three channels of a JPEG may come back slightly coloured


def read_colour(path: Path) -> np.ndarray:
    """Return the colours of an image, (H, W, 3) uint8 RGB; a grey image gives three equal channels.

    Raises:
        DataError: the file is missing, damaged, transparent or has more than 8 bits a channel.
    """
    with opened(path) as image:
        return _opaque_colours(path, image)


def read_grey(path: Path) -> np.ndarray:
    """Return the grey values of an image, (H, W) uint8; grey stored as RGB is accepted.

    Raises:
        DataError: as for `read_colour`, or the channels differ.
    """
    with opened(path) as image:
        if image.mode in ("1", "L") and "transparency" not in image.info:
            return np.array(image.convert("L"))
        pixels = _opaque_colours(path, image)
    difference = int(np.ptp(pixels, axis=2).max())
    if difference > (0 if path.suffix.lower() == ".png" else JPEG_GREY_TOLERANCE):
        raise DataError(
            f"{path} is coloured (red, green and blue differ by up to {difference}), but an alpha matte or a trimap "
            "is grey: check that it is the right file"
        )
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def read_deep_grey(path: Path) -> np.ndarray:
    """Return the grey values of an image of any depth, (H, W) uint8: v / 257 of 16 bits, 255 v of a float, rounded.

    Raises:
        DataError: as for `read_grey`, a float is outside 0..1, or 16 bits hold values of 8.
    """
    with opened(path, deep=True) as image:
        if not _is_deep_grey(image):
            return read_grey(path)
        values = np.array(image)
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # so NaN, too
            raise DataError(f"{path} has float values from {low:g} to {high:g}; expected 0..1")
        return np.rint(values * np.float32(255)).astype(np.uint8)
    if 0 < high <= 255:
        raise DataError(f"{path} has 16 bits a channel, but no value above 255: save it with 8 bits, or times 257")
    return np.rint(values / 257).astype(np.uint8)


def read_trimap(path: Path, values: TrimapValues | None = None) -> np.ndarray:
    """Return a trimap, (H, W) uint8 of 0, 128 and 255.

    values: how other values are read; None: they are refused.

    Raises:
        DataError: as for `read_grey`, or the file holds another value.
    """
    return (values or TrimapValues()).read(read_grey(path), str(path))


def read_mask(path: Path) -> np.ndarray:
    """Return a rough mask, (H, W) uint8: the opacity of a cut-out, which has transparent pixels, else the grey values.

    Raises:
        DataError: as for `read_grey`.
    """
    with opened(path) as image:
        opacity = opacity_of(image)
    return read_grey(path) if opacity is None else opacity


def read_srgb(path: Path) -> np.ndarray:
    """Read an image as `read_colour` does and convert it to sRGB if it has another RGB colour profile.

    A damaged profile is ignored with a warning; profiles of grey and CMYK images are ignored silently.
    """
    with opened(path) as image:
        pixels, data = _opaque_colours(path, image), image.info.get("icc_profile")
    if not data:
        return pixels
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        if profile.profile.xcolor_space.strip() != "RGB":
            return pixels
        srgb = ImageCms.createProfile("sRGB")
        return np.array(ImageCms.profileToProfile(Image.fromarray(pixels), profile, srgb))
    except (OSError, ImageCms.PyCMSError) as error:
        log.warning("%s: its colour profile is damaged (%s); its colours are taken as sRGB.", path, error)
        return pixels


class Header(NamedTuple):
    """What the header of an image file states."""

    height: int  # pixels, as stored
    width: int
    orientation: int  # EXIF, 1 to 8; 1 (as stored) also for unknown values and for TIFF, which Pillow turns itself


def read_header(path: Path, deep: bool = False) -> Header:
    """Read the header of an image file without decoding it.

    deep: grey of 16 bits or float is allowed.

    Raises:
        DataError: the file has no valid header, far too many pixels, or more bits a channel than are allowed.
    """
    with opened(path, header_only=True, deep=deep) as image:
        exif = Image.Image.getexif(image)  # the PNG plugin's own getexif decodes the image
        orientation = 1 if image.format == "TIFF" else exif.get(ExifTags.Base.Orientation, 1)
        return Header(image.height, image.width, orientation if orientation in range(2, 9) else 1)


TRANSPOSE = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_upright(path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """Read an image with `read`, then rotate and flip it by its EXIF orientation, as viewers do.

    Raises:
        DataError: as for `read` and `read_header`.
    """
    pixels, transpose = read(path), TRANSPOSE.get(read_header(path).orientation)
    return pixels if transpose is None else np.array(Image.fromarray(pixels).transpose(transpose))


@contextmanager
def opened(path: Path, header_only: bool = False, deep: bool = False) -> Iterator[Image.Image]:
    """Open an image file without decoding it; an error of Pillow inside the block becomes a DataError.

    Args:
        header_only: the pixels will not be used, so the checksums of a PNG file, which cover them, are not verified.
        deep: grey of 16 bits or float is allowed.

    Raises:
        DataError: the file is missing, damaged, not an image, far too large, or has more bits a channel than are
            allowed.
    """
    try:
        check_regular(path)
        if not header_only:
            with Image.open(path, formats=FORMATS) as image:
                image.verify()  # Pillow decodes a PNG without looking at its checksums; no image can be used after this
        with Image.open(path, formats=FORMATS) as image:
            if not (deep and _is_deep_grey(image)):
                _refuse_more_than_8_bits(path, image)
            if image.mode == "LAB":
                raise DataError(f"{path} has CIELAB colours; convert it to RGB")
            yield image
            if isinstance(image, JpegImageFile) and not header_only:
                _refuse_filled_jpeg(path, image)
    except (DataError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} cannot be used ({error}): make it smaller, or copy or download it again") from error
    except Exception as error:  # Pillow raises a dozen types for a damaged file
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        raise DataError(_not_readable(path)) from error


def _refuse_filled_jpeg(path: Path, image: JpegImageFile) -> None:
    """Raise DataError for a JPEG whose data end early, before a valid end mark: the decoder fills the rest with grey.

    Where its last pixel is that grey, or scans refine it step by step, further data are put before the end mark. The
    decoder ignores them if the picture is complete.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    bands = last if isinstance(last, tuple) else (last,)
    if "progressive" not in image.info and not {127, 128}.issuperset(bands):
        return
    data = path.read_bytes()
    end = _end_of_jpeg(data)
    with Image.open(BytesIO(data[:end] + bytes(range(1, 255)) + data[end:]), formats=["JPEG"]) as longer:
        if longer.tobytes() != image.tobytes():
            raise DataError(f"{path} is damaged: its data end before the picture does; copy or download it again")


def _end_of_jpeg(data: bytes) -> int:
    """Return where the end mark of a JPEG's first picture is."""
    position = 2  # segments: FF, kind, length of two bytes, content
    while data[position + 1] != 0xDA:  # start of scan; after it FF D9 occurs only as the end mark
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data.index(b"\xff\xd9", position)


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I;16")


def _refuse_more_than_8_bits(path: Path, image: Image.Image) -> None:
    """Pillow reduces 16-bit colours to 8 bits silently: only the raw mode of the pixels still says so."""
    tiles = getattr(image, "tile", None) or []
    raw_modes = [str(args[0] if isinstance(args, tuple) else args) for *_, args in tiles]
    if image.mode.startswith("I;16") or any(mode.endswith((";16B", ";16L", ";16N")) for mode in raw_modes):
        bits = 16
    elif image.mode in ("I", "F"):
        bits = 32
    else:
        return
    raise DataError(
        f"{path} has {bits} bits a channel; convert it to 8 bits a channel, or, if it is an alpha, give "
        "deep_alphas=true to a command or a dataset that takes it"
    )


def _opaque_colours(path: Path, image: Image.Image) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB; raise DataError for transparent pixels."""
    if opacity_of(image) is not None:
        raise DataError(
            f"{path} has transparent pixels, but colours and alpha are expected in separate files: "
            "save it without transparency"
        )
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # converting to the same mode copies


def opacity_of(image: Image.Image) -> np.ndarray | None:
    """Return the opacity of an image, (H, W) uint8; None where no pixel is transparent."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return None
    opacity = np.array(image.convert("RGBA").getchannel("A"))
    return opacity if opacity.min() < 255 else None


def _not_readable(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp":  # HEIC and films; AVIF where Pillow lacks it
        return f"{path} is of a kind that cannot be read here, such as HEIC: convert it to PNG or JPEG"
    return (
        f"{path} is damaged or not an image that can be read ({path.stat().st_size} bytes): copy or download it again, "
        "or convert it to PNG or JPEG"
    )


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W), (H, W, 3) RGB or (H, W, 4) RGBA uint8 as a PNG file, which appears whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(image))


def write_jpeg(path: Path, image: np.ndarray, quality: int) -> None:
    """Write (H, W, 3) RGB uint8 as a JPEG file, which appears whole or not at all."""
    code = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    with replacing(path) as temporary:
        temporary.write_bytes(code.tobytes())


def encode_png(image: np.ndarray) -> bytes:
    """Return the bytes of a PNG file of (H, W), (H, W, 3) RGB or (H, W, 4) RGBA uint8."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".png", image)[1].tobytes()
