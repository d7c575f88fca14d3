"""Several processes give what one gives: the same samples, losses, metrics; only rank 0 writes."""

import contextlib
import csv
import io
import json
import math
import multiprocessing
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import torch
from helpers.runs import generated, smoke

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.config import compose
from a2u.engine import distributed
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.fit import DivergedError, step_seed
from a2u.engine.identity import Places
from a2u.engine.prepare import check
from a2u.engine.run import run
from a2u.engine.tasks import matting
from a2u.engine.tasks.matting import Matting
from a2u.errors import ConfigError

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TRAINING = ["trainer.epochs=2", "trainer.iterations=4", "trainer.batch_size=4", "runtime.log_every=1"]


def given(outputs, *overrides):
    """Return the command line of `helpers.runs.smoke`."""
    places = [f"runtime.outputs='{outputs}'", generated()]
    return ["scale=smoke", *places, "runtime.progress=false", "runtime.threads=1", *overrides]


def start(script, arguments):
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_XDIST_WORKER"}
    return subprocess.Popen(
        [*TORCHRUN, str(script), *arguments],
        env=environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def in_two(work):
    """Return what `work`, called with its rank, prints in each of two processes set up as by torchrun.

    These are forked, and so without the seconds of every start.
    """
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    cv2.setNumThreads(1)  # ends its threads: a fork would wait in vain for those it does not have
    forks = multiprocessing.get_context("fork")
    said = [forks.SimpleQueue() for _ in range(2)]
    jobs = [forks.Process(target=as_rank, args=(rank, port, work, said[rank])) for rank in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    return [each.get() for each in said]


def as_rank(rank, port, work, said):
    rendezvous = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"} | rendezvous
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        work(rank)
    said.put(printed.getvalue())


def two(script, arguments):
    """Run a script in two processes; return what each printed."""

    def work(rank):
        sys.argv = [str(script), *arguments]
        runpy.run_path(str(script), run_name="__main__")

    return in_two(work)


def losses(places):
    with places.history.open() as file:
        return [float(line["loss"]) for line in csv.DictReader(file)]


def test_two_processes_have_the_losses_of_one(tmp_path, monkeypatch):
    options = ["experiment=table2/a2u_dynamic_cs_d_norm", *TRAINING]
    # Statistics fixed and no dropout: rounding then stays rounding over all steps. With statistics of batches one
    # step's last digits are the next one's fourth, even between two memory layouts of one process.
    monkeypatch.setattr(Matting, "training_mode", lambda task, cfg, model: model.eval())
    in_two(lambda rank: run(smoke(tmp_path / "two", *options)))
    run(smoke(tmp_path / "one", *options))
    found, expected = (losses(Places.of(smoke(tmp_path / name, *options))) for name in ("two", "one"))
    assert len(expected) == 8
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Trained by two processes, with norms of batches in the U-Net and in the operator; and what they printed."""
    folder = tmp_path_factory.mktemp("processes")
    options = ["experiment=table2/indexnet", "model.dropout=0", "trainer.lr=0.001", *TRAINING]
    said = two(ROOT / "scripts" / "train.py", given(folder / "two", *options))
    return folder, options, said


def test_norms_are_those_of_the_whole_batch(network):
    folder, options, said = network
    alone = smoke(folder / "one", *options)
    result = run(alone)
    found, expected = (losses(Places.of(smoke(folder / name, *options))) for name in ("two", "one"))
    assert found[:4] == pytest.approx(expected[:4], abs=1e-6)  # rounding grows, see the test before
    statistics = [load_checkpoint(Places.of(smoke(folder / name, *options)).last)["model"] for name in ("two", "one")]
    key = "encoder.stem.1.0.running_mean"
    torch.testing.assert_close(statistics[0][key], statistics[1][key], rtol=1e-2, atol=1e-3)
    shared = json.loads(Places.of(smoke(folder / "two", *options)).result.read_text())
    assert (shared["provenance"]["processes"], result["provenance"]["processes"]) == (2, 1)
    assert shared["hash"] == result["hash"]
    assert "table2/indexnet" in said[0]
    assert said[1] == ""


def test_two_processes_evaluate_to_the_last_digit_as_one(network):
    folder, options, _ = network
    weights = Places.of(smoke(folder / "two", *options)).last
    dataset = ["dataset=synthetic", "dataset.test_size=64", "dataset.test_images=5"]
    two(ROOT / "scripts" / "evaluate.py", [f"weights='{weights}'", *dataset, *given(folder / "shared")[1:]])
    expected = evaluate_weights(
        compose([f"weights='{weights}'", *dataset, *given(folder / "alone")[1:]], config_name="evaluate")
    )
    (found,) = (folder / "shared").rglob("result.json")
    shared = json.loads(found.read_text())
    assert len(shared["images"]) == 5
    for key in ("metrics", "images"):
        assert shared[key] == json.loads(json.dumps(expected[key])), key


def test_two_processes_reconstruct_as_one(tmp_path):
    options = ["experiment=table1/maxpool_a2u", "dataset.limit_train=40", "dataset.limit_test=5", "trainer.epochs=2"]
    options += ["trainer.batch_size=20", "runtime.log_every=1"]
    settings = [word for word in given(tmp_path, *options) if word != generated()]
    two(ROOT / "scripts" / "train.py", [word.replace(str(tmp_path), str(tmp_path / "two")) for word in settings])
    one = compose([word.replace(str(tmp_path), str(tmp_path / "one")) for word in settings])
    expected = run(one)
    (history,) = (tmp_path / "two").rglob("history.csv")
    with history.open() as file:
        found = [float(line["loss"]) for line in csv.DictReader(file)]
    assert found == pytest.approx(losses(Places.of(one)), abs=1e-5)
    metrics = json.loads(history.with_name("result.json").read_text())["metrics"]
    assert metrics == pytest.approx(expected["metrics"], rel=1e-4)


@pytest.mark.slow
def test_a_killed_process_ends_the_job_with_a_sentence_and_the_job_resumes(tmp_path):
    options = ["upsampler=nearest", "trainer.epochs=2", "trainer.iterations=12", "trainer.batch_size=4"]
    options += ["runtime.checkpoint_seconds=0"]
    places = Places.of(smoke(tmp_path, *options))
    job = start(ROOT / "scripts" / "train.py", given(tmp_path, *options))
    while not places.last.exists():
        assert job.poll() is None, job.stdout.read()
        time.sleep(0.01)
    os.kill(process_of_rank(job.pid, 1), signal.SIGKILL)
    said, _ = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "Signal 9 (SIGKILL)" in said or "has lost another process of its job" in said
    assert not places.result.exists()
    reached = load_checkpoint(places.last)["step"]
    assert reached < 24
    again = start(ROOT / "scripts" / "train.py", given(tmp_path, *options))
    said, _ = again.communicate()
    assert again.returncode == 0, said
    assert json.loads(places.result.read_text())["provenance"]["steps"] == 24
    assert load_checkpoint(places.last)["step"] == 24


def diverge(cfg, at_fault=True):
    """Run, where the loss becomes NaN at step 3 if this process is `at_fault`; return the message."""
    loss, calls = matting.matting_loss, []

    def breaks(*args, **given):
        calls.append(1)
        return loss(*args, **given) * (math.nan if at_fault and len(calls) == 3 else 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matting, "matting_loss", breaks)
        with pytest.raises(DivergedError) as refused:
            run(cfg)
    return str(refused.value)


def test_a_loss_that_is_no_number_in_one_process_is_told_with_the_samples_of_all(tmp_path):
    options = ["upsampler=nearest", "trainer.batch_size=4"]
    cfg, alone = (smoke(tmp_path / name, *options) for name in ("two", "one"))
    diverge(alone)
    (whole,) = load_checkpoint(Places.of(alone).diverged)["batches"]
    said = in_two(lambda rank: print(diverge(cfg, at_fault=rank == 1)))
    batches = load_checkpoint(Places.of(cfg).diverged)["batches"]
    assert len(batches) == 2
    for rank, batch in enumerate(batches):  # the second has every second sample
        assert batch["origin"] == whole["origin"][rank::2]
        torch.testing.assert_close(batch["input"], whole["input"][rank::2])
    origins = "; ".join(", ".join(whole["origin"][rank::2]) for rank in range(2))
    for each in said:
        assert re.search(rf"loss became nan at step 3, learning rate \S+, on {re.escape(origins)}\. ", each)


def process_of_rank(launcher, rank):
    for entry in Path("/proc").iterdir():
        try:
            parent = re.search(r"PPid:\s+(\d+)", (entry / "status").read_text())
            environment = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if parent and int(parent[1]) == launcher and f"RANK={rank}".encode() in environment:
            return int(entry.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.batch_size=3"], "trainer.batch_size=3 is the batch of all processes together, and 2 processes"),
        (["trainer.batch_size=4", "trainer.accumulate=4"], "in trainer.accumulate=4 parts cannot share it equally"),
        (["trainer.batch_size=2", "model.aspp=true"], "one sample each, cannot be trained with pyramid pooling"),
        (
            ["trainer.batch_size=4", "runtime.recompute=true"],
            "runtime.recompute=true does not work with several processes",
        ),
    ],
)
def test_what_processes_cannot_share_is_refused(tmp_path, monkeypatch, overrides, words):
    monkeypatch.setattr(distributed, "count", lambda: 2)
    with pytest.raises(ConfigError, match=words):
        check(smoke(tmp_path, "upsampler=nearest", *overrides))


@pytest.mark.parametrize("total", [0, 1, 5, 64])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_follow_each_other_and_leave_nothing_out(monkeypatch, total, count):
    monkeypatch.setattr(distributed, "count", lambda: count)
    shares = []
    for rank in range(count):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares.append(distributed.share_of(total))
    assert [index for share in shares for index in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_draws_otherwise_in_every_step_and_run():
    seeds = {step_seed(seed, step) for seed in range(3) for step in range(50)}
    assert len(seeds) == 150
    torch.manual_seed(step_seed(0, 7))
    first = torch.rand(3)
    torch.manual_seed(step_seed(0, 7))
    assert torch.equal(torch.rand(3), first)
