"""Samples computed from the crop alone have the distribution of the straightforward pipeline, which crops last."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from a2u.data.sampling.compose_batch import compose_batch
from a2u.data.sampling.settings import SampleConfig
from a2u.data.sampling.transforms import make_sample
from a2u.data.types import Layer
from scripts.bench.samples import Case, plain_sample, soft_layer

CFG = SampleConfig(crop=64, resize_to=80, rotation_min_side=128, trimap_max=9)
COUNT = 700
ERRORS = 4.5  # standard errors of a difference; of all the comparisons one in a thousand runs would exceed it by chance


def coordinates(height: int, width: int) -> np.ndarray:
    """Return a background whose colours encode the position: red = column, green = row."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.dstack([red, green, np.zeros_like(red)]).astype(np.uint8)


def clear_with_specks(height: int, width: int) -> Layer:
    """Return a layer with few unknown pixels, nearly opaque over another of its kind."""
    rng = np.random.default_rng(3)
    alpha = np.full((height, width), 255, np.uint8)
    alpha[rng.integers(height, size=4), rng.integers(width, size=4)] = 120
    return Layer("specks", cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (width, height)), alpha)


def samples(make: Callable, layers: list[Layer], background: np.ndarray, seed: int) -> dict[str, torch.Tensor]:
    made = []
    for index in range(COUNT):
        rng = np.random.default_rng((seed, index))
        second = layers[(index + 1) % len(layers)] if rng.random() < 0.5 else None
        made.append(make(layers[index % len(layers)], second, background, rng, CFG))
    return default_collate(made)


def crops(*arguments) -> dict[str, np.ndarray]:
    return make_sample(*arguments).parts()


def moments(parts: dict[str, torch.Tensor]) -> np.ndarray:
    """Return first and second powers of what describes a sample, (COUNT, quantities)."""
    alpha, unknown, trimap = parts["alpha"], parts["unknown"], parts["input"][:, 3:]
    soft = ((alpha > 0) & (alpha < 1)).float()
    opaque = (alpha == 1).float()
    middle = (..., slice(32, 33), slice(32, 33))
    maps = [
        *(alpha, alpha**2, soft, opaque),
        *(unknown, alpha * unknown, opaque * unknown, (trimap == 0).float(), (trimap == 1).float()),
        *(part[middle] for part in (alpha, soft, opaque, unknown)),  # the centre, which is unknown as a rule
        *(alpha * parts["fg"], alpha * parts["fg"] ** 2),  # colours, and where they come from
        *(parts["bg"][:, :2], parts["bg"][:, :2] ** 2),  # where the crop lies, and how large the background is
        parts["image"],
        *(alpha.diff(dim=axis).abs() for axis in (2, 3)),  # how finely alpha is resolved
    ]
    values = torch.cat([each.mean(dim=(2, 3)) for each in maps], dim=1).double().numpy()
    return np.hstack([values, values**2])


@pytest.mark.parametrize(
    ("layers", "background"),
    [
        ([soft_layer(300, 260, 0), soft_layer(240, 330, 1)], (100, 150)),
        ([soft_layer(50, 90, 0), soft_layer(60, 40, 1)], (400, 400)),
        ([soft_layer(200, 200, 2), clear_with_specks(160, 220)], (300, 300)),
    ],
    ids=["large", "smaller than the crop", "few unknown"],
)
def test_moments_are_those_of_the_straightforward_pipeline(layers, background):
    behind = coordinates(*background)
    new = moments(compose_batch(samples(crops, layers, behind, 0)))
    plain = moments(samples(plain_sample, layers, behind, 1))
    error = np.sqrt((new.var(axis=0) + plain.var(axis=0)) / COUNT)
    difference = np.abs(new.mean(axis=0) - plain.mean(axis=0))
    assert (difference <= ERRORS * error + 1e-6).all(), (difference / (error + 1e-9)).round(1)


def test_the_bench_draws_alike_for_all():
    layers = [soft_layer(100, 120, seed) for seed in range(4)]
    case = Case(layers, [layer.foreground for layer in layers], CFG)
    finished, plain = case.finished(0), case.plain(0)
    assert {key: part.shape for key, part in finished.items()} == {key: part.shape for key, part in plain.items()}
