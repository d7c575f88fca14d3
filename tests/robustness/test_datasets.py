"""Folders and their files: used unchanged, or a sentence that names the folder or file."""

import shutil

import numpy as np
import pytest
import torch
from helpers.matting_folders import noise, save
from helpers.runs import smoke
from torch.utils.data import default_collate

from a2u.config import compose
from a2u.data import TrainingSamples, build_data
from a2u.data.sampling.compose_batch import compose_batch
from a2u.data.sampling.settings import SampleConfig
from a2u.data.sources.adobe import AdobeConfig
from a2u.engine.evaluate import PredictionError, evaluate
from a2u.engine.run import run
from a2u.errors import DataError
from a2u.losses import matting_loss
from a2u.models import build_model
from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.classic import UnsolvableError


def build(root, **options):
    return AdobeConfig(root=str(root), **options).build()


def drawn(root, count=8):
    """A batch of training samples with crops of 32 pixels."""
    samples = TrainingSamples(build(root), SampleConfig(crop=32), seed=0, samples_per_epoch=count)
    batch = default_collate([samples[0, index] for index in range(count)])
    return compose_batch({key: value for key, value in batch.items() if isinstance(value, torch.Tensor)})


@pytest.mark.parametrize("value", [0, 128, 255])
def test_alphas_of_one_value_can_be_trained_on(adobe_root, value):
    for name in ("a", "b"):
        save(adobe_root / "Training_set" / "alpha" / f"{name}.png", np.full((24, 24), value, np.uint8))
    batch = drawn(adobe_root)
    assert batch["unknown"].any() == (value > 0)  # an opaque picture has edges once it is turned
    parts = {key: batch[key] for key in ("alpha", "unknown", "fg", "bg", "image")}
    prediction = torch.full_like(batch["alpha"], 0.5, requires_grad=True)
    loss = matting_loss(prediction, **parts)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 500)])
def test_backgrounds_smaller_than_the_foreground(adobe_root, size):
    """They are enlarged to cover it, and keep their single colour."""
    folder = adobe_root / "Training_set" / "bg"
    shutil.rmtree(folder)
    save(folder / "p.png", np.full((*size, 3), 90, np.uint8))
    assert (drawn(adobe_root)["bg"] == 90 / 255).all()


def test_a_single_pixel_behind_a_large_picture(adobe_root):
    """Without the memory that enlarging it to the size of the foreground would take."""
    for kind, shape in (("fg", (300, 3000, 3)), ("alpha", (300, 3000))):
        for name in ("a", "b"):
            save(adobe_root / "Training_set" / kind / f"{name}.png", noise(*shape))
    save(adobe_root / "Training_set" / "bg" / "p.png", np.full((1, 1, 3), 90, np.uint8))
    assert (drawn(adobe_root, 2)["bg"] == 90 / 255).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 20), (40, 3)])
def test_foregrounds_smaller_than_the_crop(adobe_root, size):
    for name in ("a", "b"):
        save(adobe_root / "Training_set" / "fg" / f"{name}.png", np.full((*size, 3), 200, np.uint8))
        save(adobe_root / "Training_set" / "alpha" / f"{name}.png", np.full(size, 128, np.uint8))
    batch = drawn(adobe_root)
    assert batch["input"].shape == (8, 4, 32, 32)
    assert batch["unknown"].mean() > 0.2


def test_foregrounds_that_are_strips(adobe_root):
    for kind, shape in (("fg", (1, 20000, 3)), ("alpha", (1, 20000))):
        save(adobe_root / "Training_set" / kind / "a.png", np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match=r"a\.png is 20000 x 1 pixels .* cut it into pieces, or leave it out"):
        build(adobe_root)


def test_names_that_differ_in_case(adobe_root):
    path = adobe_root / "Training_set" / "alpha" / "a.png"
    path.rename(path.with_name("A.png"))
    with pytest.raises(DataError, match=r"fg has no image for 1 name\(s\) of Training_set/alpha: A; it holds a, b"):
        build(adobe_root)


