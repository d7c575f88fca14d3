"""Memory of whole images and of tiles. The paper names an 11 GB card for inference at full resolution."""

import resource
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from a2u.engine.evaluate import predict
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.tiled import tiled
from scripts.bench.measure import Line, peak_mb

RELEASED = {"sharing": "channel_shared", "encoder_kernel_size": 6, "paired": True, "normalise_uv": True}
CARD = 11 * 1024  # MB
LIMIT = 6 * 1024  # MB, of the whole process, for a photograph


def lines() -> Iterator[Line]:
    """An image as large as Composition-1k's, 1080 x 1920 padded, whole and in tiles. A minute or two."""
    model, x = _network(), torch.randn(1, 4, 1088, 1920)

    @torch.inference_mode()
    def whole() -> Tensor:
        return model(x)

    @torch.inference_mode()
    def in_tiles() -> Tensor:
        return tiled(model, x, 512)

    peak = peak_mb(whole)
    yield Line("tiles", "released network, 1088 x 1920, whole", "MB", peak, target=CARD)
    what = "released network, 1088 x 1920, tiles of 512"
    yield Line("tiles", what, "MB", peak_mb(in_tiles), peak, target=2, plain="the whole image at once")


def photograph(height: int = 4000, width: int = 6000, tile: int = 512) -> Iterator[Line]:
    """A prediction from an 8-bit photograph, once, in minutes: the peak is that of the process since it began."""
    draws = np.random.default_rng(0)
    image = draws.integers(0, 256, (height, width, 3), dtype=np.uint8)
    trimap = np.full((height, width), 128, dtype=np.uint8)
    model = _network()
    started = time.perf_counter()
    predict(model, image, trimap, tile=tile)
    taken = time.perf_counter() - started
    what = f"released network, {height} x {width}, tiles of {tile}"
    yield Line("tiles", what, "MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, target=LIMIT)
    yield Line("tiles", what, "s", taken)


def _network() -> MattingUNet:
    torch.manual_seed(0)
    return MattingUNet("a2u", RELEASED).eval()
