"""Checkpoints: foreign files are refused (that no code runs: tests/models/weights/test_files.py)."""

import pytest
import torch
from helpers.runs import smoke

from a2u.config import compose
from a2u.engine.checkpoint import CheckpointError, latest_checkpoint, load_checkpoint, save_checkpoint
from a2u.engine.identity import Places, identity


def test_round_trip(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, smoke(tmp_path), ["a", "b"], model={"w": torch.ones(2)}, step=3)
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert state["train_names"] == ["a", "b"]
    assert torch.equal(state["model"]["w"], torch.ones(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "there is no weights file"),
        (lambda path: path.write_bytes(b""), "could not be read"),
        (lambda path: torch.save({"model": {}}, path), "not a checkpoint written by this program"),
    ],
)
def test_other_files_are_refused(tmp_path, write, words):
    path = tmp_path / "weights.pt"
    write(path)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(path)


def test_a_run_on_a_relative_folder_resumes_from_any_folder(tmp_path, monkeypatch):
    """The run is the same whether its dataset's folder is relative or absolute."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    started = compose(["dataset=adobe", "dataset.root=photographs", f"runtime.outputs='{tmp_path}'"])
    places = Places.of(started)
    save_checkpoint(places.last, started, [], model={}, step=3)
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = compose(["dataset=adobe", f"dataset.root='{tmp_path / 'photographs'}'", f"runtime.outputs='{tmp_path}'"])
    assert Places.of(resumed) == places
    found = latest_checkpoint(places, identity(resumed))
    assert found is not None
    assert found["step"] == 3
    with pytest.raises(CheckpointError, match="checkpoint of another run"):
        latest_checkpoint(places, identity(started))  # whose folder is another one from here


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, smoke(tmp_path), [], model={"w": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, smoke(tmp_path), [], model={}, step=1)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, smoke(tmp_path), [], step=2)
    assert load_checkpoint(path)["step"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]
