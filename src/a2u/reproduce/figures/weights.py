"""Figure 8, not of the paper: the weights by which operators make one output position of the same image."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from a2u.data.types import Composite
from a2u.engine.kernels import last_upsampling
from a2u.models.networks.base import MattingNetwork
from a2u.reproduce.figures.columns import Column
from a2u.reproduce.figures.sheet import Cell, Sheet, scaled
from a2u.upsampling.content import Content, removed_at_the_end

REACH = 5  # pixels of the small map to each side that are shown
PER_ROW = 5
PIXEL = 16  # pixels that one of the image is wide
TILE_WIDTH = PIXEL * 2 * (2 * REACH + 1)
COLOUR = np.array([0.0, 114.0, 178.0])  # blue, of weights


def figure_8(columns: Sequence[Column], case: Composite) -> Sheet:
    """Draw a tile per operator: the image around the position, and on it the weights of the pixels that it reads."""
    row, column = edge_position(case.alpha)
    top, left = 2 * (row // 2 - REACH), 2 * (column // 2 - REACH)
    side = 2 * (2 * REACH + 1)
    patch = case.image[top : top + side, left : left + side]
    box = (PIXEL * (row - top), PIXEL * (column - left), PIXEL, PIXEL)
    cells: list[Cell | None] = [Cell(scaled(patch, TILE_WIDTH), "input", box)]
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float64)
    for each in columns:
        weights = output_weights(each.network(), case, row, column)
        shares = (np.abs(weights) / np.abs(weights).max()).repeat(2, axis=0).repeat(2, axis=1)[..., None]
        tile = np.rint((1 - shares) * grey + shares * COLOUR).astype(np.uint8)
        cells.append(Cell(scaled(tile, TILE_WIDTH), f"{each.wanted.title}, up to {np.abs(weights).max():.2f}", box))
    cells += [None] * (-len(cells) % PER_ROW)
    return Sheet(
        titles=[""] * PER_ROW,
        rows=[cells[start : start + PER_ROW] for start in range(0, len(cells), PER_ROW)],
        cell_width=TILE_WIDTH,
        caption=f"What one output position of the last upsampling is made of, by operator: on the image around it, the "
        f"bluer a pixel of the small map (two pixels of the image wide), the larger its weight, from zero to the "
        f"largest absolute one of the tile, which stands below. Kernels, offsets, index maps and "
        f"gates are those of this image, held fixed; weights are means over channels. The position (outlined) is the "
        f"one where the true alpha of test image {case.name} changes most: row {row}, column {column}.",
    )


def output_weights(model: MattingNetwork, case: Composite, row: int, column: int) -> np.ndarray:
    """Return the derivative of one output position of the last operator by the pixels of x around it.

    What the operator reads off the picture otherwise is held fixed, so of a weighted sum these are its weights.

    Returns:
        (2*REACH + 1, 2*REACH + 1), the mean over channels; 0 outside the map.
    """
    operator, seen = model.last_operator(), last_upsampling(model, case)
    assert operator is not None

    def fixed(layer: nn.Module, given: tuple[object, ...], maps: Tensor) -> Tensor:
        return maps.detach()

    hooks = [part.register_forward_hook(fixed) for part in operator.modules() if isinstance(part, Content)]
    x = seen.x.clone().requires_grad_()
    guide = seen.guide.clone() if isinstance(seen.guide, Tensor) else seen.guide
    with removed_at_the_end(hooks), torch.enable_grad():
        operator(x, guide)[0, :, row, column].sum().backward()
    assert x.grad is not None
    around = nn.functional.pad(x.grad[0].mean(dim=0), [REACH] * 4)
    centre_row, centre_column = row // operator.ratio, column // operator.ratio
    window = around[centre_row : centre_row + 2 * REACH + 1, centre_column : centre_column + 2 * REACH + 1]
    return window.float().cpu().numpy()


def edge_position(alpha: np.ndarray) -> tuple[int, int]:
    """Return row and column where (H, W) alpha changes most, far enough from the border for a whole tile."""
    margin = 2 * REACH + 2
    down, right = np.gradient(alpha.astype(np.float64))
    inside = np.hypot(down, right)[margin:-margin, margin:-margin].round(3)
    row, column = np.unravel_index(np.argmax(inside), inside.shape)
    return int(row) + margin, int(column) + margin
