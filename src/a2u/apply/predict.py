"""Matte a user's photographs: write alpha, cut-out and composite of each as PNG files."""

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from os.path import realpath
from pathlib import Path

import numpy as np
import torch
from omegaconf import MISSING, DictConfig
from PIL import Image
from tqdm import tqdm

from a2u.apply.auto import best
from a2u.apply.cutout import estimate_foreground, foreground_estimator, on_background, read_background
from a2u.apply.systems import System, load_system
from a2u.data.files.folders import check_sizes
from a2u.data.files.images import read_grey, read_header, read_upright, write_png
from a2u.data.files.photographs import match_files, read_photograph
from a2u.data.sampling.trimaps import MASK_THRESHOLD, TrimapValues
from a2u.engine.evaluate import predict
from a2u.engine.memory import is_out_of_memory
from a2u.engine.prepare import channels_last, check_tile, choose_device
from a2u.engine.settings import RuntimeConfig
from a2u.errors import A2UError, ConfigError
from a2u.files import reason, user_path
from a2u.metrics import all_metrics
from a2u.models import tiled
from a2u.models.networks.base import MattingNetwork
from a2u.models.shipped import shipped_weights
from a2u.network_input import UNKNOWN
from a2u.settings import field, schema, validate

TEXTS = ("image", "trimap", "mask", "truth", "background", "folder", "weights")  # keys whose values are taken literally
KINDS = ("alpha", "cutout", "composite")
TILE = 512  # pixels; side of the tiles of a large picture, unless set
Files = Mapping[str, Path]


@schema("predict")
@dataclass
class PredictConfig(TrimapValues):
    """configs/predict.yaml: matte photographs; in folders and patterns, files of the same name belong together."""

    image: str = field(MISSING, "a file, a folder, or a pattern such as photos/*.jpg")
    trimap: str | None = field(None, f"the same for trimaps; 0 background, {UNKNOWN} unknown, 255 foreground")
    mask: str | None = field(None, "a rough mask instead of a trimap, or a cut-out with transparency")
    truth: str | None = field(None, "the true alpha, if known: prints the metrics")
    mask_threshold: int = field(MASK_THRESHOLD, "from which value a mask is foreground", least=1, most=255)
    erode: int = field(10, "width of the unknown band inside the mask, in pixels", least=0, most=1000)
    dilate: int = field(10, "width of the unknown band outside the mask, in pixels", least=0, most=1000)
    background: str | None = field(None, "white, #rrggbb or an image: also write a composite on it")
    cutout: bool = field(True, "also write the cut-out, in estimated foreground colours")
    folder: str | None = field(None, "output folder; null: <runtime.outputs>/predict")
    system: System = field(System.auto, "auto: the best for the photograph; checkpoint: the model in the package")
    weights: str | None = field(None, "file of the system's weights; with system=auto that of a checkpoint")
    tile_above: float | None = field(
        2.0, "megapixels above which tiles are used, if the network supports them; null: never", least=0
    )
    runtime: RuntimeConfig = dataclasses.field(default_factory=RuntimeConfig)


class PredictError(A2UError):
    """Some of several photographs have no matte."""


class TooLargeError(A2UError):
    """A photograph does not fit into memory."""


def predict_photographs(cfg: DictConfig) -> Path:
    """Write NAME_alpha.png, NAME_cutout.png and NAME_composite.png of every photograph; return their folder.

    Everything that can be checked is checked before anything is written. If one of several photographs fails, it is
    reported and the others continue.

    Raises:
        ConfigError: keys contradict each other.
        DataError: files cannot be used or do not belong together.
        WeightsError: the weights cannot be used.
        TooLargeError: the photograph does not fit into memory.
        PredictError: some of several failed; the message says which and why.
    """
    validate(cfg)
    _check(cfg)
    photographs = match_files(_given(cfg))
    folder = user_path(cfg.folder or Path(cfg.runtime.outputs) / "predict")
    background = None if cfg.background is None else read_background(cfg.background)
    _refuse_overwriting(cfg, photographs, folder)
    networks = _Networks(cfg)
    clock, done, megapixels, failed = time.monotonic(), 0, 0.0, {}
    shown = cfg.runtime.progress and sys.stderr.isatty()
    try:
        with tqdm(photographs.items(), unit="picture", disable=not shown, dynamic_ncols=True) as bar:
            for name, files in bar:
                try:
                    with _fitting(cfg, networks, files["image"]):
                        size, words = _matte(cfg, networks, background, files, folder / name)
                except (A2UError, OSError) as error:
                    if len(photographs) == 1:
                        raise
                    failed[name] = _words(error)
                    tqdm.write(f"FAILED {name}: {failed[name]}", file=sys.stderr)
                else:
                    done, megapixels = done + 1, megapixels + size
                    tqdm.write(f"{name}: {words}")
    finally:  # also when stopped
        speed = _speed(megapixels, time.monotonic() - clock)
        print(f"{done} of {len(photographs)} done, {speed}; files: {folder}")
    if failed:
        reasons = "".join(f"\n  {name}: {words}" for name, words in failed.items())
        raise PredictError(f"{len(failed)} of {len(photographs)} photographs have no matte:{reasons}")
    return folder


def _check(cfg: DictConfig) -> None:
    """Raise ConfigError for keys that contradict each other, A2UError for a missing package."""
    if (cfg.trimap is None) == (cfg.mask is None):
        raise ConfigError("give either trimap=FILE (which pixels are known) or mask=FILE (roughly the foreground).")
    if cfg.background is not None and not cfg.cutout:
        raise ConfigError("background= needs the colours of the cut-out: leave out cutout=false.")
    if cfg.cutout:
        foreground_estimator()


