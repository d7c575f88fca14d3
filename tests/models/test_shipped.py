"""The model in the package: its file and its provenance."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import exported_untrained

import a2u
from a2u.data.files.images import read_grey
from a2u.models import shipped
from a2u.models.weights.exported import load_exported, read_manifest
from a2u.models.weights.files import WeightsError

MB = 10**6
ROOT = Path(__file__).parents[2]
DEMO = ROOT / "docs" / "demo"


def test_a_package_without_the_model_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(WeightsError, match=r"a2u\.safetensors\): give weights=FILE, .* or system=closed_form"):
        shipped.shipped_weights()
    path = exported_untrained(tmp_path / "a2u.safetensors")
    assert shipped.shipped_weights() == path


def test_the_model_of_this_package_loads_and_is_small():
    path = shipped.shipped_weights()
    assert path.stat().st_size <= 10 * MB
    assert load_exported(path).multiple == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shown", "given"),
    [
        ("demo", {"image": DEMO / "photo.jpg", "trimap": DEMO / "trimap.png"}),
        ("dandelion", {"image": DEMO / "dandelion.jpg", "mask": DEMO / "dandelion_mask.png", "erode": 6, "dilate": 38}),
    ],
)
def test_the_readme_shows_what_the_default_makes(shown, given):
    expected = read_grey(ROOT / "docs" / "images" / f"{shown}_alpha.png")
    assert np.abs(255 * a2u.matte(**given) - expected).mean() < 0.5  # other machines round in other ways


def test_the_model_of_this_package_says_where_it_comes_from():
    manifest = read_manifest(shipped.shipped_weights())
    assert manifest["dataset"] == "synthetic"  # which may be shipped
    assert set(manifest["metrics"]) == {"sad", "mse", "grad", "conn"}
    origin = manifest["provenance"]
    assert origin["dirty"] is False
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in origin["commits"])
    assert origin["wall_seconds"] > 0
    assert not [word for word in origin["command"] if "/" in word.partition("=")[2].removeprefix("table2/")]
