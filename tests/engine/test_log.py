"""The output of a run on a terminal; tests/test_documentation.py checks that there is none elsewhere."""

import os
import pty
import sys
import termios

import pytest
from helpers.runs import smoke

from a2u.engine.identity import Places
from a2u.engine.log import RunLog


@pytest.mark.parametrize("wanted", [True, False])
def test_a_bar_with_the_time_left_is_on_terminals(tmp_path, monkeypatch, wanted):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        log = RunLog(Places.of(smoke(tmp_path)), steps=4, first_step=0, batch_size=2, terminal=wanted)
        for step in (1, 2):
            log.step(step, loss=0.5)
        log.close()
        print("end", file=terminal, flush=True)
        shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert ("2/4 [00:00<00:00" in shown) is wanted
    assert ("loss=0.5" in shown) is wanted
