"""The authors' Python metrics against values that their program gave on the same images.

tests/reference/metrics/released_python.csv: the four functions of the released scripts/utils.py run
one after the other (NumPy 1.23, SciPy 1.10, scikit-image 0.20, OpenCV 4.7) on 8-bit images.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from a2u.errors import DataError
from a2u.metrics import MattingMetrics, UndefinedMetric, released

MADE = ["const_pred", "diagonal_4conn", "low_range", "perfect", "plateau_153"]
MADE += ["tie_components", "tie_plain", "zero_pred"]
PHOTOGRAPHS = ["lemur_blur", "lemur_dim", "lemur_noise", "lemur_quant"]
PHOTOGRAPHS += ["net_shift", "plant_quant", "troll_mix"]


@pytest.mark.parametrize("case", MADE)
def test_equals_released_program(case: str, reference: Path, read_triple: Callable, assert_reference: Callable) -> None:
    folder = reference / "metrics"
    values = released.all_metrics(*read_triple(folder, case))
    assert_reference(values, folder / "released_python.csv", case)


@pytest.mark.parametrize("case", PHOTOGRAPHS)
def test_equals_released_program_on_photographs(
    case: str, shared: Path, reference: Path, read_triple: Callable, assert_reference: Callable
) -> None:
    values = released.all_metrics(*read_triple(shared / "fixtures" / "metrics", case))
    assert_reference(values, reference / "metrics" / "released_python.csv", case)


def test_all_metrics_equals_the_four_functions(reference: Path, read_triple: Callable) -> None:
    images = read_triple(reference / "metrics", "diagonal_4conn")
    functions = [released.sad, released.mse, released.grad, released.conn]
    assert released.all_metrics(*images) == {f.__name__: f(*images) for f in functions}


@pytest.mark.parametrize(
    ("faint_at", "expected"),
    # As in test_matting.py, but along the rows the upper right component comes first.
    [("upper right", 4 * 0.3 / 1000), ("lower left", 4 * 55 / 255 / 1000)],
)
def test_tie_goes_to_the_first_along_the_rows(faint_at: str, expected: float) -> None:
    alpha = np.zeros((5, 6), np.uint8)
    alpha[3:5, 0:2] = alpha[0:2, 4:6] = 255
    pred = alpha.copy()
    if faint_at == "lower left":
        pred[3:5, 0:2] = 200
    else:
        pred[0:2, 4:6] = 200
    assert released.conn(pred, alpha, np.full_like(alpha, 128)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_callers_images_are_not_stretched(order: str) -> None:
    pred = np.array([[10, 20, 30], [20, 30, 40]], np.uint8, order=order)
    alpha, trimap = pred[::-1, ::-1], np.full_like(pred, 128)
    before = pred.copy()
    values = released.all_metrics(pred, alpha, trimap)
    assert np.array_equal(pred, before)
    # Both run from 10 to 40: a difference of 30 becomes 1, of 10 a third.
    assert values["sad"] == pytest.approx((1 + 1 / 3 + 1 / 3) * 2 / 1000, rel=1e-6)


def test_checks_its_input() -> None:
    good = np.full((3, 4), 128, np.uint8)
    with pytest.raises(DataError, match="prediction has type float64"):
        released.sad(good / 255, good, good)
    with pytest.raises(UndefinedMetric, match="no unknown pixel"):
        released.conn(good, good, np.zeros_like(good))


def test_gathers_in_the_accumulator() -> None:
    pred, alpha = np.uint8([[0, 100, 200]]), np.uint8([[0, 200, 255]])
    metrics = MattingMetrics(released.all_metrics)
    metrics.update("one", pred, alpha, np.full_like(pred, 128))
    assert metrics.mean() == released.all_metrics(pred, alpha, np.full_like(pred, 128))
