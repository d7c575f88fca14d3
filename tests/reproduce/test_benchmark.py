"""Table 6: measured where there is a true alpha, quoted where there is none, never both in one column."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from a2u.apply.systems import System, load_system
from a2u.data.files.images import read_colour, read_trimap
from a2u.engine.evaluate import predict
from a2u.engine.identity import finished
from a2u.errors import ConfigError, DataError
from a2u.reproduce import benchmark, launch
from a2u.reproduce import rows as rows_module
from a2u.reproduce import table as table_module
from a2u.reproduce.benchmark_page import measured_cells, page, quoted_cells
from a2u.reproduce.benchmark_sets import parse_request
from a2u.reproduce.published import QUOTED, lines_of, metrics_of, printed, published, rows_of
from a2u.reproduce.table import PublishError, command_line, make_table

ROOT = Path(__file__).parents[2]
TINY = "dataset.test_size=64"
PAPER = published()["table6"]
TRIMAPS = ("Trimap1", "Trimap2", "Trimap3")


def arguments(outputs, *further):
    return [
        "table=table6",
        "launcher=inline",
        "scale=smoke",
        f"runtime.outputs='{outputs}'",
        f"dataset.cache='{outputs.parents[1] / 'cache-of-table6'}'",  # the tests share it
        "runtime.threads=1",
        "runtime.device=cpu",
        *further,
    ]


def make(outputs, *further):
    return benchmark.make_table(*command_line(arguments(outputs, *further)))


def evaluations(outputs):
    """Every evaluation under `outputs`: file -> (when it was written, what it says)."""
    found = (outputs / "evaluate").rglob("result.json")
    return {path: (path.stat().st_mtime_ns, json.loads(path.read_text())) for path in found}


def shown(text):
    """Rows of the measured table on a page: row -> its cells."""
    block = text.split("\n\n")[0].splitlines()
    return {line.split()[0]: line.split()[1:] for line in block[3:]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("trained") / "outputs"
    assert make(outputs, TINY, "rows=[ours]") == 0
    return outputs


@pytest.fixture
def outputs(tmp_path, trained):
    """Outputs in which `ours` is trained and measured on generated images."""
    return shutil.copytree(trained, tmp_path / "outputs")


@pytest.fixture
def two_rows(monkeypatch):
    """The whole table, shorter."""
    monkeypatch.setattr(rows_module, "rows_of", lambda table: ["trimap_only", "ours"])


def test_every_row_on_three_widths_of_trimap_and_nothing_twice(tmp_path, capsys):
    outputs = tmp_path / "outputs"
    assert make(outputs, TINY) == 0
    first = capsys.readouterr()
    rows = shown(first.out)
    assert list(rows) == rows_of("table6") == ["trimap_only", "closed_form", "knn", "ours"]
    assert first.err.count("evaluated ") == 12
    done = evaluations(outputs)
    assert len(done) == 12
    assert len({result["provenance"]["data_sha256"] for _, result in done.values()}) == 3
    for row, cells in rows.items():
        mine = {r["config"]["dataset"]["trimap"]: r["metrics"] for _, r in done.values() if r["name"] == row}
        assert cells[:-2] == [
            f"{value:.{4 if name == 'mse' else 3}f}" for w in (5, 15, 29) for name, value in mine[w].items()
        ]
    assert "Small 5 pixels, Middle 15 pixels, Large 29 pixels" in first.out
    assert not list(outputs.glob("table6/synthetic/smoke/synthetic.*"))  # overrides do not take the table's place

    assert make(outputs, TINY) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "evaluated" not in again.err
    assert evaluations(outputs) == done

    assert make(outputs, TINY, "rows=[trimap_only]", "runtime.force=true") == 0
    assert capsys.readouterr().err.count("evaluated trimap_only") == 3
    changed = {path for path, kept in evaluations(outputs).items() if kept != done[path]}
    assert {path.parent.name.split("-")[0] for path in changed} == {"trimap_only"}
    assert len(changed) == 3


def test_a_failed_row_is_told_and_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    outputs, whole = tmp_path / "outputs", benchmark.evaluate_weights

    def fails(cfg):
        if cfg.system.name == "closed_form" and cfg.dataset.trimap == 15:
            raise DataError("the disk fell out")
        return whole(cfg)

    monkeypatch.setattr(benchmark, "evaluate_weights", fails)
    rows = "rows=[trimap_only,closed_form]"
    assert make(outputs, TINY, rows) == 1
    told = capsys.readouterr()
    assert "FAILED closed_form seed 0 on synthetic_middle: the disk fell out" in told.err
    assert "1 of 6 runs are not done" in told.err
    cells = shown(told.out)["closed_form"]
    assert cells[4:8] == ["—"] * 4
    assert "—" not in cells[:4] + cells[8:] + shown(told.out)["trimap_only"]
    before = evaluations(outputs)
    assert len(before) == 5

    monkeypatch.setattr(benchmark, "evaluate_weights", whole)
    assert make(outputs, TINY, rows) == 0
    assert capsys.readouterr().err.count("evaluated ") == 1
    assert before.items() <= evaluations(outputs).items()


def test_where_training_fails_the_other_rows_are_measured(tmp_path, capsys, monkeypatch):
    def fails(cfg):
        raise DataError("no more foregrounds")

    monkeypatch.setattr(launch, "run", fails)
    assert make(tmp_path / "outputs", TINY, "rows=[trimap_only,ours]") == 1
    told = capsys.readouterr()
    assert "FAILED ours seed 0: no more foregrounds" in told.err
    assert set(shown(told.out)["ours"]) == {"—"}
    assert "—" not in shown(told.out)["trimap_only"]


def test_a_run_of_another_table_is_not_run_again_and_its_weights_are_found(tmp_path, capsys, monkeypatch):
    outputs = tmp_path / "outputs"
    given = [word for word in arguments(outputs, TINY) if word != "table=table6"]
    assert make_table(*command_line(["table=table2", "rows=[a2u_dynamic_cs_d_norm]", *given])) == 0
    monkeypatch.setattr(launch, "run", None)
    assert make(outputs, TINY, "rows=[ours]") == 0
    assert {result["trained"]["table"] for _, result in evaluations(outputs).values()} == {"table2"}
    (result,) = finished(outputs).values()
    next(outputs.rglob("last.pt")).unlink()
    assert make(outputs, TINY, "rows=[ours]") == 1
    told = capsys.readouterr().err
    assert f"are gone: remove {result['path']}, and the row is trained again." in told


def test_every_seed_of_the_trained_row_is_measured(outputs, capsys):
    assert make(outputs, TINY, "rows=[trimap_only,ours]", "seeds=2") == 0
    text = capsys.readouterr().out
    names = [result["name"] for _, result in evaluations(outputs).values()]
    assert (names.count("ours"), names.count("trimap_only")) == (6, 3)
    assert "±" in shown(text)["ours"]
    assert "±" not in shown(text)["trimap_only"]
    assert "2 seeds (mean ± standard deviation)" in text


def test_the_papers_model_is_trained_on_all_data_where_there_are_two_parts():
    def run_on(*dataset):
        return parse_request(*command_line(["table=table6", "rows=[ours]", "scale=paper", *dataset])).runs[0]

    adobe = run_on("dataset=adobe", "dataset.root=/nowhere")
    assert adobe.cfg.dataset.split.name == "all"
    assert "dataset.split=all" in adobe.overrides  # of the process that trains
    assert "split" not in run_on().cfg.dataset


def test_photographs_with_true_alpha(tmp_path, shared, capsys, monkeypatch):
    outputs, folder = tmp_path / "outputs", tmp_path / "photographs"
    folder.mkdir()
    for name in ("input_training_lowres", "gt_training_lowres", "trimap_training_lowres"):
        (folder / name).symlink_to(shared / "data" / "alphamatting" / name)
    given = [f"photographs='{folder}'", "rows=[trimap_only,ours]", "dataset.limit_test=1"]
    assert make(outputs, *given) == 0
    text = capsys.readouterr().out
    assert "1 images, each with two trimaps" in text
    assert len(shown(text)["ours"]) == 2 * 4 + 2
    results = [result for _, result in evaluations(outputs).values()]
    assert {result["config"]["dataset"]["trimap"] for result in results} == {"Trimap1", "Trimap2"}
    assert {image["name"] for result in results for image in result["images"]} == {"GT01"}
    assert not list(outputs.rglob("*.zip"))
    monkeypatch.chdir(tmp_path)
    assert make(outputs, "photographs=photographs", *given[1:]) == 0  # the same folder by another path
    assert "evaluated" not in capsys.readouterr().err


@pytest.fixture
def photographs(tmp_path):
    """A folder with the benchmark's own photographs, small ones: known left and right, unknown between."""
    root, rng = tmp_path / "photographs", np.random.default_rng(0)
    for folder in ("input_lowres", *(f"trimap_lowres/{trimap}" for trimap in TRIMAPS)):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(PAPER["images"]):
        height, width = 33 + number, 41
        cv2.imwrite(str(root / "input_lowres" / f"{name}.png"), rng.integers(0, 256, (height, width, 3), np.uint8))
        for share, trimap in enumerate(TRIMAPS, start=2):
            known = np.full((height, width), 128, np.uint8)
            known[:, : width // 3 // share], known[:, -width // 3 // share :] = 0, 255
            cv2.imwrite(str(root / "trimap_lowres" / trimap / f"{name}.png"), known)
    return root


def test_an_archive_to_submit(outputs, photographs, capsys):
    given = [TINY, "rows=[ours]", f"photographs='{photographs}'"]
    assert make(outputs, *given) == 0
    (path,) = outputs.rglob("*.zip")
    text = capsys.readouterr().out
    assert f"to be submitted to alphamatting.com: {path}" in text
    assert "dataset=synthetic" in text  # without true alphas, measured on generated images
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


def test_an_archive_that_cannot_be_made_is_told(outputs, photographs, capsys):
    (photographs / "trimap_lowres" / "Trimap3" / "troll.png").write_bytes(
        (photographs / "input_lowres" / "troll.png").read_bytes()
    )
    assert make(outputs, TINY, "rows=[ours]", f"photographs='{photographs}'") == 1
    assert "FAILED ours seed 0, alphas to submit: " in (told := capsys.readouterr().err)
    assert "Trimap3/troll.png is coloured" in told
    assert not list(outputs.rglob("*.zip"))


@pytest.mark.parametrize(
    ("further", "error", "words"),
    [
        (["photographs=/nowhere/at/all"], DataError, "there is no folder /nowhere.*: set photographs to"),
        (["photographs={}/empty"], DataError, "has neither input_training_lowres nor input_lowres"),
        (["photographs={}/no_alpha"], DataError, "no folder .*gt_training_lowres"),
        (["photographs={}/seven"], DataError, r"input_lowres has no image for 1 name\(s\) of Table 6: troll"),
        (["photographs={}/no_trimap"], DataError, r"Trimap2 has no image for 1 name\(s\) of input_lowres: net"),
        (["rows=[gca]"], ConfigError, "table6 has no row 'gca'; its rows: trimap_only, closed_form, knn, ours"),
        (["dataset.trimap=0"], ConfigError, "trimap is 0; it has to be at least 1"),
        (["upsampler=carafe"], ConfigError, "whose rows set upsampler"),
        (["baseline=knn"], ConfigError, "baseline=knn has no meaning for table6"),
    ],
)
def test_bad_input_ends_in_a_sentence_before_anything_is_written(tmp_path, photographs, further, error, words):
    outputs = tmp_path / "outputs"
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_alpha" / "input_training_lowres").mkdir(parents=True)
    for name in PAPER["images"]:
        shutil.copy(photographs / "input_lowres" / f"{name}.png", tmp_path / "no_alpha" / "input_training_lowres")
    trimaps = tmp_path / "no_alpha" / "trimap_training_lowres"
    shutil.copytree(photographs / "trimap_lowres", trimaps)
    for damaged in ("seven", "no_trimap"):
        shutil.copytree(photographs, tmp_path / damaged)
    (tmp_path / "no_trimap" / "trimap_lowres" / "Trimap2" / "net.png").unlink()
    for path in (tmp_path / "seven").rglob("troll.png"):
        path.unlink()
    with pytest.raises(error, match=words) as refused:
        make(outputs, *(word.format(tmp_path) for word in further))
    assert "\n" not in str(refused.value)
    assert not outputs.exists()


def test_the_quoted_table_is_the_papers():
    header, lines = quoted_cells()
    assert header[:5] == ["method", "rank", "rank S", "rank L", "rank U"]
    assert header[5:] == [f"grad {image}" for image in PAPER["images"]]
    rows = {cells[0].removesuffix(" (quoted)"): cells[1:] for cells in lines}
    assert list(rows) == ["ours", "adamatting", "gca", "context_aware"]
    for row, cells in rows.items():
        assert [float(cell) for cell in cells[:4]] == PAPER[row]["rank"]
        assert [[float(number) for number in cell.split(" / ")] for cell in cells[4:]] == PAPER[row]["grad"]


def test_no_column_holds_measured_and_printed_numbers():
    rows = rows_of("table6")
    nothing = {f"synthetic_{kind}": {row: [] for row in rows} for kind in ("small", "middle", "large")}
    header, lines = measured_cells("synthetic", nothing)
    assert [cells[0] for cells in lines] == rows
    assert {cell for cells in lines for cell in cells[1:]} == {"—"}  # what was not measured is not printed either
    assert not [head for head in header if "printed" in head or "rank" in head]
    assert all(cells[0].endswith("(quoted)") for cells in quoted_cells()[1])
    markdown = page("synthetic", "lite", nothing)[1]
    tables = [block for block in markdown.split("\n\n") if block.startswith("|")]
    assert [("(quoted)" in table, "SAD" in table) for table in tables] == [(False, True), (True, False)]


def test_what_the_other_parts_know_of_table_6():
    assert metrics_of("table6") == ["sad", "mse", "grad", "conn"]
    assert lines_of("table6") == [*rows_of("table6"), *QUOTED["table6"]]
    assert printed("table6", "ours") == {}


def set_dirty(outputs, dirty):
    """Uncommitted changes or none, in every evaluation and in the training."""
    for path in [*(outputs / "evaluate").rglob("result.json"), *outputs.rglob("seed*/result.json")]:
        content = json.loads(path.read_text())
        content["provenance"]["dirty"] = dirty
        path.write_text(json.dumps(content))


def test_publishing(tmp_path, monkeypatch, two_rows):
    outputs, results = tmp_path / "outputs", tmp_path / "results"
    monkeypatch.setattr(benchmark, "RESULTS", results)
    monkeypatch.setattr(benchmark, "REPOSITORY", tmp_path)
    monkeypatch.setattr(table_module, "REPOSITORY", tmp_path)
    marker = "<!-- results/table6/synthetic/smoke/table.md -->"
    (tmp_path / "README.md").write_text(f"before\n{marker}\nold\n<!-- end -->\nafter\n")

    def publish(*further):
        return benchmark.publish(*command_line(arguments(outputs, *further)))

    with pytest.raises(PublishError, match="not finished, nothing was published: ours seed 0"):
        publish()
    assert make(outputs) == 0
    written = (outputs / "table6" / "synthetic" / "smoke" / "synthetic.md").read_text()
    with pytest.raises(PublishError, match="only a whole table is published"):
        publish("trainer.lr=0.5")
    set_dirty(outputs, True)
    with pytest.raises(PublishError, match=r"uncommitted changes.*: ours seed 0\. Commit"):
        publish()
    set_dirty(outputs, False)
    training = next(outputs.rglob("seed0-*/result.json"))
    one = next((outputs / "evaluate").rglob("trimap_only-*/result.json"))
    clean = one.read_text()
    one.write_text(clean.replace('"dirty": false', '"dirty": true'))
    with pytest.raises(PublishError, match=r"uncommitted changes.*: trimap_only seed 0 on synthetic_"):
        publish()
    one.unlink()
    with pytest.raises(PublishError, match="not finished, nothing was published: trimap_only seed 0 on synthetic_"):
        publish()
    assert not results.exists()
    one.write_text(clean)

    assert publish() == 0
    measured = {}
    for kind in ("small", "middle", "large"):
        test = f"synthetic_{kind}"
        folder = results / "table6" / test / "smoke"
        measured[test] = {
            row: [json.loads((folder / row / "seed0.json").read_text())] for row in ("trimap_only", "ours")
        }
        for row, (result,) in measured[test].items():
            assert [result[key] for key in ("table", "row", "dataset", "scale", "seed", "best")] == [
                "table6",
                row,
                test,
                "smoke",
                0,
                None,
            ]
            assert list(result["metrics"]) == metrics_of("table6")
            assert len(result["provenance"]["data_sha256"]) == 64
        trained = measured[test]["ours"][0]["trained"]
        ran = json.loads(training.read_text())
        assert {key: trained[key] for key in ("hash", "config", "provenance")}.items() <= ran.items()
        assert measured[test]["trimap_only"][0]["trained"] is None
    markdown = (results / "table6" / "synthetic" / "smoke" / "table.md").read_text()
    assert markdown == page("synthetic", "smoke", measured)[1] == written
    assert (tmp_path / "README.md").read_text() == f"before\n{marker}\n{markdown}<!-- end -->\nafter\n"


def test_seeds_of_the_trained_row_are_tested_against_rows_without_chance():
    def runs(params, *values):
        return [
            {"seed": seed, "params": params, "metrics": dict.fromkeys(metrics_of("table6"), value)}
            | {"provenance": {"wall_seconds": 6, "test_images": 4}}
            for seed, value in enumerate(values)
        ]

    near = {"trimap_only": runs(0, 90.0), "knn": runs(0, 20.5), "ours": runs(9, 20.0, 21.0, 22.0)}
    far = near | {"knn": runs(0, 1.0)}
    lines = measured_cells("synthetic", {"synthetic_small": near, "synthetic_large": far})[1]
    assert [(cells[1], cells[5]) for cells in lines] == [
        ("90.00", "90.00"),
        ("20.50 ★", "1.00 ★"),
        ("21.00 ± 1.00 ≈", "21.00 ± 1.00"),
    ]


def test_the_page_warns():
    def result(row, data, warnings=()):
        return {
            "row": row,
            "seed": 0,
            "dataset": "alphamatting_trimap1",
            "params": 0,
            "metrics": dict.fromkeys(metrics_of("table6"), 20.0),
            "trained": None,
            "undefined": ["GT03"],
            "warnings": list(warnings),
            "config": {"metrics": {"program": "matlab", "rounding": "truncate"}},
            "provenance": {"data_sha256": data, "test_images": 4, "wall_seconds": 6, "device": "cpu", "threads": 2},
        }

    seen = "4 of 4 test images bear the name of a foreground this network was trained on"
    rows = {"trimap_only": [result("trimap_only", "a")], "ours": [result("ours", "b", [seen])]}
    text = page("alphamatting", "lite", {"alphamatting_trimap1": rows})[0]
    assert f"WARNING: ours: {seen}" in text
    assert "WARNING: rows were evaluated on different alphamatting_trimap1 (data_sha256)" in text
    assert "no unknown pixel: GT03" in text
    assert "rounding truncate" in text
    assert shown(text)["ours"] == ["20.00", "20.0000", "20.00", "20.00", "0", "1.50"]


def test_the_script_and_make_know_which_table_it_is(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "table.py"), *arguments(tmp_path / "out", TINY)]
    done = subprocess.run([*command, "rows=[trimap_only]"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(shown(done.stdout)) == ["trimap_only"]
    other = [word if word != "table=table6" else "table=table2" for word in command]
    refused = subprocess.run([*other, "photographs=here"], capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "error: photographs=here has a meaning for table6 alone: leave it out.\n"
    for target, has in (("table6", True), ("table2", False)):
        words = ["make", "--dry-run", target, "PHOTOS=/a b", f"PYTHON={sys.executable}"]
        said = subprocess.run(words, capture_output=True, text=True, cwd=ROOT).stdout
        assert ("photographs=\"'/a b'\"" in said) is has
