"""Pictures for the documentation."""

from pathlib import Path

import cv2
import pytest

from a2u.data.sources.synthetic import SyntheticConfig
from a2u.data.synthetic.sheet import contact_sheet


@pytest.mark.slow
def test_contact_sheets(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "images", SyntheticConfig().seed)
    pictures = sorted((tmp_path / "images").iterdir())
    assert [path.name for path in pictures] == ["synthetic_test.png", "synthetic_training.png"]
    assert sum(path.stat().st_size for path in pictures) < 600_000
    heights = [cv2.imread(str(path)).shape[0] for path in pictures]
    assert heights == [3 * 176 + 2 * 4, 4 * 160 + 4]
