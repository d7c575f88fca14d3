"""Anybody's alphas, measured from the command line."""

import csv
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.matting_folders import matte, noise, save

from a2u.apply.measure import ENDINGS, TEXTS, measure
from a2u.config import as_typed, compose
from a2u.errors import ConfigError, DataError
from a2u.metrics import all_metrics

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure.py"


@pytest.fixture
def measuring(tmp_path):
    """Measure with words of the command line."""
    return lambda *words: measure(
        compose([as_typed(word, TEXTS) for word in [f"folder={tmp_path / 'm'}", *words]], "measure")
    )


def band(height, width):
    trimap = np.full((height, width), 128, np.uint8)
    trimap[: height // 2] = 0
    return trimap


def folders(root, *names):
    """Write three folders of pictures of these names; return the command line."""
    for seed, name in enumerate(names):
        save(root / "pred" / f"{name}.png", noise(20, 24, seed=seed))
        save(root / "alpha" / f"{name}.png", matte(20, 24, seed=100 + seed))
        save(root / "trimap" / f"{name}.png", band(20, 24))
    return [f"predictions={root / 'pred'}", f"truth={root / 'alpha'}", f"trimaps={root / 'trimap'}"]


def composition_1k(root, *names):
    """Write the test part of Composition-1k with two foregrounds, and predictions of these names."""
    test = root / "Test_set"
    for foreground in ("cat", "dog_2"):
        save(test / "alpha" / f"{foreground}.png", matte(20, 24))
        for k in range(2):
            save(test / "merged" / f"{foreground}_{k}.png", noise(20, 24, 3))
            save(test / "trimaps" / f"{foreground}_{k}.png", band(20, 24))
    for seed, name in enumerate(names):
        save(root / "pred" / f"{name}.png", noise(20, 24, seed=seed))
    return [f"predictions={root / 'pred'}", "dataset=adobe", f"dataset.root={root}"]


def cases_of(table):
    with table.open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file)]


def copied(source, cases, root):
    """Copy cases into a folder per kind, under plain names."""
    for case in cases:
        for folder, kind in (("p", "pred"), ("a", "alpha"), ("t", "trimap")):
            (root / folder).mkdir(exist_ok=True)
            shutil.copy(source / f"{case}_{kind}.png", root / folder / f"{case}.png")
    return [f"predictions={root / 'p'}", f"truth={root / 'a'}", f"trimaps={root / 't'}"]


def test_alphas_of_16_bits_and_floats_on_request(measuring, tmp_path):
    words = folders(tmp_path, "cat", "dog")
    expected = measuring(*words).metrics["matlab"].images
    cat, dog = (tmp_path / "pred" / f"{name}.png" for name in ("cat", "dog"))
    save(cat, cv2.imread(str(cat), cv2.IMREAD_UNCHANGED) * np.uint16(257))
    save(dog.with_suffix(".tif"), cv2.imread(str(dog), cv2.IMREAD_UNCHANGED) / np.float32(255))
    dog.unlink()
    truth = tmp_path / "alpha" / "cat.png"
    save(truth, cv2.imread(str(truth), cv2.IMREAD_UNCHANGED) * np.uint16(257))
    assert measuring(*words, "deep_alphas=true").metrics["matlab"].images == expected
    with pytest.raises(
        DataError, match="bits a channel; convert it to 8 bits a channel, or, if it is an alpha, give deep"
    ):
        measuring(*words)


def test_the_figures_of_the_matlab_program(measuring, shared, tmp_path, assert_reference):
    """Of the fixtures as they are, in one folder, and of three folders."""
    source = shared / "fixtures" / "metrics"
    cases = cases_of(source / "expected.csv")
    together = measuring(*(f"{kind}={source}" for kind in ENDINGS))
    apart = measuring(*copied(source, cases, tmp_path), "jobs=1")
    assert together.problems == apart.problems == []
    assert list(together.metrics) == ["matlab"]
    assert together.metrics["matlab"].images == apart.metrics["matlab"].images
    assert sorted(together.metrics["matlab"].images) == sorted(cases)
    for case in cases:
        assert_reference(together.metrics["matlab"].images[case], source / "expected.csv", case)


def test_the_figures_of_the_python_program_next_to_them(measuring, reference, assert_reference):
    source = reference / "metrics"
    found = measuring(*(f"{kind}={source}" for kind in ENDINGS), "program=released_python")
    assert [path.name for path in found.files] == ["metrics.csv", "metrics_released_python.csv"]
    for case in found.metrics["matlab"].images:
        assert_reference(found.metrics["matlab"].images[case], source / "expected.csv", case)
        assert_reference(found.metrics["released_python"].images[case], source / "released_python.csv", case)


