"""Figures 4, 6 and 7: alpha mattes of several systems, side by side."""

import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from a2u.engine.evaluate import predict
from a2u.metrics import UndefinedMetric, sad
from a2u.reproduce.figures.cases import Case
from a2u.reproduce.figures.columns import Column
from a2u.reproduce.figures.sheet import Cell, Sheet

CELL_WIDTH = 256  # pixels
NAME_LENGTH = 16  # letters below a picture; captions have names in full


def side_by_side(columns: Sequence[Column], cases: Sequence[Case], caption: str) -> Sheet:
    """Draw a row per case: image, trimap, every system's alpha with its SAD, and the true alpha if there is one."""
    alphas = [mattes(column, cases) for column in columns]
    titles = ["image", "trimap", *(column.wanted.title for column in columns)]
    rows: list[list[Cell | None]] = [
        [Cell(case.image, shortened(case.name)), Cell(case.trimap), *(cells[number] for cells in alphas)]
        for number, case in enumerate(cases)
    ]
    if any(case.alpha is not None for case in cases):
        titles.append("ground truth")
        for case, row in zip(cases, rows, strict=True):
            row.append(None if case.alpha is None else Cell(case.alpha))
    return Sheet(titles, rows, CELL_WIDTH, f"{caption} Below a matte, its SAD over the unknown region, in thousands.")


def mattes(column: Column, cases: Sequence[Case]) -> list[Cell]:
    """Return one system's alphas, as they are evaluated."""
    model, rounding = column.network(), column.run.cfg.metrics.rounding.name
    bar = tqdm(cases, column.run.row, unit="image", disable=not sys.stderr.isatty(), leave=False)
    return [with_sad(predict(model, case.image, case.trimap, rounding), case) for case in bar]


def with_sad(prediction: np.ndarray, case: Case) -> Cell:
    """Return a predicted alpha, (H, W) uint8, with its SAD below it if there is a true one."""
    if case.alpha is None:
        return Cell(prediction)
    try:
        return Cell(prediction, f"SAD {sad(prediction, case.alpha, case.trimap):.2f}")
    except UndefinedMetric:
        return Cell(prediction, "no unknown pixel")


def shortened(name: str) -> str:
    """Shorten a name to fit below a picture by cutting its middle, since its end distinguishes backgrounds."""
    if len(name) <= NAME_LENGTH:
        return name
    tail = NAME_LENGTH // 3
    return f"{name[: NAME_LENGTH - tail - 1]}…{name[-tail:]}"
