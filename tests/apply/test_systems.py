"""Loading what is evaluated: released weights, classic systems, and refusals."""

import json
import re

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_state
from helpers.runs import generated
from safetensors.torch import save_file

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.apply.systems import WITHOUT_WEIGHTS, System, load_system
from a2u.config import compose
from a2u.errors import A2UError, ConfigError
from a2u.models.networks import networks
from a2u.models.released import SYSTEMS, read_weights
from a2u.models.weights.files import WeightsError
from a2u.reproduce.render import evaluation


@pytest.fixture(scope="module")
def released(reference):
    shapes = json.loads((reference / "a2u" / "official_shapes.json").read_text())
    return {file: {k: v.float() for k, v in reference_state(shapes[file]["shapes"]).items()} for file in shapes}


FORMS = {
    "plain.pth": lambda state: state,
    "parallel.pth": lambda state: {f"module.{key}": value for key, value in state.items()},
    "checkpoint.pth.tar": lambda state: {"state_dict": state, "epoch": 30, "loss": np.float64(0.5)},
}


@pytest.mark.parametrize("form", [*FORMS, "weights.safetensors"])
def test_released_weights_in_any_form(released, tmp_path, form):
    path = tmp_path / form
    state = released["adobe"]
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(FORMS[form](state), path)
    loaded = load_system(System.a2u, str(path))
    assert (loaded.name, loaded.task, len(loaded.weights_hash)) == ("a2u", "matting", 64)
    assert torch.equal(loaded.model.state_dict()["prediction.1.weight"], state["pred.1.weight"])


def test_a_dot_module_inside_a_name_stays(tmp_path):
    """GCA's names contain ".module."; only a leading one comes from DataParallel."""
    from a2u.models.networks.gca import GCA
    from a2u.models.released import SYSTEMS, load_released

    model = GCA(attention=False)
    names = SYSTEMS["gca_baseline"].sources(model)
    assert names["encoder.stem.0.0.parametrizations.weight.original"] == ["encoder.conv1.module.weight_bar"]
    state = {f"module.{names[key][0]}": value for key, value in model.state_dict().items() if key in names}
    assert load_released(state, "gca_baseline").multiple == 32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no weights file"),
        (b"not a checkpoint", "could not be read as weights"),
        ({}, "holds no tensors by name"),
        ([1, 2], "holds no tensors by name"),
        ({"epoch": 3, "a": torch.zeros(1)}, "holds epoch, which are no tensors"),
    ],
    ids=["missing", "bytes", "empty", "list", "no tensors"],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=words):
        read_weights(path)


def evaluate(outputs, *overrides):
    here = [f"runtime.outputs='{outputs}'", "runtime.progress=false", generated()]
    return evaluate_weights(compose([*here, "dataset.limit_test=2", "dataset.test_size=64", *overrides], "evaluate"))


@pytest.mark.parametrize(
    ("file", "name", "sad"), [("adobe", "a2u", "32.10"), ("adobe_unshare", "a2u_unshared", "31.87")]
)
def test_released_weights_are_shown_with_their_authors_numbers(reference, released, tmp_path, file, name, sad):
    torch.save(released[file], tmp_path / "weights.pth")
    result = evaluate(tmp_path, f"weights='{tmp_path / 'weights.pth'}'", "system=a2u")
    assert result["trained"] == {"system": "a2u", "variant": name}
    shapes = json.loads((reference / "a2u" / "official_shapes.json").read_text())
    assert result["params"] == shapes[file]["params"]
    shown = evaluation(result)
    assert re.search(rf"^stated with these weights \(Composition-1k\) +{sad} ", shown, re.MULTILINE)
    assert "metrics.rounding=truncate" in shown
    truncated = evaluate(tmp_path, f"weights='{tmp_path / 'weights.pth'}'", "system=a2u", "metrics.rounding=truncate")
    assert "metrics.rounding=truncate" not in evaluation(truncated)
    assert truncated["folder"] != result["folder"]


def test_every_released_program_and_every_network_without_weights_is_a_system():
    assert {system.name for system in System} == {"auto", "checkpoint", *SYSTEMS, *WITHOUT_WEIGHTS}
    assert set(WITHOUT_WEIGHTS) == {name for name, network in networks().items() if not network.trained}


@pytest.mark.parametrize("system", WITHOUT_WEIGHTS)
def test_a_system_without_weights(tmp_path, system):
    result = evaluate(tmp_path, f"system={system}")
    assert result["weights"] is None
    assert result["params"] == 0
    assert [image["name"] for image in result["images"]]
    shown = evaluation(result)
    assert ("printed in Table 5" in shown) == (system != "trimap_only")
    assert "metrics.rounding" not in shown


@pytest.mark.parametrize(
    ("overrides", "error", "words"),
    [
        (["system=a2u"], ConfigError, "system=a2u needs weights=FILE, the authors' weights file"),
        ([], ConfigError, "system=checkpoint needs weights=FILE, a last.pt or best.pt"),
        (["system=knn", "weights=x.pth"], ConfigError, "system=knn has no weights: leave out weights=x.pth"),
        (["system=closed_form", "dataset=mnist5k"], A2UError, "is for reconstruction"),
    ],
)
def test_invalid_commands_are_refused(tmp_path, overrides, error, words):
    with pytest.raises(error, match=words):
        evaluate_weights(compose([f"runtime.outputs='{tmp_path}'", *overrides], "evaluate"))


def test_an_unknown_system_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"system.*checkpoint, a2u, indexnet_matting, gca"):
        compose(["system=fba"], "evaluate")
