"""Small datasets in each of the folder layouts, complete until a test changes them."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save, sources

from a2u.data.composition1k import compose
from a2u.data.sources.adobe import AdobeConfig
from a2u.data.sources.alphamatting import AlphamattingConfig
from a2u.data.sources.distinctions646 import Distinctions646Config


def put_test_part(folder: Path) -> None:
    save(folder / "merged" / "t_0.png", noise(24, 20, 3))
    save(folder / "trimaps" / "t_0.png", np.full((24, 20), 128, np.uint8))


@pytest.fixture
def adobe_root(tmp_path):
    root = tmp_path / "adobe"
    for name in ("a", "b"):
        save(root / "Training_set" / "fg" / f"{name}.png", noise(24, 24, 3))
        save(root / "Training_set" / "alpha" / f"{name}.png", matte(24, 24))
    save(root / "Training_set" / "bg" / "p.png", noise(30, 30, 3))
    put_test_part(root / "Test_set")
    save(root / "Test_set" / "alpha" / "t.png", matte(24, 20))
    return root


@pytest.fixture
def distinctions_root(tmp_path):
    root = tmp_path / "distinctions"
    save(root / "Train" / "FG" / "a.png", noise(24, 24, 3))
    save(root / "Train" / "GT" / "a.png", matte(24, 24))
    save(root / "Train" / "bg" / "p.png", noise(30, 30, 3))
    put_test_part(root / "Test")
    save(root / "Test" / "GT" / "t.png", matte(24, 20))
    return root


@pytest.fixture
def photographs_root(tmp_path):
    root = tmp_path / "photographs"
    save(root / "input_training_lowres" / "GT01.png", noise(24, 20, 3))
    save(root / "gt_training_lowres" / "GT01.png", matte(24, 20))
    save(root / "trimap_training_lowres" / "Trimap1" / "GT01.png", np.full((24, 20), 128, np.uint8))
    return root


@pytest.fixture
def sources_root(tmp_path):
    """The sources of composites."""
    return sources(tmp_path / "sources" / "Test_set")


def build_adobe(root, **options):
    return AdobeConfig(root=str(root), **options).build()


def build_other(kind, root):
    return kind(root=str(root)).build()


@pytest.fixture
def builders(adobe_root, distinctions_root, photographs_root, sources_root):
    """One image of a pair in each folder, and a function that reads the folder."""
    return {
        adobe_root / "Training_set" / "alpha" / "a.png": lambda: build_adobe(adobe_root),
        adobe_root / "Test_set" / "trimaps" / "t_0.png": lambda: build_adobe(adobe_root),
        distinctions_root / "Train" / "FG" / "a.png": lambda: build_other(Distinctions646Config, distinctions_root),
        photographs_root / "gt_training_lowres" / "GT01.png": lambda: build_other(AlphamattingConfig, photographs_root),
        sources_root / "Test_set" / "fg" / "b.png": lambda: compose.plan(sources_root),
    }


@pytest.fixture
def forbidden():
    """A folder that this process may not read inside `with forbidden() as folder`, whoever runs the tests."""
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o755)
    folder = outer / "forbidden"
    folder.mkdir()
    folder.chmod(0)

    @contextmanager
    def as_nobody():
        if os.geteuid() != 0:
            yield folder
            return
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)

    yield as_nobody
    folder.chmod(0o700)
    shutil.rmtree(outer)
