"""Finished rows on another test set: measured once, several at a time, published with their training."""

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.runs import table_words

from a2u.apply.systems import System, load_system
from a2u.data.files.images import read_colour, read_trimap
from a2u.engine.evaluate import predict
from a2u.errors import ConfigError, DataError
from a2u.reproduce import evaluations as evaluations_module
from a2u.reproduce import launch, pages
from a2u.reproduce import rows as rows_module
from a2u.reproduce import table as table_module
from a2u.reproduce.evaluations import without_folders
from a2u.reproduce.published import published
from a2u.reproduce.table import PublishError, command_line, make_table, parse_request, publish

PAPER = published()["table6"]
TRIMAPS = ("Trimap1", "Trimap2", "Trimap3")
STUDY = ("test=study_test", "test.test_size=64", "test.test_images=2")
ROWS = "rows=[trimap_only,nearest]"


def make(outputs, *further):
    return make_table(*command_line(table_words(outputs, *further)))


def evaluations(outputs):
    """Every evaluation under `outputs`: file -> (when it was written, what it says)."""
    found = (outputs / "evaluate").rglob("result.json")
    return {path: (path.stat().st_mtime_ns, json.loads(path.read_text())) for path in found}


def shown(text):
    """Rows of the first table on a page: row -> its cells."""
    block = text.split("\n\n")[0].splitlines()
    return {line.split()[0]: line.split()[1:] for line in block}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("trained") / "outputs"
    assert make(outputs, ROWS) == 0
    return outputs


@pytest.fixture
def outputs(tmp_path, trained):
    """Outputs in which `nearest` is trained."""
    return shutil.copytree(trained, tmp_path / "outputs")


def test_finished_rows_are_measured_and_nothing_twice(outputs, capsys, monkeypatch):
    monkeypatch.setattr(launch, "run", None)  # nothing is trained
    assert make(outputs, ROWS, *STUDY) == 0
    first = capsys.readouterr()
    done = evaluations(outputs)
    assert len(done) == 2
    assert first.err.count("evaluated ") == 2
    (nearest,) = (result for _, result in done.values() if result["name"] == "nearest")
    digits = zip(nearest["metrics"].values(), (3, 4, 3, 3), strict=True)
    assert shown(first.out)["nearest"][:4] == [f"{value:.{places}f}" for value, places in digits]
    assert "Table 2 on study_test_64_2, trained on synthetic, scale smoke: 2 test images" in first.out
    assert nearest["config"]["dataset"]["seed"] == 20261126

    assert make(outputs, ROWS, *STUDY) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "evaluated" not in again.err
    assert evaluations(outputs) == done

    assert make(outputs, "rows=[trimap_only]", *STUDY, "runtime.force=true") == 0
    changed = {path.parent.name.split("-")[0] for path, kept in evaluations(outputs).items() if kept != done[path]}
    assert changed == {"trimap_only"}


def test_several_at_a_time_give_the_same_numbers(outputs, capsys):
    assert make(outputs, ROWS, *STUDY) == 0
    alone = capsys.readouterr().out
    shutil.rmtree(outputs / "evaluate")
    assert make(outputs, ROWS, *STUDY, "launcher=local", "jobs=2") == 0
    side_by_side = capsys.readouterr().out
    assert {row: cells[:4] for row, cells in shown(alone).items()} == {
        row: cells[:4] for row, cells in shown(side_by_side).items()
    }


def test_a_failed_evaluation_is_reported_and_does_not_stop_the_others(outputs, capsys, monkeypatch):
    whole = evaluations_module.evaluate_weights

    def fails(cfg):
        if cfg.system.name == "trimap_only":
            raise DataError("the disk fell out")
        return whole(cfg)

    monkeypatch.setattr(evaluations_module, "evaluate_weights", fails)
    assert make(outputs, ROWS, *STUDY) == 1
    said = capsys.readouterr()
    assert "FAILED trimap_only seed 0 on study_test_64_2: the disk fell out" in said.err
    assert "1 of 2 runs are not done" in said.err
    assert "missing, not finished: trimap_only" in said.out
    before = evaluations(outputs)
    monkeypatch.setattr(evaluations_module, "evaluate_weights", whole)
    assert make(outputs, ROWS, *STUDY) == 0
    assert capsys.readouterr().err.count("evaluated ") == 1
    assert before.items() <= evaluations(outputs).items()


