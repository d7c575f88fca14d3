"""Freed memory is reused without system calls; out-of-memory errors are recognised."""

import platform
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from a2u.engine.memory import is_out_of_memory

PROGRAM = """
import resource
import torch
from a2u.engine.memory import keep_freed_memory
def faults():
    for turn in range(20):
        if turn == 10:  # by then what was freed has found its order
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(10, 2**20)  # 40 MiB: more than the C library keeps of itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults())
keep_freed_memory()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc: elsewhere nothing is kept")
def test_pages_are_asked_for_once():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    given_back, kept = map(int, ended.stdout.split())
    assert given_back > 100  # ten times 20 where a page is 2 MiB, 10,240 where it is 4 KiB
    assert kept < given_back / 10


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bytearray(2**60),
        lambda: np.empty(2**60, np.uint8),
        lambda: torch.empty(2**60, dtype=torch.uint8),
        lambda: cv2.resize(np.zeros((1, 1), np.float64), (2**31 - 1, 2**31 - 1)),
    ],
)
def test_more_memory_than_there_is_is_told_from_other_errors(ask):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any type, which is what is tested
        ask()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "fail", [lambda: torch.ones(2) @ torch.ones(3), lambda: cv2.resize(np.zeros(0), (1, 1)), lambda: int("a")]
)
def test_other_errors_are_not_of_memory(fail):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of any type
        fail()
    assert not is_out_of_memory(caught.value)


def test_errors_of_a_gpu_are_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."))
