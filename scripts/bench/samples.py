"""Training samples: samples a second of one core, against the straightforward pipeline.

The straightforward one does every step of Sec. 6.3 to whole pictures, crops last, and finishes each sample in floats.
Ours makes the crop alone, in 8 bits (transforms.py), and finishes batches (compose_batch.py): on the core, or on a
device, which is then no work for the core that feeds it. In all of them foregrounds are decoded already.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from a2u.data.sampling.affine import random_affine
from a2u.data.sampling.compose_batch import compose_batch
from a2u.data.sampling.crops import crop_corner, crop_source_size, resize_nearest
from a2u.data.sampling.settings import SampleConfig
from a2u.data.sampling.transforms import make_sample
from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.types import Layer
from a2u.network_input import UNKNOWN, network_input
from scripts.bench.measure import Line, Work, seconds

BATCH = 8
LAYERS = 4
PLAIN = "every step on the whole picture, then the crop"
# What dataset=synthetic is trained with at scale=lite.
SMALL = SampleConfig(crop=64, resize_to=80, rotation_min_side=64, trimap_max=11)

Parts = dict[str, Tensor]


def lines() -> Iterator[Line]:
    """Of large foregrounds at the paper's crop, and of the small ones of the default dataset."""
    with _one_thread():
        for height, width, cfg, target in (1500, 2000, SampleConfig(), 5.0), (160, 160, SMALL, None):
            what = f"crop {cfg.crop} from {height} x {width}, batches of {BATCH}"
            layers = [soft_layer(height, width, seed) for seed in range(LAYERS)]
            # Half as large as foregrounds: too small, as backgrounds often are.
            case = Case(layers, [layer.foreground[::2, ::2].copy() for layer in layers], cfg)
            works = (_steps(work) for work in (case.crops, case.finished, case.plain))
            crops, finished, plain = (BATCH / taken for taken in seconds(*works))
            yield Line("samples", f"{what}, finished on a device", "1/s", crops, plain, target, plain=PLAIN)
            yield Line("samples", f"{what}, finished on the core", "1/s", finished, plain, plain=PLAIN)


@dataclass(frozen=True)
class Case:
    """Batches of samples of the same draws' distribution, three ways."""

    layers: list[Layer]
    backgrounds: list[np.ndarray]
    cfg: SampleConfig

    def crops(self, step: int) -> Parts:
        """What is handed to the device, see `a2u.data.sampling.compose_batch`."""
        samples = (make_sample(*draws, self.cfg).parts() for draws in self._draws(step))
        return default_collate([{key: torch.from_numpy(part) for key, part in sample.items()} for sample in samples])

    def finished(self, step: int) -> Parts:
        return compose_batch(self.crops(step))

    def plain(self, step: int) -> Parts:
        return default_collate([plain_sample(*draws, self.cfg) for draws in self._draws(step)])

    def _draws(self, step: int) -> Iterator[tuple[Layer, Layer | None, np.ndarray, np.random.Generator]]:
        """Foreground, second foreground or None, background, and the generator for the rest."""
        for index in range(step * BATCH, (step + 1) * BATCH):
            rng = np.random.default_rng(index)
            first = index % len(self.layers)
            second = None
            if rng.random() < self.cfg.combine_probability:
                second = self.layers[first - int(rng.integers(1, len(self.layers)))]
            yield self.layers[first], second, self.backgrounds[first - 1], rng


