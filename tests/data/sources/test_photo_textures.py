"""Generated alphas in the colours of photographs: deterministic, split, and as real as asked for."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.photographs import photograph, write_photographs
from omegaconf import OmegaConf

from a2u.data.composition1k.verify import verify
from a2u.data.files.images import write_png
from a2u.data.photo_textures.layers import TexturedBackgrounds, TexturedLayers
from a2u.data.photo_textures.pictures import extend_colours
from a2u.data.sampling.samples import TrainingSamples
from a2u.data.sampling.settings import SampleConfig
from a2u.data.sources.photo_textures import PhotoTexturesConfig
from a2u.errors import DataError

SAMPLES = SampleConfig(
    crop=48, resize_to=64, rotation_min_side=0, trimap_max=7, jitter=False, camera=True, brush=0.5, brush_max=9
)

# Of colours, alphas and trimaps of this generator.
CHECKSUM = "53462456bbd813eddee59850ca978a7bafb7e8df458fde7bf7ec2c9a63f06149"
LAYER = "7ca31e122e9d41ad"


@pytest.fixture
def cfg(tmp_path: Path) -> PhotoTexturesConfig:
    root = write_photographs(tmp_path / "photographs")
    sizes = {"train_layers": 3, "train_size": 64, "test_images": 5, "test_size": 64, "textures": 4}
    return PhotoTexturesConfig(root=str(root), cache=None, **sizes)


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def test_everything_follows_from_the_seed(cfg: PhotoTexturesConfig) -> None:
    data, again = cfg.build(), cfg.build()
    assert data.checksum() == again.checksum() == CHECKSUM
    samples, others = (TrainingSamples(each, SAMPLES, 7, 8) for each in (data, again))
    for index in (3, 0):
        one, other = samples[(0, index)], others[(0, index)]
        assert one["origin"] == other["origin"]
        assert all(torch.equal(one[part], other[part]) for part in ("foreground", "background", "trimap", "noise"))
    layer = data.layers[1]
    assert digest(layer.foreground, layer.alpha, data.backgrounds[2]) == LAYER
    assert replace(cfg, seed=1).build().checksum() != CHECKSUM


def test_photographs_to_validate_on_are_never_trained_on(cfg: PhotoTexturesConfig) -> None:
    data = cfg.build()
    layers, validated = data.layers, data.test.layers
    assert isinstance(layers, TexturedLayers)
    trained, held_out = set(layers.photographs.paths), set(validated.photographs.paths)
    assert not trained & held_out
    assert len(trained | held_out) == 6
    assert len(held_out) == 2  # at least, whatever the share
    assert data.layer_names == ["train_hair_0000", "train_net_0001", "train_leaf_0002", "cut"]
    assert len(layers) == 4 * 4
    assert {layers[index].name.partition(" of ")[0] for index in range(16)} == set(data.layer_names)
    assert [data.test[index].name for index in (0, 4)] == list(data.test_names)[::4]


def test_a_folder_is_verified(cfg: PhotoTexturesConfig) -> None:
    found = verify(OmegaConf.structured(cfg), deep=True)
    assert (found.problems, found.files) == ([], 7)
    assert found.counts == ["4 training photographs", "1 training cut-outs", "2 validation photographs"]
    opaque = np.dstack([photograph(7), np.full((80, 96), 255, np.uint8)])
    write_png(Path(str(cfg.root)) / "screenshot.png", opaque)
    assert "5 training photographs" in verify(OmegaConf.structured(cfg)).counts
    (Path(str(cfg.root)) / "photo1.png").write_bytes(b"")
    assert "photo1.png" in verify(OmegaConf.structured(cfg)).problems[0]


def test_the_same_photograph_can_be_on_both_sides(cfg: PhotoTexturesConfig) -> None:
    alike, drawn = (replace(cfg, like=like).build().backgrounds for like in (1.0, 0.0))
    assert isinstance(alike, TexturedBackgrounds)
    assert isinstance(drawn, TexturedBackgrounds)
    assert np.array_equal(drawn.behind(0, 3), drawn[3])
    assert not np.array_equal(alike.behind(0, 3), alike[3])
    assert np.array_equal(alike.behind(3, 3), alike[3])  # of a cut-out, whose photograph is not there


def test_colours_under_transparency_are_those_of_the_nearest_visible_pixel() -> None:
    colours = np.zeros((1, 5, 3), np.uint8)
    colours[0, :, 0] = (9, 50, 60, 70, 9)
    alpha = np.uint8([[0, 200, 255, 255, 0]])
    assert extend_colours(colours, alpha)[0, :, 0].tolist() == [50, 50, 60, 70, 70]


def test_bad_folders_get_a_sentence(cfg: PhotoTexturesConfig, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    few = write_photographs(tmp_path / "few", count=3)
    tiny = write_photographs(tmp_path / "tiny")
    write_png(tiny / "small.png", photograph(1, 20, 90))
    damaged = write_photographs(tmp_path / "damaged")
    (damaged / "x.jpg").write_bytes(b"no picture")
    for root, message in (
        (None, "photo_textures has no root: set it to a folder of photographs"),
        (tmp_path / "none", "there is no folder .*none"),
        (tmp_path / "empty", "empty holds no photograph"),
        (few, "3 photograph.s. without transparency, but at least 4 are needed"),
        (tiny, "small.png is 90 x 20 pixels; a photograph needs 64 a side"),
        (damaged, "x.jpg is damaged or not an image"),
    ):
        with pytest.raises(DataError, match=message):
            replace(cfg, root=root and str(root)).build()
