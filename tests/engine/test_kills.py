"""A training run killed at random moments ends as if it had never been killed, bit for bit.

The long form: `python -m pytest -m slow tests/engine/test_kills.py -s`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.runs import generated

from a2u.config import compose
from a2u.engine.checkpoint import load_checkpoint
from a2u.engine.identity import Places

ROOT = Path(__file__).parents[2]
# A network with every kind of state: running statistics, dropout, two rates, crops by worker processes
OPTIONS = (
    "upsampler=a2u",
    "scale=smoke",
    "model.aspp=true",
    "trainer.clip_norm=1",
    "trainer.epochs=3",
    "trainer.evaluate_every=1",
    "runtime.workers=1",
    "runtime.log_every=1",
    "runtime.progress=false",
    "runtime.threads=1",
)


def start(options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    said, _ = process.communicate()
    assert process.returncode == 0, said


def killed(process, after, begun):
    """Kill the run `after` seconds after `begun` reports that it works; return False if it had ended.

    Its data worker is left to see for itself, which takes seconds.
    """
    while not begun() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(after)
    process.kill()
    process.stdout.close()  # which the worker has open as well
    return process.wait() == -signal.SIGKILL


def same(found, expected):
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


def check_kills(tmp_path, how_often, iterations, longest, force):
    """Kill runs and compare; force: a finished run is run again and killed."""
    options = [*OPTIONS, f"trainer.iterations={iterations}", generated()]
    whole, parts = ([*options, f"runtime.outputs='{tmp_path / name}'"] for name in ("whole", "parts"))
    parts.append("runtime.checkpoint_seconds=0")  # a checkpoint every step: many a kill comes while one is written
    finish(start(whole))
    if force:
        shutil.copytree(tmp_path / "whole", tmp_path / "parts")
        parts.append("runtime.force=true")
    places, expected_places = Places.of(compose(parts)), Places.of(compose(whole))
    draw = random.Random(how_often)
    steps = []
    for _ in range(how_often):
        seen = places.progress.stat().st_mtime_ns if places.progress.exists() else 0
        begun = lambda seen=seen: places.progress.exists() and places.progress.stat().st_mtime_ns > seen  # noqa: E731
        assert killed(start(parts), draw.uniform(0, longest), begun), "the run is too short for so many kills"
        steps.append(len(places.history.read_text().splitlines()) - 1)
    print(f"killed {how_often} times, after steps {steps} of {3 * iterations}")
    finish(start(parts))
    found, expected = load_checkpoint(places.last), load_checkpoint(expected_places.last)
    for key in ("model", "optimizer", "scheduler", "step", "scores"):
        assert same(found[key], expected[key]), key
    assert places.history.read_text().splitlines()[0] == expected_places.history.read_text().splitlines()[0]
    columns = [[line.split(",")[:4] for line in p.history.read_text().splitlines()] for p in (places, expected_places)]
    assert columns[0] == columns[1]  # every step once: number, loss, rate, norm of the gradient
    results = [json.loads(p.result.read_text()) for p in (places, expected_places)]
    for key in ("metrics", "best", "curve", "hash"):
        assert results[0][key] == results[1][key], key
    if force:
        assert json.loads((places.replaced / "result.json").read_text()) == results[1]
    assert not list(places.folder.glob(".*"))  # no half a file


@pytest.mark.slow
def test_a_run_killed_now_and_then_ends_the_same(tmp_path):
    check_kills(tmp_path, how_often=2, iterations=20, longest=0.4, force=True)


@pytest.mark.slow
@pytest.mark.parametrize("force", [False, True])
def test_a_run_killed_twenty_times_ends_the_same(tmp_path, force):
    check_kills(tmp_path, how_often=20, iterations=600, longest=3, force=force)
