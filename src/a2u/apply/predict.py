"""Mattes of a user's photographs: alpha, cut-out and composite of each, as PNG files."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image
from tqdm import tqdm

from a2u.apply.cutout import estimate_foreground, foreground_estimator, on_background, read_background
from a2u.apply.systems import load_system
from a2u.config import System
from a2u.data.files.folders import check_sizes
from a2u.data.files.images import read_grey, read_header, read_upright, write_png
from a2u.data.files.photographs import find_together, read_photograph
from a2u.data.sampling.trimaps import UNKNOWN
from a2u.engine.evaluate import predict
from a2u.engine.memory import is_out_of_memory
from a2u.engine.run import channels_last, check_tile, choose_device
from a2u.engine.validate import check_ranges
from a2u.errors import A2UError, ConfigError
from a2u.files import reason, user_path
from a2u.metrics import all_metrics
from a2u.models import tiled
from a2u.models.networks.base import MattingNetwork
from a2u.models.shipped import shipped_weights

TEXTS = ("image", "trimap", "mask", "truth", "background", "folder", "weights")  # names of files and colours
KINDS = ("alpha", "cutout", "composite")
TILE = 512  # pixels; of large pictures, where no other is asked for
Files = Mapping[str, Path]


class PredictError(A2UError):
    """Some of several photographs have no matte."""


class TooLargeError(A2UError):
    """The memory does not suffice for a photograph."""


def predict_photographs(cfg: DictConfig) -> Path:
    """Write NAME_alpha.png, NAME_cutout.png and NAME_composite.png of every photograph; return their folder.

    What can be checked is checked before anything is written. Of several photographs, one that fails is reported and
    the others go on.

    Raises:
        ConfigError: keys that do not go together.
        DataError: files that cannot be used or do not belong together.
        WeightsError: the weights cannot be used.
        TooLargeError: the memory does not suffice for it.
        PredictError: some of several failed; says which, and why.
    """
    check_ranges(cfg)
    _check(cfg)
    photographs = find_together(_given(cfg))
    folder = user_path(cfg.folder or Path(cfg.runtime.outputs) / "predict")
    background = None if cfg.background is None else read_background(cfg.background)
    _refuse_overwriting(cfg, photographs, folder)
    model = _load(cfg)
    clock, done, megapixels, failed = time.monotonic(), 0, 0.0, {}
    shown = cfg.runtime.progress and sys.stderr.isatty()
    try:
        with tqdm(photographs.items(), unit="picture", disable=not shown, dynamic_ncols=True) as bar:
            for name, files in bar:
                try:
                    with _fitting(cfg, model, files["image"]):
                        size, words = _matte(cfg, model, background, files, folder / name)
                except (A2UError, OSError) as error:
                    if len(photographs) == 1:
                        raise
                    failed[name] = _words(error)
                    tqdm.write(f"FAILED {name}: {failed[name]}", file=sys.stderr)
                else:
                    done, megapixels = done + 1, megapixels + size
                    tqdm.write(f"{name}: {words}")
    finally:  # when it is stopped, too
        speed = _speed(megapixels, time.monotonic() - clock)
        print(f"{done} of {len(photographs)} done, {speed}; files: {folder}")
    if failed:
        reasons = "".join(f"\n  {name}: {words}" for name, words in failed.items())
        raise PredictError(f"{len(failed)} of {len(photographs)} photographs have no matte:{reasons}")
    return folder


def _check(cfg: DictConfig) -> None:
    """Refuse what has no meaning together, or needs a package that is not there. Raises ConfigError, A2UError."""
    if (cfg.trimap is None) == (cfg.mask is None):
        raise ConfigError("one of trimap=FILE and mask=FILE is needed: which pixels are known, or roughly foreground.")
    if cfg.background is not None and not cfg.cutout:
        raise ConfigError("background= needs the colours of the cut-out: leave cutout=false out.")
    if cfg.cutout:
        foreground_estimator()


def _given(cfg: DictConfig) -> dict[str, str]:
    return {kind: cfg[kind] for kind in ("image", "trimap", "mask", "truth") if cfg[kind] is not None}


def _refuse_overwriting(cfg: DictConfig, photographs: Mapping[str, Files], folder: Path) -> None:
    """Raise ConfigError where a file that is read has the name of one that would be written."""
    read = {path.resolve() for files in photographs.values() for path in files.values()}
    read |= {user_path(text).resolve() for text in (cfg.background, cfg.weights) if text is not None}
    for name in photographs:
        for kind in KINDS:
            path = _place(folder / name, kind)
            if path.resolve() in read:
                raise ConfigError(f"{path} is read, and would be overwritten: give another folder=FOLDER.")


def _place(stem: Path, kind: str) -> Path:
    return stem.with_name(f"{stem.name}_{kind}.png")


def _load(cfg: DictConfig) -> MattingNetwork:
    """The network, where it is computed. Raises as `load_system` does, and ConfigError for one of another task."""
    weights = cfg.weights
    if weights is None and cfg.system is System.checkpoint:
        weights = str(shipped_weights())
    model = load_system(cfg.system, None if weights is None else str(user_path(weights))).model
    if not isinstance(model, MattingNetwork):
        raise ConfigError(f"the network in {weights} reconstructs small pictures: give one that was trained on mattes.")
    check_tile(cfg.runtime.tile, model)
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
    if cfg.runtime.channels_last:
        channels_last(model)
    return model.to(choose_device(cfg.runtime.device))


@contextmanager
def _fitting(cfg: DictConfig, model: MattingNetwork, image: Path) -> Iterator[None]:
    """Raise TooLargeError, which says what to do, where the memory does not suffice inside."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        height, width, _ = read_header(image)
        side = tile_side(cfg, model, height * width)
        advice = "make it smaller"
        if not _in_tiles(model):
            advice = f"{type(model).__name__} takes it whole and cannot divide it into tiles: make it smaller"
        elif side is None or side > TILE:
            advice = f"give runtime.tile={TILE}, or make it smaller"
        raise TooLargeError(f"{image}: {width} x {height} pixels do not fit into memory; {advice}.") from error


