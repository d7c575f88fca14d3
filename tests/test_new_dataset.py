"""The dataset of docs/new_dataset.md, put where the page says, trains and evaluates."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest
from helpers.matting_folders import matte, noise, save
from helpers.runs import exported_untrained

from a2u import config
from a2u.apply.evaluate_weights import evaluate_weights
from a2u.config import CONFIG_DIR, compose
from a2u.data import build_data
from a2u.engine.run import run
from a2u.errors import DataError
from a2u.settings import SCHEMAS

PAGE = (Path(__file__).parents[1] / "docs" / "new_dataset.md").read_text()


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL).group(1)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The dataset's folder; its file and its config are in use."""
    file, configuration = re.findall(r"^\*\*\d\. .*?\*\*, `(.*?)`", PAGE, re.MULTILINE)
    configs = shutil.copytree(CONFIG_DIR, tmp_path / "configs")
    (tmp_path / configuration).write_text(block("yaml"))
    monkeypatch.setattr(config, "CONFIG_DIR", configs)
    module = tmp_path / Path(file).name
    module.write_text(block("python"))
    spec = importlib.util.spec_from_file_location("mine", module)
    imported = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mine", imported)
    monkeypatch.setitem(SCHEMAS, "dataset/mine", None)  # which the import replaces
    spec.loader.exec_module(imported)
    for seed in range(3):
        save(tmp_path / "train" / "fg" / f"{seed}.jpg", noise(50, 60, 3, seed=seed))
        save(tmp_path / "train" / "alpha" / f"{seed}.png", matte(50, 60, seed=seed))
        save(tmp_path / "train" / "bg" / f"{seed}.png", noise(64, 64, 3, seed=seed))
        save(tmp_path / "test" / "image" / f"{seed}.png", noise(40, 48, 3, seed=seed))
        alpha = matte(40, 48, seed=seed)
        save(tmp_path / "test" / "alpha" / f"{seed}.png", alpha)
        alpha[(alpha > 0) & (alpha < 255)] = 128
        save(tmp_path / "test" / "trimap" / f"{seed}.png", alpha)
    return tmp_path


def test_it_trains_and_is_evaluated_on(root, tmp_path):
    choice = ["dataset=mine", f"dataset.root='{root}'", f"runtime.outputs='{tmp_path / 'outputs'}'"]
    result = run(compose(["experiment=table2/nearest", "scale=smoke", "runtime.progress=false", *choice]))
    assert (result["dataset"], result["provenance"]["train_images"]) == ("mine", 3)
    assert result["provenance"]["test_images"] == 2  # dataset.limit_test of the smoke scale
    assert (tmp_path / "outputs" / "table2" / "mine" / "smoke" / "nearest").is_dir()

    weights = exported_untrained(tmp_path / "a2u.safetensors")
    found = evaluate_weights(compose([f"weights='{weights}'", *choice], "evaluate"))
    assert found["metrics"].keys() == {"sad", "mse", "grad", "conn"}


def test_a_missing_file_is_named(root):
    (root / "test" / "trimap" / "1.png").unlink()
    with pytest.raises(DataError, match=r"test/trimap has no image for 1 name\(s\) of image: 1"):
        build_data(compose(["dataset=mine", f"dataset.root='{root}'"]).dataset)
