"""Rows of a table through every launcher, two runners at once, runners that are stopped."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.runs import table_words

from a2u.engine.identity import finished
from a2u.errors import ConfigError
from a2u.files import BusyError
from a2u.reproduce import executors, launch
from a2u.reproduce.rows import row_runs
from a2u.reproduce.table import command_line, make_table

ROOT = Path(__file__).parents[2]
ROWS = "rows=[trimap_only,nearest]"
LONG = ("rows=[nearest]", "trainer.iterations=100000", "trainer.evaluate_every=0")
WORKERS = {"submitit_local": "_submit.py", "ray": "default_worker.py"}


@pytest.fixture(scope="module")
def inline(tmp_path_factory):
    """Return the table of ROWS made by one process."""
    printed = StringIO()
    with redirect_stdout(printed):
        assert make_table(*command_line(table_words(tmp_path_factory.mktemp("inline"), ROWS))) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def ray_cluster():
    """Start a Ray cluster of two nodes with a core each; return its address."""
    # Sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="ray") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")  # what belongs to a cluster runs whatever it is sent
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex())
        ray = pytest.importorskip("ray")  # reads the variables as it is imported
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80_000_000}
        cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
        cluster.add_node(**node)
        yield cluster.address
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) for name in WORKERS])
def launcher(request):
    """Return a launcher's overrides, and the program that runs each row."""
    words = [f"launcher={request.param}"]
    if request.param == "submitit_local":
        pytest.importorskip("submitit")
    if request.param == "ray":
        words.append(f"launcher.address='{request.getfixturevalue('ray_cluster')}'")
    return words, WORKERS[request.param]


@pytest.fixture
def start(tmp_path):
    """Start scripts/table.py, with its errors in stderr.txt; kill afterwards what still runs in tmp_path."""

    def started(*further):
        command = [sys.executable, str(ROOT / "scripts" / "table.py"), *table_words(tmp_path / "outputs", *further)]
        with (tmp_path / "stderr.txt").open("ab") as printed:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=printed, text=True)

    yield started
    for process in processes(tmp_path):
        os.kill(process, signal.SIGKILL)


