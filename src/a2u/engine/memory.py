"""Freed memory stays with the process: a network asks for maps of the same sizes step after step."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's numbers of what may be set, malloc.h
LARGEST, LARGEST_BEFORE = 2**30, 2**25  # bytes; older releases of glibc refuse more than the second as MMAP_THRESHOLD


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, up to 1 GiB, where it is glibc; elsewhere nothing happens.

    Left alone it gives large maps back to the system after every use and has each page of the next one cleared again.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    if mallopt(MMAP_THRESHOLD, LARGEST) or mallopt(MMAP_THRESHOLD, LARGEST_BEFORE):
        mallopt(TRIM_THRESHOLD, LARGEST)
