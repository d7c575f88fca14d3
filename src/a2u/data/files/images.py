"""Image files: 8-bit pixels as they are stored, or an error that names the file."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from a2u.data.sampling.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from a2u.errors import DataError
from a2u.files import replacing

log = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg")

# Grey stored in three channels of a JPEG may come back a little coloured.
JPEG_GREY_TOLERANCE = 3


def read_colour(path: Path) -> np.ndarray:
    """Colours of a file, (H, W, 3) uint8 RGB; a grey file gives three equal channels.

    Raises DataError for a file that is missing, truncated, transparent or not 8 bits a channel.
    """
    pixels = _read(path)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels


def read_grey(path: Path) -> np.ndarray:
    """Grey values of a file, (H, W) uint8; grey stored as RGB is accepted.

    Raises DataError as `read_colour` does, and for a file whose channels differ.
    """
    pixels = _read(path)
    if pixels.ndim == 2:
        return pixels
    difference = int(np.ptp(pixels, axis=2).max())
    if difference > (0 if path.suffix.lower() == ".png" else JPEG_GREY_TOLERANCE):
        raise DataError(
            f"{path} is coloured (red, green and blue differ by up to {difference}); "
            "an alpha matte or a trimap is grey: check whether the right file lies there"
        )
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def read_trimap(path: Path) -> np.ndarray:
    """Trimap of a file, (H, W) uint8 of 0, 128 and 255; any other value is a DataError."""
    trimap = read_grey(path)
    values = set(np.flatnonzero(np.bincount(trimap.ravel(), minlength=256)).tolist())
    others = sorted(values - {BACKGROUND, UNKNOWN, FOREGROUND})
    if others:
        shown = ", ".join(map(str, others[:8])) + (", ..." if len(others) > 8 else "")
        raise DataError(
            f"{path} holds the value(s) {shown}; a trimap holds 0 (background), 128 (unknown) "
            "and 255 (foreground) only: save it again without scaling or lossy compression"
        )
    return trimap


class Header(NamedTuple):
    """What an image file says of itself."""

    height: int  # pixels, as stored
    width: int
    # Of EXIF: how viewers turn it; 1, also where it says nothing that is known: not at all. 1 of every TIFF, which PIL
    # and OpenCV turn themselves.
    orientation: int


def read_header(path: Path) -> Header:
    """The header of an image file, of which nothing is decoded; DataError if it has none, or far too many pixels."""
    with _opened(path) as image:
        exif = Image.Image.getexif(image)  # PNG's own one decodes the picture to look behind it
        orientation = 1 if image.format == "TIFF" else exif.get(ExifTags.Base.Orientation, 1)
        return Header(image.height, image.width, orientation if orientation in range(2, 9) else 1)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image file of which nothing is decoded yet. Whatever PIL raises inside becomes a DataError."""
    try:
        with Image.open(path) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} cannot be used ({error}): make it smaller, or copy or download it again") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is damaged or not an image: copy or download it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # PIL's of a damaged file are of a dozen types
        raise DataError(f"{path} is damaged ({error}): copy or download it again") from error


TURNS = {  # EXIF orientation -> what makes the picture of the stored pixels
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_upright(path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """What `read` gives of a file, turned and mirrored as viewers show it (EXIF orientation).

    Raises DataError as `read` and `read_header` do.
    """
    pixels, turn = read(path), TURNS.get(read_header(path).orientation)
    return pixels if turn is None else np.array(Image.fromarray(pixels).transpose(turn))


def read_srgb(path: Path) -> np.ndarray:
    """As `read_colour`, converted to sRGB where the file has another colour profile of red, green and blue.

    A damaged profile is passed over with a warning; profiles of grey and CMYK files are passed over.
    """
    pixels = read_colour(path)
    with _opened(path) as image:
        data = image.info.get("icc_profile")
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


def _read(path: Path) -> np.ndarray:
    """Pixels of a file: (H, W) grey or (H, W, 3) RGB, uint8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    pixels = None if _truncated_jpeg(data) else _decode(data)
    if pixels is None and data[4:8] == b"ftyp":  # of HEIC, AVIF and films
        raise DataError(f"{path} is of a kind that cannot be read here, such as HEIC: convert it to PNG or JPEG")
    if pixels is None:
        raise DataError(
            f"{path} ({len(data)} bytes) is damaged or not an image that can be read: copy or download it again, or "
            "convert it to PNG or JPEG"
        )
    if pixels.dtype != np.uint8:
        raise DataError(f"{path} has {8 * pixels.itemsize} bits a channel; convert it to 8 bits a channel")
    if pixels.ndim == 2:
        return pixels
    colours, opacity = pixels[..., :3], pixels[..., 3:]
    if (opacity < 255).any():
        raise DataError(
            f"{path} has transparent pixels; colours and alpha are expected in files of their own: "
            "save it without transparency"
        )
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)


def _decode(data: bytes) -> np.ndarray | None:
    # From memory, because cv2.imread does not find every non-ASCII name on every system.
    # Unchanged: no EXIF rotation (foreground and alpha must stay aligned), no silent 16 to 8 bits.
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        return None


def _truncated_jpeg(data: bytes) -> bool:
    """Whether a JPEG stops before its end marker; OpenCV before 5 fills the rest with grey.

    The end marker of an embedded preview stands before the last start of scan. Behind the picture, as in the film that
    phones append, the bytes of either may stand by chance: then PIL decodes, and refuses what is cut short.
    """
    if not data.startswith(b"\xff\xd8") or data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda"):
        return False
    try:
        Image.open(BytesIO(data), formats=["JPEG", "MPO"]).load()
    except MemoryError:
        raise
    except Exception:  # PIL's of a damaged file are of a dozen types
        return True
    return False


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W) uint8 as a grey PNG, (H, W, 3) RGB as a coloured one, (H, W, 4) RGBA as one with transparency.

    The file appears whole or not at all.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(image))


def encode_png(image: np.ndarray) -> bytes:
    """The bytes of a PNG file: grey of (H, W) uint8, coloured of (H, W, 3) RGB, transparent of (H, W, 4) RGBA."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".png", image)[1].tobytes()
