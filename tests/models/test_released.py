"""Our network with the released program's tensors computes what that program computes."""

import json

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_tensor

from a2u.models.build import count_parameters
from a2u.models.released import load_released


def released_state(reference, file):
    shapes = json.loads((reference / "a2u" / "official_shapes.json").read_text())[file]
    return {key: reference_tensor(key, tuple(shape), seed=20210) for key, shape in shapes["shapes"].items()}, shapes


@pytest.mark.parametrize("file", ["adobe", "adobe_unshare"])
def test_equals_the_released_network(reference, file):
    state, shapes = released_state(reference, file)
    model = load_released({f"module.{key}": value for key, value in state.items()})
    assert count_parameters(model) == shapes["params"]
    data = np.load(reference / "a2u" / f"official_{file}.npz")
    with torch.no_grad():
        y = model(torch.from_numpy(data["x"])).numpy()
    assert y.dtype == np.float64
    assert np.abs(y - data["y"]).max() / np.abs(data["y"]).max() < 1e-9


def test_another_networks_tensors_are_refused_with_what_differs(reference):
    state, _ = released_state(reference, "adobe")
    del state["pred.1.weight"]
    state["fc.weight"] = torch.zeros(2)
    state["short0.0.weight"] = torch.zeros(64, 3, 3, 3)
    with pytest.raises(ValueError, match=r"missing pred\.1\.weight; unknown fc\.weight; short0\.0\.weight is \(64, 3"):
        load_released(state)


def test_another_system_is_refused(reference):
    with pytest.raises(ValueError, match="known for system a2u; got 'gca'"):
        load_released({}, system="gca")