def typed(words, monkeypatch, capsys):
    """Return what the script printed, and its exit status."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
    status = 0
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as stopped:
        status = stopped.code
    return capsys.readouterr(), status


def test_what_is_printed_and_written(tmp_path, monkeypatch, capsys):
    words = [*folders(tmp_path, "a", "b"), f"folder={tmp_path / 'm'}"]
    printed, status = typed(words, monkeypatch, capsys)
    assert status == 0
    values = [all_metrics(noise(20, 24, seed=k), matte(20, 24, seed=100 + k), band(20, 24)) for k in range(2)]
    lines = [line.split() for line in printed.out.splitlines()]
    assert lines[0] == ["SAD", "MSE", "Grad", "Conn"]
    assert lines[2:4] == [[name, *(f"{v:.6g}" for v in each.values())] for name, each in zip("ab", values, strict=True)]
    assert lines[4] == ["mean", "of", "2", *(f"{(values[0][m] + values[1][m]) / 2:.6g}" for m in values[0])]
    rows = list(csv.DictReader((tmp_path / "m" / "metrics.csv").open(newline="")))
    assert [float(rows[1][name]) for name in values[1]] == list(values[1].values())


def test_what_is_missing_misnamed_or_damaged_is_named_and_the_rest_measured(tmp_path, monkeypatch, capsys):
    words = [*folders(tmp_path, "apple", "pear", "plum", "fig"), f"folder={tmp_path / 'm'}"]
    (tmp_path / "pred" / "apple.png").rename(tmp_path / "pred" / "aple.png")
    save(tmp_path / "pred" / "plum.png", noise(5, 5))
    (tmp_path / "trimap" / "fig.png").unlink()
    printed, status = typed(words, monkeypatch, capsys)
    assert status == 1
    assert "mean of 1 " in printed.out
    assert "aple.png has no partner of its name in truth and trimaps. Did you mean 'apple'?" in printed.err
    assert "fig.png has no partner of its name in trimaps." in printed.err
    assert "plum.png is 5 x 5" in printed.err
    assert "1 of truth without a prediction: apple." in printed.err


def test_composition_1k_by_its_layout_and_by_its_names(measuring, tmp_path):
    names = ("cat_0", "cat_1", "dog_2_0", "dog_2_1")
    words = composition_1k(tmp_path, *names)
    of_dataset, test = measuring(*words), tmp_path / "Test_set"
    of_folders = measuring(words[0], f"truth={test / 'alpha'}", f"trimaps={test / 'trimaps'}")
    assert of_dataset.problems == of_folders.problems == []
    assert of_dataset.metrics["matlab"].images == of_folders.metrics["matlab"].images
    expected = all_metrics(noise(20, 24, seed=3), matte(20, 24), band(20, 24))
    assert of_dataset.metrics["matlab"].images["dog_2_1"] == expected


def test_a_dataset_names_what_is_missing_and_what_is_none_of_its_images(measuring, tmp_path):
    found = measuring(*composition_1k(tmp_path, "cat_0", "cat_7", "dog_2_1"))
    assert list(found.metrics["matlab"].images) == ["cat_0", "dog_2_1"]
    assert [problem.partition("pred/")[2] or problem for problem in found.problems] == [
        "cat_7.png is none of the test images of adobe. Did you mean 'cat_1'?",
        "2 of adobe without a prediction: cat_1, dog_2_0.",
    ]


def test_a_file_that_two_names_claim_is_refused(measuring, tmp_path):
    words = folders(tmp_path, "a", "a_1", "b")
    assert len(measuring(*words).metrics["matlab"].images) == 3  # every file has a partner of its own name
    (tmp_path / "alpha" / "a_1.png").unlink()
    with pytest.raises(DataError, match=r"a\.png could belong to a and, by Composition-1k's names, to a_1: rename one"):
        measuring(*words)


def test_endings_of_names_count_where_no_names_agree(measuring, tmp_path):
    """As of a folder that scripts/predict.py wrote; not where a name itself ends so."""
    words = folders(tmp_path, "const_pred", "other")
    plain = measuring(*words).metrics["matlab"].images
    assert list(plain) == ["const_pred", "other"]
    for path in list((tmp_path / "pred").iterdir()):
        path.rename(path.with_stem(f"{path.stem}_alpha"))
        save(tmp_path / "pred" / f"{path.stem}_cutout.png", noise(20, 24, 4))
    assert measuring(*words).metrics["matlab"].images == plain


def test_single_files_belong_together_whatever_their_names(measuring, tmp_path):
    words = folders(tmp_path, "a")
    (tmp_path / "alpha" / "a.png").rename(tmp_path / "alpha" / "truth of a.png")
    files = (f"{word}/a.png" if not word.startswith("truth") else f"{word}/truth of a.png" for word in words)
    assert list(measuring(*files).metrics["matlab"].images) == ["a"]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ([], ConfigError, "give either truth=DIR and trimaps=DIR, or dataset=NAME"),
        (["truth={root}/alpha"], ConfigError, "give either truth=DIR and trimaps=DIR"),
        (["truth={root}/alpha", "trimaps={root}/trimap", "dataset=adobe"], ConfigError, "give either"),
        (["dataset=mnist5k"], ConfigError, "dataset=mnist5k has no alphas"),
        (["truth={root}/alpha", "trimaps={root}/other"], DataError, "no prediction belongs to .* has a, truth=.* a, t"),
        (["truth={root}/alpha", "trimaps={root}/alpha"], DataError, r"nothing could be measured:\n.* 128 \(unknown\)"),
    ],
)
def test_what_cannot_be_measured_is_refused(measuring, tmp_path, change, error, sentence):
    words = folders(tmp_path, "a")
    save(tmp_path / "other" / "b.png", band(20, 24))
    with pytest.raises(error, match=f"(?s){sentence}"):
        measuring(words[0], *(word.format(root=tmp_path) for word in change))
    assert not (tmp_path / "m").exists()


def test_trimaps_of_other_values_on_request(measuring, tmp_path):
    words = folders(tmp_path, "a")
    expected = measuring(*words).metrics["matlab"].images
    save(tmp_path / "trimap" / "a.png", band(20, 24) // 128)  # 0 and 1
    assert measuring(*words, "trimap_values=nearest").metrics["matlab"].images == expected
    with pytest.raises(DataError, match=r"holds the value\(s\) 1;"):
        measuring(*words)
    with pytest.raises(ConfigError, match="is for trimaps=DIR"):
        measuring(words[0], "dataset=adobe", "trimap_values=nearest")