def _matte(
    cfg: DictConfig, model: MattingNetwork, background: Image.Image | None, files: Files, stem: Path
) -> tuple[float, str]:
    """Read one photograph, write what is made of it; return its megapixels, and what to say of it."""
    clock = time.monotonic()
    image, trimap = read_photograph(files, cfg.erode, cfg.dilate)
    if "truth" in files:
        truth = read_upright(files["truth"], read_grey)
        check_sizes({files["image"]: trimap.shape, files["truth"]: truth.shape})
    unknown = bool((trimap == UNKNOWN).any())
    alpha = predict(model, image, trimap, tile=tile_side(cfg, model, trimap.size)) if unknown else trimap
    pictures = {"alpha": alpha}
    if cfg.cutout:
        foreground = estimate_foreground(image, alpha)
        pictures["cutout"] = np.dstack([foreground, alpha])
        if background is not None:
            pictures["composite"] = on_background(foreground, alpha, background)
    for kind in KINDS:  # an earlier run's, which would not go with this alpha
        _place(stem, kind).unlink(missing_ok=True)
    for kind, picture in pictures.items():
        write_png(_place(stem, kind), picture)
    height, width = trimap.shape
    megapixels = trimap.size / 1e6
    words = [f"{width} x {height}", _speed(megapixels, time.monotonic() - clock)]
    if not unknown:
        words.append("no pixel is unknown, so the alpha is what was given")
    elif "truth" in files:
        words += [f"{name} {value:.4f}" for name, value in all_metrics(alpha, truth, trimap).items()]
    return megapixels, ", ".join(words)


def tile_side(cfg: DictConfig, model: MattingNetwork, pixels: int) -> int | None:
    """Of the tiles that a picture is computed in: `runtime.tile`, or TILE for a large one; None: as a whole."""
    if cfg.runtime.tile is not None or cfg.tile_above is None or pixels <= 1e6 * cfg.tile_above:
        side: int | None = cfg.runtime.tile
        return side
    return TILE if _in_tiles(model) else None


def _in_tiles(model: MattingNetwork) -> bool:
    """Whether the network is computed in tiles of TILE."""
    try:
        tiled.check_tile(model, TILE)
    except ValueError:
        return False
    return True


def _speed(megapixels: float, seconds: float) -> str:
    return f"{megapixels:.2f} megapixels in {seconds:.1f} s ({megapixels / max(seconds, 1e-9):.2f} megapixels/s)"


def _words(error: A2UError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'} cannot be used, {reason(error)}"
    return str(error)
