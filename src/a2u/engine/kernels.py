"""Extract the upsampling kernels of a network on an image, as numbers and as a picture (Fig. 5)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from a2u.data.types import Composite
from a2u.engine.evaluate import evaluation_mode, predict
from a2u.engine.health import Health, watched
from a2u.models.networks.base import MattingNetwork
from a2u.upsampling.content import Content

BETWEEN = 4  # pixels between tiles
SIDE = 192  # pixels at most of the part of an image whose kernels are drawn


class Upsampling(NamedTuple):
    """Input and output of one operator, for one image."""

    x: Tensor  # (1, C, h, w)
    guide: Any  # (1, C, 2h, 2w), or what the operator's own downsampling returned
    output: Tensor  # (1, C, 2h, 2w)


def last_upsampling(model: MattingNetwork, case: Composite) -> Upsampling:
    """Return input and output of the last decoder stage's operator while the alpha of `case` is predicted.

    All are at the size to which prediction pads the image, right and bottom.
    """
    operator = model.last_operator()
    assert operator is not None
    seen: list[Upsampling] = []

    def note(operator: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        seen.append(Upsampling(given[0], given[1], output))

    handle = operator.register_forward_hook(note)
    try:
        predict(model, case.image, case.trimap)
    finally:
        handle.remove()
    return seen[0]


def up_kernels(model: MattingNetwork, case: Composite) -> np.ndarray | None:
    """Return the kernels of the last decoder stage, (k*k, H, W) float32, window positions row by row; None if none."""
    operator = model.last_operator()
    if operator is None or not operator.has_kernels:
        return None
    seen = last_upsampling(model, case)
    with torch.inference_mode():
        kernel = pixel_shuffle(operator.kernel(seen.x, seen.guide).flatten(1, 2), operator.ratio)
    height, width = case.trimap.shape
    return kernel[0, :, :height, :width].float().cpu().numpy()


def kernel_picture(model: MattingNetwork, case: Composite) -> Tensor | None:
    """Draw the kernels in the middle of an image, (3, H, W) in 0..1; None if the network has none.

    Tile (r, c) of k x k shows the weight of row r and column c of the window, for the upper left of the four outputs
    of every input position, from 0 (dark blue) to twice the mean of a window whose weights sum to 1 (yellow).
    """
    with evaluation_mode(model):
        maps = up_kernels(model, middle(case))
    if maps is None:
        return None
    tiles = [in_colours(values[::2, ::2], 0, 2 / len(maps)) for values in maps]
    return torch.from_numpy(mosaic(tiles).copy()).permute(2, 0, 1) / 255


def kernel_health(model: MattingNetwork, case: Composite) -> Health:
    """Measure the operators' content in the middle of an image: one pass of the network, none if there is none."""
    if not any(isinstance(part, Content) for part in model.modules()):
        return {}
    part = middle(case)
    with evaluation_mode(model), watched(model) as health:
        predict(model, part.image, part.trimap)
    return health


def middle(case: Composite) -> Composite:
    """Return the middle of an image, SIDE pixels at most."""
    height, width = case.trimap.shape
    top, left = max(0, height - SIDE) // 2, max(0, width - SIDE) // 2
    rows, columns = slice(top, top + SIDE), slice(left, left + SIDE)
    return case._replace(image=case.image[rows, columns], trimap=case.trimap[rows, columns])


def in_colours(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map (H, W) values to (H, W, 3) uint8 colours: dark blue at `low` and below to yellow at `high` and above."""
    unit = np.zeros(values.shape) if high <= low else np.clip((values - low) / (high - low), 0, 1)
    return cv2.applyColorMap(np.rint(255 * unit).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]


def mosaic(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Arrange k*k pictures (H, W, 3) of one size in k rows of k, with white between them."""
    size = round(len(tiles) ** 0.5)
    edge = ((0, BETWEEN), (0, BETWEEN), (0, 0))
    framed = [np.pad(tile, edge, constant_values=255) for tile in tiles]
    rows = [np.concatenate(framed[size * row : size * (row + 1)], axis=1) for row in range(size)]
    return np.concatenate(rows)[:-BETWEEN, :-BETWEEN]
