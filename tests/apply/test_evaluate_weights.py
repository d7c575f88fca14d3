"""A trained row on another dataset, with a warning if it was trained on test images."""

import json

import pytest
from helpers.matting_folders import small_photographs
from helpers.runs import generated, smoke
from PIL import Image

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.config import compose
from a2u.engine.checkpoint import CheckpointError, save_checkpoint
from a2u.engine.evaluate import seen_in_training
from a2u.engine.identity import Places
from a2u.engine.prepare import make_model
from a2u.engine.run import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("trained")
    cfg = smoke(outputs, "experiment=table2/a2u_dynamic_cs_d_norm", "dataset.limit_train=2")
    return run(cfg), Places.of(cfg).last


def evaluate(weights, outputs, *overrides):
    return evaluate_weights(compose([f"weights='{weights}'", f"runtime.outputs='{outputs}'", *overrides], "evaluate"))


def test_the_same_test_set_gives_the_same_numbers(trained, tmp_path):
    result, weights = trained
    again = evaluate(weights, tmp_path, "dataset.limit_test=2", generated())
    assert again["metrics"] == result["metrics"]
    assert again["provenance"]["data_sha256"] == result["provenance"]["data_sha256"]
    assert again["warnings"] == []
    folder = tmp_path / "evaluate" / "synthetic"
    assert json.loads(next(folder.glob("*/result.json")).read_text()) == again
    assert len(list(folder.glob("*/predictions/*.png"))) == 2


def test_real_photographs(trained, tmp_path, shared):
    root = shared / "data" / "alphamatting"
    result = evaluate(trained[1], tmp_path, "dataset=alphamatting", f"dataset.root='{root}'", "dataset.limit_test=2")
    assert [image["name"] for image in result["images"]] == ["GT01", "GT02"]
    assert all(0 < image["sad"] < 100 for image in result["images"])


@pytest.mark.parametrize("row", ["adamatting_reading", "context_aware"])
def test_untrained_systems_of_table_5_take_photographs_of_odd_sizes(row, tmp_path, shared):
    cfg = compose([f"experiment=table5/{row}", "scale=smoke"])
    weights, root = tmp_path / "untrained.pt", small_photographs(shared, tmp_path / "photographs")
    save_checkpoint(weights, cfg, [], model=make_model(cfg).state_dict(), step=0)
    result = evaluate(weights, tmp_path, "dataset=alphamatting", f"dataset.root='{root}'")
    assert [image["name"] for image in result["images"]] == ["GT01", "GT04"]
    assert all(0 < image["sad"] < 10 for image in result["images"])
    for prediction in (tmp_path / "evaluate" / "alphamatting").glob("*/predictions/*.png"):
        photograph = Image.open(root / "input_training_lowres" / prediction.name)
        assert photograph.size == Image.open(prediction).size
        assert photograph.size[1] % 16


def test_a_network_trained_on_a_test_image_is_warned_about(tmp_path, shared):
    adobe = shared / "data" / "adobe-mini"
    overrides = ["scale=smoke", "dataset=adobe", f"dataset.root='{adobe}'", f"runtime.outputs='{tmp_path}'"]
    cfg = compose([*overrides, "runtime.progress=false", "dataset.limit_test=1"])
    run(cfg)
    root = shared / "data" / "alphamatting"
    result = evaluate(
        Places.of(cfg).last, tmp_path, "dataset=alphamatting", f"dataset.root='{root}'", "dataset.limit_test=5"
    )
    assert "4 of 5 test images are named like a foreground" in result["warnings"][0]  # limit_train=4 at this scale


def test_names_of_composites_count_too():
    assert seen_in_training(["GT15"], ["GT15_0", "GT16_0", "GT15"])[0].startswith("2 of 3")
    assert seen_in_training(["GT1"], ["GT15_0", "GT15"]) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="there is no weights file"):
        evaluate(tmp_path / "none.pt", tmp_path)