def processes(folder):
    """Return the ids of processes whose command line names `folder`, or whose output is a file in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names = [(process / "cmdline").read_text(errors="replace"), os.readlink(process / "fd" / "1")]
        except OSError:  # it has ended meanwhile, or is not ours
            continue
        if any(str(folder) in name for name in names):
            found.append(int(process.name))
    return found


def until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def results(outputs):
    return {path.parents[1].name: path.stat().st_mtime_ns for path in outputs.rglob("seed*/result.json")}


def folder_of(row, arguments):
    settings, overrides = command_line(arguments)
    return next(run.places.folder for run in row_runs(settings, overrides) if run.row == row)


def test_every_launcher_makes_the_table_that_one_process_makes(tmp_path, monkeypatch, launcher, inline, capsys):
    monkeypatch.chdir(tmp_path)  # a relative path is one of the folder in which the table is started
    words, worker = launcher
    arguments = table_words("outputs", ROWS, *words)
    assert make_table(*command_line(arguments)) == 0
    printed = capsys.readouterr()
    assert printed.out == inline
    assert all(f"finished  {row} seed 0" in printed.err for row in results(tmp_path))
    assert {each["provenance"]["command"][0] for each in finished(tmp_path / "outputs").values()} == {worker}
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    assert make_table(*command_line(arguments)) == 0
    assert "started" not in capsys.readouterr().err


def test_an_unforeseen_error_stops_its_own_row_alone_and_its_traceback_is_kept(tmp_path, capsys):
    arguments = table_words(tmp_path, ROWS)
    obstacle = folder_of("trimap_only", arguments) / "tensorboard"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()  # where a folder has to be
    assert make_table(*command_line(arguments)) == 1
    printed = capsys.readouterr().err
    log = obstacle.parent / "log.txt"
    for word in ("FAILED    trimap_only", "FAILED trimap_only"):  # at once, and at the end
        assert f"{word} seed 0: FileExistsError: " in printed
    assert f"(whole log: {log})" in printed
    assert log.read_text().startswith("Traceback")
    assert results(tmp_path).keys() == {"nearest"}


@pytest.mark.slow
def test_two_runners_at_once_make_one_table_of_rows_that_were_trained_once(tmp_path, start, capsys):
    runners = [start("table=table4") for _ in range(2)]
    printed = [runner.communicate()[0] for runner in runners]
    assert 0 in [runner.returncode for runner in runners], (tmp_path / "stderr.txt").read_text()
    outputs = tmp_path / "outputs"
    files = {row: [path.name for path in (outputs / "table4").rglob(f"{row}/**/events*")] for row in results(outputs)}
    assert len(files) == 5
    assert all(len(names) == 1 for names in files.values()), files
    table = (outputs / "table4" / "synthetic" / "smoke" / "table.txt").read_text()
    assert f"{table}\n" in printed
    before = results(outputs)
    assert make_table(*command_line(table_words(outputs, "table=table4"))) == 0
    assert capsys.readouterr().out == f"{table}\n"
    assert results(outputs) == before


def test_a_row_that_another_runner_finishes_meanwhile_has_not_failed(tmp_path, monkeypatch, capsys):
    whole = launch.run

    def busy_with_nearest(cfg):
        result = whole(cfg)
        if cfg.row == "nearest":
            raise BusyError("another process is running table2/nearest seed 0; wait for it, or stop it.")
        return result

    monkeypatch.setattr(launch, "run", busy_with_nearest)
    for force in ("false", "true"):
        arguments = table_words(tmp_path, "rows=[nearest,bilinear]", f"runtime.force={force}")
        assert make_table(*command_line(arguments)) == 0
        printed = capsys.readouterr().err
        assert "FAILED    nearest seed 0: another process is running" in printed
        assert "FAILED nearest" not in printed
        assert "finished  bilinear" in printed


def test_a_runner_that_is_terminated_stops_its_rows_and_says_how_to_go_on(tmp_path, start):
    runner = start("launcher=local", *LONG)
    folder = folder_of("nearest", table_words(tmp_path / "outputs", *LONG))
    until((folder / "progress.json").exists)
    runner.terminate()
    assert runner.wait() == 1
    assert (
        (tmp_path / "stderr.txt").read_text().endswith("stopped; the same command resumes from the last checkpoint\n")
    )
    assert not processes(tmp_path)
    assert "stopped; the same command resumes" in (folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_row_whose_runner_was_killed_goes_on_and_is_not_run_twice(tmp_path, start, capsys):
    runner = start("launcher=local", *LONG)
    arguments = table_words(tmp_path / "outputs", *LONG)
    folder = folder_of("nearest", arguments)
    until((folder / "progress.json").exists)
    runner.kill()
    runner.wait()
    row = processes(tmp_path)
    assert len(row) == 1
    assert make_table(*command_line([*arguments, "launcher=inline"])) == 1
    assert "FAILED nearest seed 0: another process is running table2/nearest seed 0" in capsys.readouterr().err
    assert processes(tmp_path) == row
    os.kill(row[0], signal.SIGTERM)
    until(lambda: not processes(tmp_path))
    assert "stopped; the same command resumes" in (folder / "log.txt").read_text()


def test_options_of_slurm_reach_it_and_its_refusal_is_the_reason(tmp_path, monkeypatch, capsys):
    """Two scripts replace SLURM's commands: one records the job, and refuses it."""
    pytest.importorskip("submitit")
    for name, does in {"srun": "", "sbatch": f"cp $1 {tmp_path}/sent; echo no such partition >&2; exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    options = ["launcher=submitit", "launcher.partition=moon", "launcher.timeout_min=90", "launcher.cpus_per_task=4"]
    options.append("+launcher.additional_parameters.account=ours")
    assert make_table(*command_line(table_words(tmp_path / "outputs", "rows=[trimap_only]", *options))) == 1
    assert "no such partition" in capsys.readouterr().err
    sent = (tmp_path / "sent").read_text()
    for line in ("--partition=moon", "--time=90", "--cpus-per-task=4", "--job-name=a2u", "--account=ours"):
        assert f"#SBATCH {line}\n" in sent


def test_a_machine_without_slurm_is_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"launcher=submitit: .*srun"):
        make_table(*command_line(table_words(tmp_path / "outputs", "rows=[trimap_only]", "launcher=submitit")))
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["launcher=submitit", "launcher.partitoin=gpu"],
            "unknown configuration key launcher.partitoin; allowed .*cpus_per_task",
        ),
        (["launcher=submitit", "launcher.timeout_min=long"], "launcher.timeout_min: Value 'long'"),
        (["launcher=ray", "launcher.num_cpu=1"], r"unknown configuration key launcher.num_cpu; .*'num_cpus'"),
        (["launcher=local", "launcher.partition=gpu"], "unknown configuration key launcher.partition; allowed .*name"),
    ],
)
def test_a_wrong_option_of_a_launcher_ends_in_a_sentence(words, said):
    with pytest.raises(ConfigError, match=said):
        command_line(table_words("nowhere", *words))


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("submitit", "submitit")])
def test_a_launcher_that_is_not_installed_names_what_installs_it(tmp_path, monkeypatch, launcher, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'launcher={launcher} needs a package .*pip install -e "\.\[{package}\]"'):
        make_table(*command_line(table_words(tmp_path / "outputs", "rows=[trimap_only]", f"launcher={launcher}")))
    assert not (tmp_path / "outputs").exists()


def test_a_table_under_torchrun_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match=r"torchrun has started this 2 times, .* run it without torchrun"):
        make_table(*command_line(table_words(tmp_path / "outputs", ROWS)))
    assert not (tmp_path / "outputs").exists()


def test_a_row_whose_folder_was_removed_while_it_ran_is_reported(tmp_path):
    ended = SimpleNamespace(join=lambda: None, exitcode=2)
    log = tmp_path / "nearest" / "log.txt"
    assert executors._outcome(ended, log, 0) == f"something removed {tmp_path}/nearest while it ran"
