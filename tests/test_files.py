"""Atomic writes and locks."""

import multiprocessing
import time

import pytest

from a2u.files import BusyError, locked


def test_a_lock_is_its_holders_alone_whatever_was_forked_meanwhile(tmp_path):
    context = multiprocessing.get_context("fork")
    runs = context.Event()

    def stays():
        runs.set()
        time.sleep(60)

    child = context.Process(target=stays)
    try:
        with locked(tmp_path / "lock", "it"):
            child.start()
            assert runs.wait(60)
            with pytest.raises(BusyError), locked(tmp_path / "lock", "it"):
                pass
        with locked(tmp_path / "lock", "it"):
            assert child.is_alive()
    finally:
        child.kill()
        child.join()
