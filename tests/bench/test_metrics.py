"""What the metrics are timed against computes the same."""

import pytest

from a2u.metrics import all_metrics
from scripts.bench.metrics import matte, textbook_metrics


@pytest.mark.parametrize("seed", [0, 1])
def test_the_textbook_gives_the_same_four_numbers(seed: int) -> None:
    images = matte((130, 170), seed)
    found = all_metrics(*images)
    assert found == pytest.approx(textbook_metrics(*images), rel=1e-6)
    assert min(found.values()) > 0


def test_the_timed_image_is_as_described() -> None:
    pred, alpha, trimap = matte((130, 170))
    assert (trimap == 128).mean() == pytest.approx(0.2, abs=0.01)
    assert (alpha[trimap == 0] == 0).all()
    assert (pred[trimap == 255] == 255).all()
    assert 0.1 < ((alpha > 0) & (alpha < 255)).mean() < 0.2
