"""Full disks, folders without permissions, closed pipes: one sentence, and nothing half written."""

import errno
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.matting_folders import noise, save
from helpers.runs import smoke
from torch.utils.data import DataLoader, Dataset

from a2u.cli.main import user_errors
from a2u.data.files.disk_cache import DiskCache
from a2u.data.files.images import read_colour, write_png
from a2u.data.sources.alphamatting import AlphamattingConfig
from a2u.data.sources.synthetic import SyntheticConfig
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.identity import Places, finished
from a2u.engine.log import RunLog
from a2u.engine.run import run
from a2u.engine.tasks.matting import with_plain_errors
from a2u.errors import ConfigError, DataError
from a2u.files import naming, write_json

SHORT = ["trainer.epochs=1", "trainer.iterations=1", "runtime.log_every=1", "dataset.limit_test=1"]
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux, its /dev/full and /proc")


def raise_full(*_, **__):
    """Raise the system's error for an open file: without its name."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the metrics of the run when the disk has space."""
    return run(smoke(tmp_path_factory.mktemp("whole"), *SHORT))["metrics"]


@pytest.fixture
def says(capsys):
    """Return message and exit status of a script whose work fails."""

    def run_as_script(work):
        with pytest.raises(SystemExit) as stopped, user_errors():
            work()
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said

    return run_as_script


class Fills:
    """os.fsync on a disk that is full from the given file on."""

    def __init__(self, file):
        self.file, self.fsync = file, os.fsync

    def __call__(self, descriptor):
        if self.file in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise_full()
        self.fsync(descriptor)


@pytest.mark.parametrize("file", ["last.pt", "best.pt", "metrics.csv", "predictions", "result.json"])
def test_a_disk_that_fills_in_a_run(tmp_path, monkeypatch, says, expected, file):
    """No result; with free space the same command gives the same metrics as without the failure."""
    cfg = smoke(tmp_path, *SHORT, "runtime.save_predictions=true")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", Fills(file))
        said = says(lambda: run(cfg))
    assert file in said
    assert "cannot be used, the disk is full: make room, then give the same command again" in said
    assert finished(tmp_path) == {}
    assert not [path for path in (tmp_path).rglob(".*") if path.is_file()]
    assert run(cfg)["metrics"] == expected


def test_a_disk_that_fills_after_a_checkpoint(tmp_path, monkeypatch, says):
    """The checkpoint of the first epoch stays as it was."""
    cfg = smoke(tmp_path, *SHORT, "trainer.evaluate_every=0", "trainer.epochs=2")
    places, fsync, saved = Places.of(cfg), os.fsync, []

    def full_the_second_time(descriptor):
        if "last.pt" in os.readlink(f"/proc/self/fd/{descriptor}"):
            saved.append(1)
            if len(saved) == 2:
                raise_full()
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_the_second_time)
        assert "last.pt" in says(lambda: run(cfg))
    assert load_checkpoint(places.last)["step"] == 1
    run(cfg)
    assert load_checkpoint(places.last)["step"] == 2


@pytest.mark.parametrize("file", ["history.csv", "progress.json"])
def test_a_disk_that_fills_under_the_log(tmp_path, says, file):
    cfg = smoke(tmp_path, *SHORT)
    places = Places.of(cfg)
    places.folder.mkdir(parents=True)
    (places.folder / file).symlink_to("/dev/full")
    said = says(lambda: run(cfg))
    assert str(places.folder) in said
    assert "the disk is full" in said
    assert not places.result.exists()


def test_a_full_disk_under_standard_output(monkeypatch, says):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert "standard output cannot be used, the disk is full" in says(lambda: print("a table", file=full))
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space"):
            full.close()


def test_a_full_disk_under_the_cache_of_generated_layers(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "savez", raise_full)
    data = SyntheticConfig(cache=str(tmp_path), train_size=64, test_size=64).build()
    with pytest.raises(DataError, match=r"cannot be cached as .*layer_0000\.npz \(the disk is full\): set its `cache`"):
        data.layers[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_full_disk_under_decoded_layers(tmp_path, monkeypatch):
    save(tmp_path / "a.png", noise(8, 9, 3))
    monkeypatch.setattr(np, "save", raise_full)
    with pytest.raises(DataError, match=r"decoded cannot keep decoded images \(the disk is full\)"):
        DiskCache(tmp_path / "decoded", 1)(tmp_path / "a.png", read_colour)
    assert not list((tmp_path / "decoded").iterdir())


def test_outputs_that_are_a_file(tmp_path, says):
    (tmp_path / "outputs").write_text("mine")
    said = says(lambda: run(smoke(tmp_path / "outputs", "dataset.cache=null")))
    assert f"{tmp_path}/outputs" in said
    assert "a file lies where a folder is needed" in said
    assert (tmp_path / "outputs").read_text() == "mine"


def test_outputs_that_may_not_be_written(forbidden, says):
    def work():
        with forbidden() as folder:
            write_json(folder / "seed0.json", {})

    said = says(work)
    assert "seed0.json" in said
    assert "Permission denied: fix its permissions, or name another place" in said


def test_a_folder_that_may_not_be_read(forbidden, says):
    def work():
        with forbidden() as folder:
            AlphamattingConfig(root=str(folder)).build()

    said = says(work)
    assert "forbidden" in said
    assert "Permission denied: fix its permissions" in said


def test_a_folder_in_a_files_place(tmp_path, says):
    (tmp_path / "t_0.png").mkdir()
    assert f"{tmp_path}/t_0.png cannot be used, Is a directory" in says(
        lambda: write_png(tmp_path / "t_0.png", noise(8, 9))
    )
    assert [path.name for path in tmp_path.iterdir()] == ["t_0.png"]


def test_a_reader_of_the_table_who_goes_away(monkeypatch, capsys):
    """As `| head -0` does: no traceback, and no complaint at the end of the program either."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        with pytest.raises(SystemExit) as stopped, user_errors():
            print("a table", file=pipe)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == ""


def test_an_error_of_the_program_keeps_its_traceback():
    for error in (ZeroDivisionError("mine"), OSError("a library's, without a number")):
        with pytest.raises(type(error)) as raised, user_errors():
            raise error
        assert raised.value is error


class TooLarge(Dataset):
    """A sample for which a data worker's shared memory has no place."""

    def __len__(self):
        return 1

    def __getitem__(self, _):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return torch.zeros(1000)


def test_shared_memory_that_is_too_small():
    """The limit has the same effect as a container's /dev/shm of 64 kB."""
    with pytest.raises(ConfigError, match=r"too little of it in /dev/shm: set runtime\.workers=0"):
        list(with_plain_errors(DataLoader(TooLarge(), num_workers=1)))


@pytest.mark.parametrize(
    ("trouble", "advice"),
    [
        (lambda folder: shutil.rmtree(folder), "No such file or directory: check the path, and whether something"),
        (lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY)), "raise the limit on the"),
    ],
    ids=["removed", "ulimit -f"],
)
def test_what_a_thread_cannot_write_is_one_sentence(tmp_path, says, trouble, advice):
    """TensorBoard writes in a thread, whose own report of an error would be a traceback."""
    limit, log = resource.getrlimit(resource.RLIMIT_FSIZE), RunLog(Places(tmp_path / "run"), 2, 0, 1, terminal=False)

    def work():
        try:
            trouble(tmp_path / "run")
            with naming(tmp_path / "run"):
                for step in range(1000):
                    log.metrics(step, {"sad": 0.0})
                    log.board.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    said = says(work)
    assert said.startswith(f"error: {tmp_path}/run")
    assert advice in said
