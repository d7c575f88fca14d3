"""Figure 5: the upsampling kernels of a hybrid model, before and after training."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import pixel_shuffle

from a2u.data.types import Composite
from a2u.models.matting import MattingUNet
from a2u.models.network import MattingNetwork
from a2u.reproduce.figures.columns import Column
from a2u.reproduce.figures.features import last_upsampling
from a2u.reproduce.figures.sheet import Cell, Sheet, in_colours, scaled
from a2u.upsampling.affinity import A2U

TILE_WIDTH = 256  # pixels
BETWEEN = 4  # pixels between tiles
RATIO = 2  # of every stage: the four outputs of one input position have kernels of their own, here the first is shown
PERCENTILES = (0.5, 99.5)  # of all weights shown, at the ends of the colours


def figure_5(column: Column, cases: Sequence[Composite]) -> Sheet:
    """A row an image: input, initial kernels, learned kernels, one scale of colours for all."""
    before, after = ([up_kernels(model, case) for case in cases] for model in (column.initial(), column.network()))
    low, high = np.percentile(np.concatenate([maps.ravel() for maps in before + after]), PERCENTILES)
    size = round(len(before[0]) ** 0.5)
    rows = [
        [
            Cell(case.image, case.name),
            *(
                Cell(mosaic(maps[:, ::RATIO, ::RATIO], low, high), f"weights {maps.min():.3f} to {maps.max():.3f}")
                for maps in (initial, learned)
            ),
        ]
        for case, initial, learned in zip(cases, before, after, strict=True)
    ]
    return Sheet(
        titles=["input", "initial kernels", "learned kernels"],
        rows=rows,
        cell_width=size * TILE_WIDTH + (size - 1) * BETWEEN,
        caption=f"Upsampling kernels of the last decoder stage, initial and learned: tile (r, c) of {size} x {size} "
        f"shows, for the upper left of the four output positions of every input position, the weight of row r and "
        f"column c of its {size} x {size} window. The weights of a window sum to 1; equal ones would be "
        f"{1 / size**2:.3f}. One scale for all: {low:.3f} (dark blue, and below) to {high:.3f} (yellow, and above); "
        f"below, the range of all four. Test images {', '.join(case.name for case in cases)}.",
    )


def up_kernels(model: MattingNetwork, case: Composite) -> np.ndarray:
    """Kernels of the last decoder stage: (k*k, H, W) float32, window positions row by row."""
    assert isinstance(model, MattingUNet)
    operator = model.upsamplers[-1]
    assert isinstance(operator, A2U)
    guide = last_upsampling(model, case).guide
    with torch.inference_mode():
        kernel = guide if operator.paired else operator.up_kernel(guide, operator.affinity(guide))
        kernel = pixel_shuffle(kernel.flatten(1, 2), operator.ratio)
    height, width = case.trimap.shape
    return kernel[0, :, :height, :width].float().cpu().numpy()


def mosaic(maps: np.ndarray, low: float, high: float) -> np.ndarray:
    """(k*k, H, W) maps as colours in k rows of k tiles, with white between them."""
    size = round(len(maps) ** 0.5)
    tiles = [scaled(Cell(in_colours(values, low, high)), TILE_WIDTH) for values in maps]
    edge = ((0, BETWEEN), (0, BETWEEN), (0, 0))
    framed = [np.pad(tile, edge, constant_values=255) for tile in tiles]
    rows = [np.concatenate(framed[size * row : size * (row + 1)], axis=1) for row in range(size)]
    return np.concatenate(rows)[:-BETWEEN, :-BETWEEN]
