"""Memory: keep what is freed, and recognise the out-of-memory errors of every library."""

import ctypes
import os

import cv2
import torch

NO_MORE = ("can't allocate memory", "not enough memory")  # of PyTorch's allocator for CPUs, by system
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt, from malloc.h
KEPT = 2**30  # bytes
MOST_BEFORE = 2**25  # bytes; the largest MMAP_THRESHOLD that older releases of glibc take


def machine_memory() -> int | None:
    """Return the bytes of memory of this machine; None where the system does not say."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, up to 1 GiB; do nothing with another C library.

    A network allocates maps of the same sizes in every step. By default glibc returns large ones to the
    system after every use, and every page of the next one is cleared again.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    if mallopt(MMAP_THRESHOLD, KEPT) or mallopt(MMAP_THRESHOLD, MOST_BEFORE):
        mallopt(TRIM_THRESHOLD, KEPT)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of Python, NumPy, PyTorch (CPU or GPU) or OpenCV means out of memory."""
    if isinstance(error, cv2.error):
        return bool(error.code == cv2.Error.StsNoMem)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MORE)