def test_where_training_fails_the_other_rows_are_measured(tmp_path, capsys, monkeypatch):
    def fails(cfg):
        raise DataError("no more foregrounds")

    monkeypatch.setattr(launch, "run", fails)
    assert make(tmp_path / "outputs", ROWS, *STUDY) == 1
    said = capsys.readouterr()
    assert "FAILED nearest seed 0: no more foregrounds" in said.err
    assert set(shown(said.out)["nearest"]) == {"—"}
    assert "—" not in shown(said.out)["trimap_only"]


def test_a_run_of_another_table_is_not_run_again_and_its_weights_are_found(tmp_path, capsys, monkeypatch):
    outputs = tmp_path / "outputs"
    assert make(outputs, "rows=[a2u_dynamic_cs_d_norm]") == 0
    monkeypatch.setattr(launch, "run", None)
    assert make(outputs, "table=table6", "rows=[ours]", *STUDY) == 0
    assert {result["trained"]["table"] for _, result in evaluations(outputs).values()} == {"table2"}
    (result,) = outputs.glob("table2/**/result.json")
    next(outputs.rglob("last.pt")).unlink()
    assert make(outputs, "table=table6", "rows=[ours]", *STUDY) == 1
    assert f"are gone: remove {result}, and the row is trained again." in capsys.readouterr().err


def test_table_6_is_trained_on_all_data_where_there_are_two_parts():
    def run_on(*dataset):
        return parse_request(*command_line(["table=table6", "rows=[ours]", "scale=paper", *dataset])).runs[0]

    adobe = run_on("dataset=adobe", "dataset.root=/nowhere")
    assert adobe.cfg.dataset.split.name == "all"
    assert "dataset.split=all" in adobe.overrides  # of the process that trains
    assert "split" not in run_on().cfg.dataset


def test_photographs_with_true_alpha(outputs, shared, capsys, monkeypatch):
    folder = outputs.parent / "photographs"
    folder.mkdir()
    for name in ("input_training_lowres", "gt_training_lowres", "trimap_training_lowres"):
        (folder / name).symlink_to(shared / "data" / "alphamatting" / name)
    given = [ROWS, "test.trimap=Trimap2", "test.limit_test=1"]
    assert make(outputs, f"photographs='{folder}'", *given) == 0
    assert (
        "Table 2 on alphamatting_trimap2_1, trained on synthetic, scale smoke: 1 test image" in capsys.readouterr().out
    )
    results = [result for _, result in evaluations(outputs).values()]
    assert {result["config"]["dataset"]["trimap"] for result in results} == {"Trimap2"}
    assert {image["name"] for result in results for image in result["images"]} == {"GT01"}
    monkeypatch.chdir(outputs.parent)
    assert make(outputs, "photographs=photographs", *given) == 0
    assert "evaluated" not in capsys.readouterr().err  # the same folder by another path