def _given(cfg: DictConfig) -> dict[str, str]:
    return {kind: cfg[kind] for kind in ("image", "trimap", "mask", "truth") if cfg[kind] is not None}


def _refuse_overwriting(cfg: DictConfig, photographs: Mapping[str, Files], folder: Path) -> None:
    """Raise ConfigError if an input file would be overwritten."""
    read = {realpath(path) for files in photographs.values() for path in files.values()}
    read |= {realpath(user_path(text)) for text in (cfg.background, cfg.weights) if text is not None}
    for name in photographs:
        for kind in KINDS:
            path = _place(folder / name, kind)
            if realpath(path) in read:
                raise ConfigError(f"{path} is an input and would be overwritten: give another folder=FOLDER.")


def _place(stem: Path, kind: str) -> Path:
    return stem.with_name(f"{stem.name}_{kind}.png")


class _Networks:
    """The network of each photograph: the one asked for, or the best for its trimap.

    Raises as `load_network` does, and ConfigError for a tile that the network does not take.
    """

    def __init__(self, cfg: DictConfig) -> None:
        # Tiles are the model's, and weights are those of a checkpoint.
        self.chooses = cfg.system is System.auto and cfg.weights is None and cfg.runtime.tile is None
        self.load = cache(partial(_load, cfg))
        self.system = System.checkpoint if cfg.system is System.auto else cfg.system  # of the latest photograph
        if not self.chooses:
            self.load(self.system)

    def latest(self) -> MattingNetwork:
        return self.load(self.system)

    def for_trimap(self, trimap: np.ndarray) -> MattingNetwork:
        if self.chooses:
            self.system = best(trimap)
        return self.latest()


def _load(cfg: DictConfig, system: System) -> MattingNetwork:
    """Return a network on its device."""
    model = load_network(system, cfg.weights)
    check_tile(cfg.runtime.tile, model)
    if cfg.runtime.threads is not None:
        torch.set_num_threads(cfg.runtime.threads)
    if cfg.runtime.channels_last:
        channels_last(model)
    return model.to(choose_device(cfg.runtime.device))


def load_network(system: System, weights: str | None) -> MattingNetwork:
    """Return a network for mattes; the model in the package where a checkpoint is asked for and none is named.

    Raises:
        WeightsError: the weights cannot be used.
        ConfigError: as `load_system` does, or a network of another task.
    """
    if weights is None and system is System.checkpoint:
        weights = str(shipped_weights())
    model = load_system(system, None if weights is None else str(user_path(weights))).model
    if not isinstance(model, MattingNetwork):
        raise ConfigError(f"the network in {weights} reconstructs small pictures: give one that was trained on mattes.")
    return model


@contextmanager
def _fitting(cfg: DictConfig, networks: _Networks, image: Path) -> Iterator[None]:
    """Raise TooLargeError, which says what to do, if the block runs out of memory."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        model = networks.latest()
        height, width, _ = read_header(image)
        side = tile_side(cfg, model, height * width)
        advice = "make it smaller"
        if not _in_tiles(model):
            advice = f"{type(model).__name__} cannot compute it in tiles: make it smaller"
            if networks.chooses:
                advice += f", or give runtime.tile={TILE} for the model in the package"
        elif side is None or side > TILE:
            advice = f"give runtime.tile={TILE}, or make it smaller"
        raise TooLargeError(f"{image}: {width} x {height} pixels do not fit into memory; {advice}.") from error


def _matte(
    cfg: DictConfig, networks: _Networks, background: Image.Image | None, files: Files, stem: Path
) -> tuple[float, str]:
    """Matte one photograph and write the results; return its megapixels and a summary."""
    clock = time.monotonic()
    values = TrimapValues(cfg.trimap_values, cfg.low, cfg.high)
    image, trimap = read_photograph(files, cfg.erode, cfg.dilate, cfg.mask_threshold, values)
    if "truth" in files:
        truth = read_upright(files["truth"], read_grey)
        check_sizes({files["image"]: trimap.shape, files["truth"]: truth.shape})
    unknown = bool((trimap == UNKNOWN).any())
    alpha = trimap
    if unknown:
        model = networks.for_trimap(trimap)
        alpha = predict(model, image, trimap, tile=tile_side(cfg, model, trimap.size))
    pictures = {"alpha": alpha}
    if cfg.cutout:
        foreground = estimate_foreground(image, alpha)
        pictures["cutout"] = np.dstack([foreground, alpha])
        if background is not None:
            pictures["composite"] = on_background(foreground, alpha, background)
    for kind in KINDS:  # of an earlier run, which would not belong to this alpha
        _place(stem, kind).unlink(missing_ok=True)
    for kind, picture in pictures.items():
        write_png(_place(stem, kind), picture)
    height, width = trimap.shape
    megapixels = trimap.size / 1e6
    words = [
        f"{width} x {height}",
        *([networks.system.name] if unknown and networks.chooses else []),
        _speed(megapixels, time.monotonic() - clock),
    ]
    if not unknown:
        words.append("no pixel is unknown, so the alpha is the trimap")
    elif "truth" in files:
        words += [f"{name} {value:.4f}" for name, value in all_metrics(alpha, truth, trimap).items()]
    return megapixels, ", ".join(words)


def tile_side(cfg: DictConfig | PredictConfig, model: MattingNetwork, pixels: int) -> int | None:
    """Return the side of the tiles: `runtime.tile`, or TILE above `tile_above` megapixels; None: compute it whole."""
    if cfg.runtime.tile is not None or cfg.tile_above is None or pixels <= 1e6 * cfg.tile_above:
        side: int | None = cfg.runtime.tile
        return side
    return TILE if _in_tiles(model) else None


def _in_tiles(model: MattingNetwork) -> bool:
    """Return whether the network can be computed in tiles."""
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