@pytest.mark.parametrize("dataset", ["adobe", "distinctions646", "alphamatting"])
def test_a_file_in_the_place_of_a_datasets_folder(tmp_path, dataset):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"there is no folder .*/file; .* holds file: set root"):
        build_data(compose([f"dataset={dataset}", f"dataset.root='{tmp_path / 'file'}'"]).dataset)


def test_a_home_folder_of_an_unknown_user():
    with pytest.raises(DataError, match=r"there is no folder .*~nobody-of-that-name/data"):
        build("~nobody-of-that-name/data")


@pytest.mark.parametrize("name", ["two words", "灰色 ñ", "it's", 'say "a"', "a,b=[$HOME]"])
def test_folders_of_any_name(adobe_root, tmp_path, name):
    """In single quotes, or in double quotes around an apostrophe, as in the README."""
    root = adobe_root.rename(tmp_path / name)
    quoted = f'"{root}"' if "'" in name else f"'{root}'"
    cfg = compose(["dataset=adobe", f"dataset.root={quoted}"])
    assert build_data(cfg.dataset).test_names == ["t_0"]


def test_more_is_asked_for_than_there_is(adobe_root):
    data = build(adobe_root, limit_train=1000, limit_test=1000)
    assert (len(data.layers), len(data.test)) == (2, 1)


def test_no_test_image_has_an_unknown_pixel(adobe_root, tmp_path):
    """Reported before the first step, not after an epoch."""
    save(adobe_root / "Test_set" / "trimaps" / "t_0.png", np.zeros((24, 20), np.uint8))
    given = ["dataset=adobe", f"dataset.root='{adobe_root}'", f"runtime.outputs='{tmp_path / 'out'}'"]
    with pytest.raises(DataError, match="none of the 1 test images of adobe has an unknown pixel"):
        run(compose(["scale=smoke", *given]))
    assert not (tmp_path / "out").exists()


def test_one_of_two_test_images_has_no_unknown_pixel(adobe_root, tmp_path):
    """It is named, has no metrics, and is left out of the mean."""
    test = adobe_root / "Test_set"
    shutil.copy(test / "merged" / "t_0.png", test / "merged" / "t_1.png")
    save(test / "trimaps" / "t_1.png", np.zeros((24, 20), np.uint8))
    given = ["dataset=adobe", f"dataset.root='{adobe_root}'", f"runtime.outputs='{tmp_path / 'out'}'"]
    row = ["experiment=table2/trimap_only", "scale=smoke", "runtime.progress=false"]
    result = run(compose([*row, *given]))
    assert result["undefined"] == ["t_1"]
    alone = run(compose([*row, *given, "dataset.limit_test=1"]))
    assert result["metrics"] == alone["metrics"]


class Broken(MattingNetwork):
    def forward(self, x):
        return torch.full_like(x[:, :1], float("nan"))


def test_predictions_of_nan(adobe_root, tmp_path):
    with pytest.raises(PredictionError, match=r"image 't_0': the network's prediction holds NaN"):
        evaluate(Broken(), build(adobe_root).test, compose([]).metrics, tmp_path / "predictions")
    assert not (tmp_path / "predictions").exists()


def test_an_image_that_a_classic_system_cannot_solve(adobe_root):
    model = build_model(compose(["model=closed_form"]))
    with pytest.raises(UnsolvableError, match=r"image 't_0': a trimap of 20 x 24 pixels is unknown everywhere"):
        evaluate(model, build(adobe_root).test, compose([]).metrics)


def test_more_samples_a_step_than_foregrounds(tmp_path):
    result = run(smoke(tmp_path, "trainer.batch_size=5", "dataset.limit_train=1", "trainer.iterations=1"))
    assert all(np.isfinite(value) for value in result["metrics"].values())
