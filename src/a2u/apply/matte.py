"""Matte one photograph from Python: arrays or files in, an array out."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from a2u.apply.auto import best
from a2u.apply.predict import PredictConfig, load_network, tile_side
from a2u.apply.systems import WITHOUT_WEIGHTS, System
from a2u.data.files.folders import check_sizes
from a2u.data.files.images import read_grey, read_mask, read_srgb, read_upright
from a2u.data.sampling.trimaps import MASK_THRESHOLD, ValueRule, trimap_from_mask
from a2u.engine.evaluate import predict_unit
from a2u.engine.prepare import choose_device
from a2u.errors import ConfigError, DataError
from a2u.files import user_path
from a2u.models.networks.base import MattingNetwork
from a2u.network_input import UNKNOWN, plain_array
from a2u.settings import validate

AUTO = "auto"

Given = np.ndarray | str | os.PathLike[str]


def load(name_or_file: str | os.PathLike[str] = AUTO) -> MattingNetwork:
    """Return a matting network in evaluation mode: (N, 4, H, W) -> alpha (N, 1, H, W), not clamped.

    Args:
        name_or_file: "auto", the best in the package for ordinary photographs; "checkpoint", the model in the package;
            "closed_form", "knn" or "trimap_only", which have no weights; or a last.pt or best.pt of a
            run, or an exported .safetensors file.

    Raises:
        WeightsError: the file cannot be used.
        ConfigError: its network is none for mattes.
    """
    if name_or_file in WITHOUT_WEIGHTS:
        return load_network(System[str(name_or_file)], None)
    if name_or_file == AUTO:
        return load_network(best(), None)
    return load_network(System.checkpoint, None if name_or_file == System.checkpoint.name else str(name_or_file))


def matte(
    image: Given,
    trimap: Given | None = None,
    mask: Given | None = None,
    system: str | os.PathLike[str] | MattingNetwork = AUTO,
    *,
    erode: int = 10,
    dilate: int = 10,
    mask_threshold: int = MASK_THRESHOLD,
    trimap_values: str = "exact",
    low: int | None = None,
    high: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Return the alpha of a photograph, (H, W) float32 in 0..1. Known pixels of the trimap keep their value.

    An image above 2 megapixels is computed in tiles if the network supports it.

    Args:
        image: a file, or an array (H, W, 3) RGB or (H, W) grey, uint8 in 0..255 or float in 0..1, sRGB.
        trimap: a file, or an array (H, W): uint8 of 0 (background), 128 (unknown) and 255 (foreground), or float of 0,
            0.5 and 1.
        mask: roughly the foreground, instead of a trimap: a file, or an array (H, W), bool, uint8 (128 and above is
            foreground) or float (0.5 and above). A file may be a cut-out, whose opacity is the mask.
        system: what `load` takes, or what it returned, which saves loading the network for every photograph. "auto",
            which is also the default of scripts/predict.py, is the best in the package for this photograph.
        erode, dilate: width of the unknown band inside and outside the mask, in pixels.
        mask_threshold: from which value, 1..255, a mask is foreground; a float mask is multiplied by 255 first.
        trimap_values, low, high: what becomes of other values of a trimap than 0, 128, 255, as in scripts/predict.py:
            "exact" (they are refused), "nearest" or "threshold".
        device: of the network, unless it was loaded before; "auto", "cpu", "cuda", ...

    Raises:
        DataError: a file or an array is not what it has to be, or sizes differ.
        ConfigError: not exactly one of trimap and mask is given, or no such device.
        WeightsError: the file in `system` cannot be used.

    >>> image, trimap = np.zeros((2, 3, 3), np.uint8), np.uint8([[0, 128, 255], [0, 128, 255]])
    >>> matte(image, trimap, system="trimap_only").tolist()
    [[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]
    """
    if (trimap is None) == (mask is None):
        raise ConfigError("give either trimap= (which pixels are known) or mask= (roughly the foreground).")
    if trimap_values not in ValueRule.__members__:
        raise ConfigError(f"trimap_values must be one of {', '.join(ValueRule.__members__)}; got {trimap_values!r}.")
    rule = ValueRule[trimap_values]
    settings = PredictConfig(rule, low, high, erode=erode, dilate=dilate, mask_threshold=mask_threshold)
    validate(settings)
    colours = _colours(image)
    if trimap is not None:
        name = _name(trimap, "trimap")
        known = settings.read(_read(trimap, read_grey, "trimap"), str(name))
    else:
        name = _name(mask, "mask")
        known = trimap_from_mask(_read(mask, read_mask, "mask"), erode, dilate, mask_threshold, str(name))
    check_sizes({_name(image, "image"): colours.shape[:2], name: known.shape})
    if not (known == UNKNOWN).any():
        return known / np.float32(255)
    if isinstance(system, MattingNetwork):
        network = system
    else:
        network = load(best(known).name if system == AUTO else system).to(choose_device(device))
    return predict_unit(network, colours, known, tile_side(settings, network, known.size))


def _name(given: object, what: str) -> Path:
    return Path(given) if isinstance(given, str | os.PathLike) else Path(f"the {what}")


def _colours(image: Given) -> np.ndarray:
    """Return (H, W, 3) uint8, or float32 in 0..1."""
    if isinstance(image, str | os.PathLike):
        return read_upright(user_path(image), read_srgb)
    pixels = _checked(image, "image", "(H, W, 3) or (H, W)")
    if pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(f"the image has shape {pixels.shape}; expected (H, W, 3) RGB or (H, W) grey")
    return np.ascontiguousarray(pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32))


def _read(given: object, read: Callable[[Path], np.ndarray], what: str) -> np.ndarray:
    """Return (H, W) uint8 of a file or an array; true is 255, and a float of 0.5 is 128."""
    if isinstance(given, str | os.PathLike):
        return read_upright(user_path(given), read)
    if isinstance(given, np.ndarray) and given.dtype == bool:
        given = np.where(plain_array(given, f"the {what}"), np.uint8(255), np.uint8(0))
    values = _checked(given, what, "(H, W)")
    if values.ndim != 2:
        raise DataError(f"the {what} has shape {values.shape}; expected (H, W)")
    return np.ascontiguousarray(values if values.dtype == np.uint8 else np.rint(values * 255).astype(np.uint8))


def _checked(given: object, what: str, shape: str) -> np.ndarray:
    """Return an array of uint8, or of float in 0..1, that has pixels."""
    if not isinstance(given, np.ndarray):
        raise DataError(f"the {what} is a {type(given).__name__}; expected a file or a NumPy array {shape}")
    given = plain_array(given, f"the {what}")
    if given.dtype != np.uint8 and not np.issubdtype(given.dtype, np.floating):
        raise DataError(f"the {what} has type {given.dtype}; expected uint8 in 0..255 or float in 0..1")
    if not given.size:
        raise DataError(f"the {what} has shape {given.shape}, which is no pixel")
    if given.dtype != np.uint8 and not (given.min() >= 0 and given.max() <= 1):  # so NaN, too
        found = f"values from {given.min():g} to {given.max():g}"
        raise DataError(f"the {what} is float with {found}; expected 0..1: divide by 255, or convert to uint8")
    return given
