"""Reading the reference cases: PNG triples and their metrics by the reference program."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

COLUMNS = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}


@pytest.fixture(scope="session")
def read_triple() -> Callable[[Path, str], list[np.ndarray]]:
    """(folder, case) -> [prediction, true alpha, trimap], (H, W) uint8."""

    def read(folder: Path, case: str) -> list[np.ndarray]:
        files = [folder / f"{case}_{kind}.png" for kind in ("pred", "alpha", "trimap")]
        images = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
        assert all(image is not None for image in images), f"not readable: {files}"
        return images

    return read


@pytest.fixture(scope="session")
def assert_reference() -> Callable[[dict[str, float], Path, str], None]:
    """(values, table, case): equal to the table's within 1e-4, absolute 1e-6 below 1e-3."""

    def check(values: dict[str, float], table: Path, case: str) -> None:
        with table.open(newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["case"] == case)
        assert list(values) == list(COLUMNS)
        for name, column in COLUMNS.items():
            expected = float(row[column])
            tolerance = 1e-4 * expected if expected >= 1e-3 else 1e-6
            assert values[name] == pytest.approx(expected, rel=0, abs=tolerance), name

    return check
