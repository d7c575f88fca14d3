"""Memory: keep what is freed, and recognise the out-of-memory errors of every library."""

import ctypes

import cv2
import torch

NO_MORE = ("can't allocate memory", "not enough memory")  # of PyTorch's allocator for CPUs, by system
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's numbers of what may be set, malloc.h
LARGEST, LARGEST_BEFORE = 2**30, 2**25  # bytes; older releases of glibc refuse more than the second as MMAP_THRESHOLD


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, up to 1 GiB; do nothing with another C library.

    A network allocates maps of the same sizes in every step. By default glibc returns large ones to the
    system after every use, and every page of the next one is cleared again.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    if mallopt(MMAP_THRESHOLD, LARGEST) or mallopt(MMAP_THRESHOLD, LARGEST_BEFORE):
        mallopt(TRIM_THRESHOLD, LARGEST)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of Python, NumPy, PyTorch (CPU or GPU) or OpenCV means out of memory."""
    if isinstance(error, cv2.error):
        return bool(error.code == cv2.Error.StsNoMem)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MORE)