@pytest.fixture
def photographs(tmp_path):
    """A folder with the benchmark's own photographs, small ones: known left and right, unknown between."""
    root, rng = tmp_path / "photographs", np.random.default_rng(0)
    for folder in ("input_lowres", *(f"trimap_lowres/{trimap}" for trimap in TRIMAPS)):
        (root / folder).mkdir(parents=True)
    for position, name in enumerate(PAPER["images"]):
        height, width = 33 + position, 41
        cv2.imwrite(str(root / "input_lowres" / f"{name}.png"), rng.integers(0, 256, (height, width, 3), np.uint8))
        for share, trimap in enumerate(TRIMAPS, start=2):
            known = np.full((height, width), 128, np.uint8)
            known[:, : width // 3 // share], known[:, -width // 3 // share :] = 0, 255
            cv2.imwrite(str(root / "trimap_lowres" / trimap / f"{name}.png"), known)
    return root


def test_an_archive_to_submit(tmp_path, photographs, capsys):
    outputs = tmp_path / "outputs"
    given = ["table=table6", "rows=[ours]", f"photographs='{photographs}'"]
    assert make(outputs, *given) == 0
    (path,) = outputs.rglob("*.zip")
    text = capsys.readouterr().out
    assert f"to be submitted to alphamatting.com: {path}" in text
    assert "Table 6 on synthetic" in text  # without true alphas, the dataset's own test images
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == sorted(
            f"{trimap}/{name}.png" for trimap in TRIMAPS for name in PAPER["images"]
        )
        model = load_system(System.checkpoint, str(next(outputs.rglob("last.pt")))).model
        for entry in archive.infolist():
            alpha = cv2.imdecode(np.frombuffer(archive.read(entry), np.uint8), cv2.IMREAD_UNCHANGED)
            image = read_colour(photographs / "input_lowres" / Path(entry.filename).name)
            trimap = read_trimap(photographs / "trimap_lowres" / entry.filename)
            np.testing.assert_array_equal(alpha, predict(model, image, trimap))
            assert (alpha.dtype, alpha.shape) == (np.uint8, trimap.shape)
    content, written = path.read_bytes(), path.stat().st_mtime_ns
    assert make(outputs, *given) == 0
    assert path.stat().st_mtime_ns == written
    path.unlink()
    assert make(outputs, *given) == 0
    assert path.read_bytes() == content
    path.unlink()
    coloured = photographs / "trimap_lowres" / "Trimap3" / "troll.png"
    coloured.write_bytes((photographs / "input_lowres" / "troll.png").read_bytes())
    capsys.readouterr()
    assert make(outputs, *given) == 1
    assert "FAILED ours seed 0, alphas to submit: " in (said := capsys.readouterr().err)
    assert "Trimap3/troll.png is coloured" in said
    assert not list(outputs.rglob("*.zip"))


@pytest.mark.parametrize(
    ("further", "error", "words"),
    [
        (["photographs=/nowhere/at/all"], DataError, "there is no folder /nowhere.*: set photographs to"),
        (["photographs={}/empty"], DataError, "has neither input_training_lowres nor input_lowres"),
        (["photographs={}/no_alpha"], DataError, "no folder .*gt_training_lowres"),
        (["table=table6", "photographs={}/seven"], DataError, r"has no image for 1 name\(s\) of Table 6: troll"),
        (["table=table6", "photographs={}/no_trimap"], DataError, r"Trimap2 has no image for 1 name\(s\) .*: net"),
        (["photographs={}/seven", "test=study_test"], ConfigError, "are those of test=alphamatting, not of test=study"),
        (["test=alphamating"], ConfigError, "no dataset 'alphamating'.* Did you mean 'alphamatting'"),
        (["test=alphamatting"], DataError, "root"),
        (["test.trimap=Trimap2"], ConfigError, "sets an option, but no test set is given: add test=NAME"),
        (["test=study_test", "test.sed=3"], ConfigError, "unknown configuration key .*sed"),
        (
            ["table=table6", "rows=[gca]"],
            ConfigError,
            "table6 has no row 'gca'; its rows: trimap_only, closed_form, knn",
        ),
    ],
)
def test_bad_input_ends_in_a_sentence_before_anything_is_written(tmp_path, photographs, further, error, words):
    outputs = tmp_path / "outputs"
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_alpha" / "input_training_lowres").mkdir(parents=True)
    for name in PAPER["images"]:
        shutil.copy(photographs / "input_lowres" / f"{name}.png", tmp_path / "no_alpha" / "input_training_lowres")
    shutil.copytree(photographs / "trimap_lowres", tmp_path / "no_alpha" / "trimap_training_lowres")
    for damaged in ("seven", "no_trimap"):
        shutil.copytree(photographs, tmp_path / damaged)
    (tmp_path / "no_trimap" / "trimap_lowres" / "Trimap2" / "net.png").unlink()
    for path in (tmp_path / "seven").rglob("troll.png"):
        path.unlink()
    with pytest.raises(error, match=words) as refused:
        make(outputs, "rows=[trimap_only]", *(word.format(tmp_path) for word in further))
    assert "\n" not in str(refused.value)
    assert not outputs.exists()


def set_dirty(outputs, dirty):
    """Uncommitted changes or none, in every evaluation and training."""
    for path in [*(outputs / "evaluate").rglob("result.json"), *outputs.glob("table*/**/result.json")]:
        content = json.loads(path.read_text())
        content["provenance"]["dirty"] = dirty
        path.write_text(json.dumps(content))


def test_publishing(outputs, tmp_path, monkeypatch, capsys):
    results = tmp_path / "results"
    for module in (pages, table_module):
        monkeypatch.setattr(module, "RESULTS", results)
    monkeypatch.setattr(pages, "REPOSITORY", tmp_path)
    monkeypatch.setattr(rows_module, "rows_of", lambda table: ["trimap_only", "nearest", "bilinear"])
    monkeypatch.setattr(table_module, "rows_of", lambda table: ["trimap_only", "nearest", "bilinear"])
    marker = "<!-- results/table2/synthetic/smoke/on_study_test_64_2/table.md -->"
    (tmp_path / "README.md").write_text(f"before\n{marker}\nold\n<!-- end -->\nafter\n")
    folder = results / "table2" / "synthetic" / "smoke" / "on_study_test_64_2"

    def publish_it(*further):
        return publish(*command_line(table_words(outputs, *STUDY, *further)))

    with pytest.raises(PublishError, match="not finished, nothing was published: trimap_only seed 0, nearest seed 0"):
        publish_it()
    assert make(outputs, ROWS, *STUDY) == 0
    with pytest.raises(PublishError, match="only a whole table is published"):
        publish_it("trainer.lr=0.5")
    set_dirty(outputs, True)
    with pytest.raises(PublishError, match=r"uncommitted changes.*: nearest seed 0\. Commit"):
        publish_it()
    set_dirty(outputs, False)
    one = next((outputs / "evaluate").rglob("trimap_only-*/result.json"))
    clean = one.read_text()
    one.write_text(clean.replace('"dirty": false', '"dirty": true'))
    with pytest.raises(PublishError, match=r"uncommitted changes.*: trimap_only seed 0"):
        publish_it()
    provenance = json.loads(clean)
    del provenance["provenance"]["data_sha256"]
    one.write_text(json.dumps(provenance))
    with pytest.raises(PublishError, match=r"without provenance, nothing was published: trimap_only seed 0"):
        publish_it()
    assert not results.exists()
    one.write_text(clean)

    capsys.readouterr()
    assert publish_it() == 0
    assert "not finished, and left out: bilinear seed 0" in capsys.readouterr().out
    nearest = json.loads((folder / "nearest" / "seed0.json").read_text())
    labels = ("table", "row", "dataset", "scale", "seed", "test", "best")
    assert [nearest[key] for key in labels] == ["table2", "nearest", "synthetic", "smoke", 0, "study_test_64_2", None]
    ran = json.loads(next(outputs.rglob("nearest/seed0-*/result.json")).read_text())
    assert nearest["trained"]["hash"] == ran["hash"]
    assert nearest["trained"]["provenance"]["commit"] == ran["provenance"]["commit"]
    assert str(tmp_path) not in (folder / "nearest" / "seed0.json").read_text()
    assert json.loads((folder / "trimap_only" / "seed0.json").read_text())["trained"] is None
    page = (folder / "table.md").read_text()
    assert "missing, not finished: bilinear, carafe" in page
    assert (tmp_path / "README.md").read_text() == f"before\n{marker}\n{page}<!-- end -->\nafter\n"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("photographs='/a b/c=d/alpha'", "photographs=alpha"),
        ("runtime.outputs=~me/out", "runtime.outputs=out"),
        ("../up/alpha", "alpha"),
        ("photographs=data/alpha", "photographs=data/alpha"),
        ("AMD EPYC / 2.5 GHz", "AMD EPYC / 2.5 GHz"),
        ("metrics.rounding=nearest", "metrics.rounding=nearest"),
    ],
)
def test_paths_are_published_by_their_last_part(given, kept):
    assert without_folders({"command": [given], "seed": 0}) == {"command": [kept], "seed": 0}