def plain_sample(
    layer: Layer, second: Layer | None, background: np.ndarray, rng: np.random.Generator, cfg: SampleConfig
) -> Parts:
    """Make one sample by the straightforward pipeline: the parts of `compose_batch`, without the batch axis."""
    foreground, alpha = layer.foreground, layer.alpha
    if second is not None:
        foreground, alpha = _laid_over(foreground, alpha, second)
    if rng.random() < cfg.resize_probability:
        foreground, alpha = (resize_nearest(array, cfg.resize_to, cfg.resize_to) for array in (foreground, alpha))
    height, width = alpha.shape
    matrix = random_affine(height, width, rng, cfg)
    foreground, alpha = (
        cv2.warpAffine(array, matrix, (width, height), flags=cv2.INTER_NEAREST) for array in (foreground, alpha)
    )
    if rng.random() < 0.5:
        foreground, alpha = cv2.flip(foreground, 1), cv2.flip(alpha, 1)
    fg_size, bg_size = rng.integers(1, cfg.trimap_max, size=2, endpoint=True)
    trimap = trimap_from_alpha(alpha, int(fg_size), int(bg_size))

    height, width = crop_source_size(trimap, cfg.crop)
    foreground, alpha, trimap = (resize_nearest(array, height, width) for array in (foreground, alpha, trimap))
    top, left = crop_corner(trimap, cfg.crop, rng)
    window = np.s_[top : top + cfg.crop, left : left + cfg.crop]
    trimap = np.ascontiguousarray(trimap[window])
    alpha_crop = _unit(alpha[window])
    foreground_crop = _unit(foreground[window])
    background_crop = _unit(cover(background, height, width)[window])
    if cfg.jitter:
        foreground_crop = plain_jitter(foreground_crop, alpha_crop, rng)
    image = background_crop + alpha_crop[..., None] * (foreground_crop - background_crop)
    return {
        "input": network_input(image, trimap),
        "alpha": torch.from_numpy(alpha_crop)[None],
        "unknown": torch.from_numpy(trimap == UNKNOWN)[None].float(),
        "fg": _channels_first(foreground_crop),
        "bg": _channels_first(background_crop),
        "image": _channels_first(image),
    }


def cover(background: np.ndarray, height: int, width: int) -> np.ndarray:
    """A background at least height x width: enlarged (cubic, proportions kept) only if too small."""
    old_height, old_width = background.shape[:2]
    factor = max(height / old_height, width / old_width)
    if factor <= 1:
        return background
    size = int(np.ceil(old_width * factor)), int(np.ceil(old_height * factor))
    return cv2.resize(background, size, interpolation=cv2.INTER_CUBIC)


def plain_jitter(foreground: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`a2u.data.sampling.compose_batch.jitter` of one foreground (H, W, 3) float32 in 0..1, draws included."""
    visible = alpha > 0
    if not visible.any():
        return foreground
    hue, *others = cv2.split(cv2.cvtColor(foreground, cv2.COLOR_RGB2HSV))  # 0..360, 0..1, 0..1
    hue = np.remainder(hue + np.float32(rng.integers(-40, 40)), np.float32(360))
    for channel in others:
        reach = (1.1 - float(channel[visible].mean())) / 10
        channel += np.float32(rng.uniform(-reach, reach))
        np.abs(channel, out=channel)
        np.subtract(1, np.abs(1 - channel), out=channel)
    return np.clip(cv2.cvtColor(cv2.merge([hue, *others]), cv2.COLOR_HSV2RGB), 0, 1)


def soft_layer(height: int, width: int, seed: int) -> Layer:
    """A disc with a fringe of hairs, soft and sharp, in cloudy colours."""
    rng = np.random.default_rng(seed)
    side = min(height, width)
    centre, radius = np.array([width, height]) * rng.uniform(0.4, 0.6, 2), side * rng.uniform(0.2, 0.35)
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, np.rint(centre).astype(int).tolist(), int(radius), 255, -1, cv2.LINE_AA)
    for angle in rng.uniform(0, 2 * np.pi, 300):
        outwards = np.array([np.cos(angle), np.sin(angle)])
        root = centre + 0.95 * radius * outwards
        tip = root + rng.uniform(0.1, 0.5) * radius * outwards + rng.normal(0, 0.1 * radius, 2)
        start, end = np.rint([root, tip]).astype(int).tolist()
        cv2.line(alpha, start, end, int(rng.integers(60, 255)), max(1, side // 500), cv2.LINE_AA)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Layer(f"disc {seed}", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), alpha)


def _laid_over(foreground: np.ndarray, alpha: np.ndarray, second: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Two foregrounds combined, unless that would be opaque everywhere."""
    weight = _unit(alpha)
    second_weight = (1 - weight) * _unit(resize_nearest(second.alpha, *alpha.shape))
    combined = np.rint(255 * (weight + second_weight)).astype(np.uint8)
    if combined.min(initial=255) == 255:
        return foreground, alpha
    under = resize_nearest(second.foreground, *alpha.shape)
    return cv2.blendLinear(foreground, under, weight, second_weight), combined


def _unit(array: np.ndarray) -> np.ndarray:
    """uint8 0..255 -> float32 0..1."""
    return array.astype(np.float32) / 255


def _channels_first(image: np.ndarray) -> Tensor:
    """(H, W, 3) -> (3, H, W), contiguous."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _steps(work: Callable[[int], Parts]) -> Work:
    """Calls of `work` with 0, 1, 2, ..."""
    steps = count()
    return lambda: work(next(steps))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Rates are those of one core."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
