"""system=auto: the best system that can matte a photograph."""

import logging

import numpy as np
import pytest

from a2u.apply import auto
from a2u.apply.systems import System, load_system
from a2u.errors import A2UError, ConfigError


@pytest.fixture(autouse=True)
def _asked_anew():
    auto._solvable.cache_clear()
    yield
    auto._solvable.cache_clear()


def trimap(height, width, value=0):
    known = np.full((height, width), value, np.uint8)
    known[0] = 128
    return known


def test_the_model_takes_what_the_others_cannot(monkeypatch):
    monkeypatch.setattr(auto, "machine_memory", lambda: 24e9)
    first, second = auto.BETTER
    assert auto.best() is first
    assert auto.best(trimap(40, 50)) is first
    assert auto.best(trimap(2000, 1001)) is second
    assert auto.best(trimap(2000, 3001)) is System.checkpoint
    assert auto.best(trimap(40, 50, 128)) is System.checkpoint  # nothing is known
    monkeypatch.setattr(auto, "machine_memory", lambda: 4e9)  # half of it is for the matte
    assert auto.best(trimap(1000, 600)) is first
    assert auto.best(trimap(1000, 700)) is second
    assert auto.best(trimap(1000, 1700)) is System.checkpoint
    monkeypatch.setattr(auto, "machine_memory", lambda: None)  # the system does not say
    assert auto.best(trimap(2000, 1000)) is first


def test_without_its_package_the_model_is_used_and_a_sentence_says_so(monkeypatch, caplog):
    def missing(what):
        raise A2UError(f"{what} needs the package pymatting.")

    monkeypatch.setattr(auto, "pymatting_for", missing)
    with caplog.at_level(logging.WARNING):
        assert [auto.best(), auto.best(trimap(40, 50))] == [System.checkpoint] * 2
    (record,) = caplog.records  # once
    assert record.getMessage().endswith("pymatting. Until then the model in the package is used.")


def test_an_evaluation_needs_a_system():
    with pytest.raises(ConfigError, match="system=auto chooses for a photograph"):
        load_system(System.auto, None)
