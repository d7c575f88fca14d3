"""Where the model in the package lies."""

import pytest
from helpers.runs import exported_untrained

from a2u.models import shipped
from a2u.models.exported import load_exported
from a2u.weights import WeightsError

MB = 10**6


def test_a_package_without_the_model_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(WeightsError, match=r"a2u\.safetensors\): give weights=FILE, .* or system=closed_form"):
        shipped.shipped_weights()
    path = exported_untrained(tmp_path / "a2u.safetensors")
    assert shipped.shipped_weights() == path


def test_the_model_of_this_package_loads_and_is_small():
    try:
        path = shipped.shipped_weights()
    except WeightsError:
        pytest.skip("this checkout has no a2u.safetensors")
    assert path.stat().st_size <= 10 * MB
    assert load_exported(path).multiple == 16
