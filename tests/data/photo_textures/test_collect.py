"""Photographs are collected with their licences; drawings, near-duplicates and tiny pictures are not."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.photographs import photograph, write_photographs

from a2u.data.files.images import write_png
from a2u.data.photo_textures import collect as module
from a2u.data.photo_textures.collect import collect
from a2u.errors import ConfigError, DataError


def test_a_folder_is_collected_with_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_SIDE", 70)
    folder = write_photographs(tmp_path / "mine", count=2)
    write_png(folder / "again" / "photo0.png", cv2.resize(photograph(0), (90, 75)))  # a near-duplicate
    write_png(folder / "other" / "photo1.png", photograph(7))  # another picture of the same name
    write_png(folder / "small.png", photograph(3, 60, 60))
    write_png(folder / "drawing.png", cv2.circle(np.full((90, 90, 3), 200, np.uint8), (40, 40), 20, (0, 0, 255), -1))
    found = collect(tmp_path / "to", [str(folder)], "mine", debian=False, samples=False)
    assert (found.photographs, found.cutouts) == (3, 1)
    assert found.skipped == {"near-duplicate": 1, "tiny": 1, "drawing": 1}
    with (tmp_path / "to" / "sources.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["file"] for line in lines} | {"sources.csv"} == {path.name for path in (tmp_path / "to").iterdir()}
    assert {line["licence"] for line in lines} == {"mine"}
    assert {line["original"] for line in lines} >= {"other/photo1.png", "cut.png"}
    with pytest.raises(ConfigError, match="to is not an empty folder"):
        collect(tmp_path / "to", [], "", debian=False, samples=False)


def test_what_is_missing_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*none"):
        collect(tmp_path / "to", [str(tmp_path / "none")], "", debian=False, samples=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match=r"need apt-get and dpkg.*debian=false"):
        collect(tmp_path / "to", [], "", debian=True, samples=False)
    assert not (tmp_path / "to").exists()
