"""Distinctions-646: its folders, and a test set that is composed as Composition-1k is."""

import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save, sources

from a2u.config import compose
from a2u.data import build_data
from a2u.data.composition1k.compose import make, plan
from a2u.data.files.layout import Split
from a2u.data.sources.distinctions646 import Distinctions646Config
from a2u.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Three training foregrounds, one of them named like a test foreground; sources of the test set."""
    for seed, name in enumerate(("13(2)", "b", "h_1")):
        save(tmp_path / "Train/FG" / f"{name}.png", noise(20, 30, 3, seed=seed))
        save(tmp_path / "Train/GT" / f"{name}.png", matte(20, 30, seed=seed))
    save(tmp_path / "Train/train2014/p.jpg", noise(9, 9, 3))
    return sources(tmp_path / "Test", "FG", "GT", "{}_test.txt")


def build(root, **options):
    return Distinctions646Config(root=str(root), **options).build()


def test_composed_and_read(root):
    assert make(plan(root, trimaps=29)).made == 6
    data = build_data(compose(["dataset=distinctions646", f"dataset.root='{root}'"]).dataset)
    assert len(data.layers) == 3
    assert data.layers[0].name == "13(2)"
    assert len(data.backgrounds) == 1
    assert data.test_names == ["a_1_0", "a_1_1", "a_1_2", "b_0", "b_1", "b_2"]
    assert [case.image.shape for case in data.test] == [(24, 20, 3)] * 3 + [(30, 40, 3)] * 3
    np.testing.assert_array_equal(data.test[3].alpha, matte(30, 40, seed=10))
    assert set(np.unique(data.test[3].trimap)) <= {0, 128, 255}


def test_a_different_foreground_of_the_same_name_gets_another_name(root):
    make(plan(root, trimaps=29))
    assert build(root).layer_names == ["13(2)", "Train/b", "h_1"]
    save(root / "Train/FG/b.png", noise(30, 40, 3))
    save(root / "Train/GT/b.png", matte(30, 40, seed=10))  # now the test foreground itself
    assert build(root).layer_names == ["13(2)", "b", "h_1"]


def test_training_on_all_data(root):
    make(plan(root, trimaps=29))
    data = build(root, split=Split.all)
    assert data.layer_names == ["13(2)", "Train/b", "h_1", "a_1", "b"]
    assert [layer.alpha.shape for layer in data.layers] == [(20, 30)] * 3 + [(24, 20), (30, 40)]


def test_the_authors_own_composites(root):
    """They are numbered consecutively, and each has its own alpha."""
    for index in range(2):
        for folder, pixels in (
            ("Image", noise(8, 9, 3)),
            ("GT", matte(8, 9)),
            ("trimap", np.full((8, 9), 128, np.uint8)),
        ):
            save(root / "Test" / folder / f"test_{index}.png", pixels)
    data = build(root)
    assert data.test_names == ["test_0", "test_1"]
    np.testing.assert_array_equal(data.test[1].alpha, matte(8, 9))


def test_missing_composites_and_trimaps_are_explained(root):
    with pytest.raises(DataError, match=r"no folder .*Test/merged; .*`python scripts/data.py compose` makes the comp"):
        build(root)
    make(plan(root))
    with pytest.raises(DataError, match=r"no folder .*Test/trimaps; .*compose trimaps=29` makes them"):
        build(root)


def test_no_backgrounds(root):
    make(plan(root, trimaps=29))
    (root / "Train/train2014").rename(root / "coco")
    with pytest.raises(DataError, match=r"Train has neither train2014 nor bg, the background pictures"):
        build(root)
    assert len(build(root, backgrounds="coco").backgrounds) == 1
