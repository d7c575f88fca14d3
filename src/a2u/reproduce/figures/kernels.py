"""Figure 5: the upsampling kernels of a hybrid model, before and after training, and of one with open kernels."""

from collections.abc import Sequence

import numpy as np

from a2u.data.types import Composite
from a2u.engine import kernels
from a2u.engine.kernels import BETWEEN, in_colours
from a2u.models.networks.base import MattingNetwork
from a2u.reproduce.figures.columns import Column
from a2u.reproduce.figures.sheet import Cell, Sheet, scaled

TILE_WIDTH = 256  # pixels
RATIO = 2  # of every stage: the four outputs of one input position have kernels of their own, here the first is shown
PERCENTILES = (0.5, 99.5)  # of all weights shown, at the ends of the colours


def figure_5(columns: Sequence[Column], cases: Sequence[Composite]) -> Sheet:
    """Draw a row per image: input, the first column's initial kernels, and all columns' learned ones, on one scale."""
    first, *others = columns
    models = [first.initial(), *(column.network() for column in columns)]
    shown = [[up_kernels(model, case) for model in models] for case in cases]
    low, high = np.percentile(np.concatenate([maps.ravel() for row in shown for maps in row]), PERCENTILES)
    size = round(len(shown[0][0]) ** 0.5)
    rows = [
        [
            Cell(case.image, case.name),
            *(
                Cell(mosaic(maps[:, ::RATIO, ::RATIO], low, high), f"weights {maps.min():.3f} to {maps.max():.3f}")
                for maps in row
            ),
        ]
        for case, row in zip(cases, shown, strict=True)
    ]
    named = ", ".join(f"{column.wanted.title} ({', '.join(column.wanted.overrides)})" for column in others)
    comparison = f", next to those of {named}, which the paper does not have" if others else ""
    return Sheet(
        titles=["input", "initial kernels", "learned kernels", *(column.wanted.title for column in others)],
        rows=rows,
        cell_width=size * TILE_WIDTH + (size - 1) * BETWEEN,
        caption=f"Upsampling kernels of the last decoder stage, initial and learned{comparison}: tile (r, c) of "
        f"{size} x {size} shows, for the upper left of the four output positions of every input position, the weight "
        f"of row r and column c of its {size} x {size} window. The weights of a window sum to 1; equal ones would be "
        f"{1 / size**2:.3f}. One scale for all: {low:.3f} (dark blue, and below) to {high:.3f} (yellow, and above); "
        f"below, the range of all four. Test images {', '.join(case.name for case in cases)}.",
    )


def up_kernels(model: MattingNetwork, case: Composite) -> np.ndarray:
    """Return a2u.engine.kernels.up_kernels of a network that has kernels."""
    maps = kernels.up_kernels(model, case)
    assert maps is not None
    return maps


def mosaic(maps: np.ndarray, low: float, high: float) -> np.ndarray:
    """Arrange (k*k, H, W) maps as coloured tiles in k rows of k, with white between them."""
    return kernels.mosaic([scaled(in_colours(values, low, high), TILE_WIDTH) for values in maps])
