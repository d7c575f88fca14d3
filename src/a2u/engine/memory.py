"""Memory: keep what is freed, and recognise the out-of-memory errors of every library."""

import ctypes

import cv2
import torch

NO_MORE = ("can't allocate memory", "not enough memory")  # of PyTorch's allocator for CPUs, by system
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's numbers of what may be set, malloc.h
LARGEST, LARGEST_BEFORE = 2**30, 2**25  # bytes; older releases of glibc refuse more than the second as MMAP_THRESHOLD


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 1 GiB, where it is glibc; elsewhere nothing happens.

    A network asks for maps of the same sizes step after step. Left alone, the library gives large ones back to the
    system after every use and has each page of the next one cleared again.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    if mallopt(MMAP_THRESHOLD, LARGEST) or mallopt(MMAP_THRESHOLD, LARGEST_BEFORE):
        mallopt(TRIM_THRESHOLD, LARGEST)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of Python, NumPy, PyTorch (CPU or GPU) or OpenCV says that memory does not suffice."""
    if isinstance(error, cv2.error):
        return bool(error.code == cv2.Error.StsNoMem)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MORE)
