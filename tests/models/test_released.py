"""Our networks with the released programs' tensors compute what those programs compute."""

import json

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_state, tensorflow_state
from helpers.tensorflow_checkpoints import write_checkpoint

from a2u.models.build import count_parameters
from a2u.models.released import ReleasedError, load_released
from a2u.models.weights.tensorflow_checkpoint import crc32c, masked

A2U_FILES = ("adobe", "adobe_unshare")
SYSTEM_FILES = {"gca": "gca", "gca_baseline": "gca", "indexnet_matting": "index", "dim": "index"}
# Of the authors' programs, and (spec of Table 5) of their papers.
PARAMETERS = {"gca": 25_164_529, "gca_baseline": 25_072_481, "indexnet_matting": 5_953_515, "dim": 130_545_345}


def a2u_state(reference, file):
    shapes = json.loads((reference / "a2u" / "official_shapes.json").read_text())[file]
    return reference_state(shapes["shapes"]), shapes["params"]


def system_state(reference, system):
    path = reference / "systems" / f"system_{SYSTEM_FILES[system]}_shapes.json"
    shapes = json.loads(path.read_text())[system]
    return reference_state(shapes["shapes"]), shapes["params"]


def relative_error(model, x, expected):
    with torch.no_grad():
        y = model(torch.from_numpy(x)).numpy()
    assert y.dtype == np.float64
    return np.abs(y - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("file", A2U_FILES)
def test_equals_the_released_a2u_network(reference, file):
    state, parameters = a2u_state(reference, file)
    model = load_released({f"module.{key}": value for key, value in state.items()})
    assert count_parameters(model) == parameters
    assert not model.training
    data = np.load(reference / "a2u" / f"official_{file}.npz")
    assert relative_error(model, data["x"], data["y"]) < 1e-9


@pytest.fixture(scope="module")
def gca(reference):
    return system_state(reference, "gca")


@pytest.mark.parametrize("system", SYSTEM_FILES)
def test_equals_the_released_systems(reference, gca, system):
    state, parameters = gca if system == "gca" else system_state(reference, system)
    model = load_released({f"module.{key}": value for key, value in state.items()}, system)
    assert count_parameters(model) == parameters == PARAMETERS[system]
    data = np.load(reference / "systems" / f"system_{system}.npz")
    x = data["x0"]
    if "x1" in data:  # GCA's one-hot trimap, from which ours is made back
        trimap = np.array([0, 128 / 255, 1])[data["x1"].argmax(axis=1)]
        x = np.concatenate([x, trimap[:, None]], axis=1)
    assert relative_error(model, x, data["y"]) < 1e-8


def test_gca_takes_the_nearest_of_the_three_trimap_values(reference, gca):
    """Never range-checked: what a resized or jittered trimap holds counts as the nearest value."""
    model = load_released(gca[0], "gca")
    data = np.load(reference / "systems" / "system_gca.npz")
    classes = data["x1"].argmax(axis=1)[:, None]
    shaky = np.array([-0.2, 0.6, 1.3])[classes]
    assert relative_error(model, np.concatenate([data["x0"], shaky], axis=1), data["y"]) < 1e-8


def test_single_precision_stays_single(reference):
    state, _ = a2u_state(reference, "adobe")
    model = load_released({key: value.float() for key, value in state.items()})
    assert model(torch.zeros(1, 4, 16, 16)).dtype == torch.float32


def test_the_hidden_width_of_index_blocks_is_told_by_their_shapes(reference):
    from a2u.models.networks.indexnet_matting import IndexNetMatting
    from a2u.models.released import SYSTEMS

    ours = IndexNetMatting(hidden=2)
    assert count_parameters(ours) == 8_153_771  # the printed 8.15M
    published = {}
    for key, theirs in SYSTEMS["indexnet_matting"].sources(ours).items():
        published |= dict(zip(theirs, ours.state_dict()[key].chunk(len(theirs)), strict=True))
    loaded = load_released(published, "indexnet_matting")
    x = torch.randn(1, 4, 32, 64)
    torch.testing.assert_close(loaded(x), ours.eval()(x))


def test_another_networks_tensors_are_refused_with_what_differs(reference):
    state, _ = a2u_state(reference, "adobe")
    del state["pred.1.weight"]
    state["fc.weight"] = torch.zeros(2)
    state["short0.0.weight"] = torch.zeros(64, 3, 3, 3)
    with pytest.raises(ValueError, match=r"missing pred\.1\.weight; unknown fc\.weight; short0\.0\.weight is \(64, 3"):
        load_released(state)


def test_weights_of_a2u_are_not_another_systems(reference):
    state, _ = a2u_state(reference, "adobe")
    with pytest.raises(ReleasedError, match=r"system=indexnet_matting: missing .*; and \d+ more"):
        load_released(state, "indexnet_matting")


def test_gca_weights_are_not_the_baselines(gca):
    with pytest.raises(ReleasedError, match=r"unknown encoder\.guidance_head"):
        load_released(gca[0], "gca_baseline")


def test_another_system_is_refused():
    with pytest.raises(ValueError, match=r"known for system a2u, .*gca_baseline, dim, context_aware; got 'fba'"):
        load_released({}, system="fba")


# Context-Aware Matting: 107 million parameters in each test, so those are few.


@pytest.fixture(scope="module")
def context_aware(reference):
    """(shapes, variables in TensorFlow's layout) of both decoders."""
    shapes = json.loads((reference / "systems" / "context_aware_variables.json").read_text())
    return shapes, tensorflow_state(shapes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_released_context_aware_graph(reference, context_aware, dtype):
    """Common mistakes move a logit by 1e-4 (epsilon of a norm) to 3e-2 (skip feature after its activation)."""
    shapes, variables = context_aware
    counters = {"global_step": np.array(7), "logits/logits/patch_mat_logits_4/weights/Momentum": np.zeros(3)}
    model = load_released(
        {name: value.astype(dtype) for name, value in (variables | counters).items()}, "context_aware"
    )
    assert count_parameters(model) == 108_003_724
    for path in sorted((reference / "systems").glob("context_aware_*.npz")):
        data = np.load(path)
        with torch.no_grad():
            found = model.two_resolutions(
                *(
                    torch.from_numpy(data[name].astype(dtype)).permute(0, 3, 1, 2)
                    for name in ("patch_image", "comp_image")
                )
            )
        names = [f"{kind}_logits_{level}" for kind in ("mat", "col") for level in range(5)]
        for name, logits in zip(names, found, strict=True):
            y = logits.permute(0, 2, 3, 1).numpy()
            assert y.dtype == dtype
            assert y.shape == data[name].shape
            assert np.abs(y - data[name]).max() < 1e-5, (path.name, name)


@pytest.mark.slow
def test_a_tensorflow_checkpoint_of_alpha_alone_is_read(context_aware, tmp_path):
    _, variables = context_aware
    alone = {name: value for name, value in variables.items() if "patch/seg_" not in name and "patch_seg_" not in name}
    write_checkpoint(tmp_path / "model.ckpt", alone, checksum=lambda data: masked(crc32c(data)))
    model = load_released(tmp_path / "model.ckpt", "context_aware")
    assert count_parameters(model) == 107_426_469
    assert model.colour_decoder is None
    expected = load_released(alone, "context_aware").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_our_names_are_those_of_the_released_context_aware_graph(reference):
    from a2u.models.networks.context_aware import ContextAware
    from a2u.models.released import SYSTEMS

    shapes = json.loads((reference / "systems" / "context_aware_variables.json").read_text())
    with torch.device("meta"):
        model = ContextAware(colour=True)
        wanted = SYSTEMS["context_aware"].prepare({name: torch.empty(shape) for name, shape in shapes.items()})
    sources, own = SYSTEMS["context_aware"].sources(model), model.state_dict()
    assert {theirs for (theirs,) in sources.values()} == set(shapes)
    assert all(own[ours].shape == wanted[theirs].shape for ours, (theirs,) in sources.items())
    assert {name for name in own if name not in sources} == {n for n in own if n.endswith("num_batches_tracked")}
