"""Freed memory is used again, without asking the system."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from a2u.engine.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for turn in range(20):
    if turn == 10:  # by then what was freed has found its order
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10, 2**20)  # 40 MiB: more than the C library keeps of itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc: elsewhere nothing is kept")
def test_pages_are_asked_for_once():
    faults = {
        word: int(subprocess.run([sys.executable, "-c", PROGRAM, word], capture_output=True, check=True).stdout)
        for word in ("kept", "given back")
    }
    assert faults["given back"] > 100  # ten times 20 where a page is 2 MiB, 10,240 where it is 4 KiB
    assert faults["kept"] < faults["given back"] / 10
