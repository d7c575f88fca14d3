"""Measure time and memory of two ways to do the same, by turns so that both meet the same machine."""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Work = Callable[[], Any]
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # glibc's numbers for mallopt ...
GROWN = 2**25  # ... and what the first grows to by itself, in bytes, the second to twice as much


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        group: the part measured, such as "reassembly".
        what: the case, with sizes.
        unit: of `ours` and `reference`: "s" and "MB" are better small, "1/s" (samples, images a second) large.
        ours: what this program takes.
        reference: what the plain formulation takes; None where there is nothing to compare with.
        target: the ratio that is aimed at, or, without a reference, the value; None: reported only.
        work: GB moved or GFLOP computed at the least, by name, where a ceiling says something.
        ceiling: share of the machine's measured ceiling that is reached, 0..1.
        plain: what the reference does, in words.
    """

    group: str
    what: str
    unit: Literal["s", "MB", "1/s"]
    ours: float
    reference: float | None = None
    target: float | None = None
    work: str = ""
    ceiling: float | None = None
    plain: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the reference."""
        if self.reference is None:
            return None
        return self.ours / self.reference if self.unit == "1/s" else self.reference / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        if self.ratio is not None:
            return self.ratio >= self.target
        return self.ours >= self.target if self.unit == "1/s" else self.ours <= self.target


def seconds(*works: Work, repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Return the median time of each of `works`, which take turns; the first turn warms up and does not count.

    clock: seconds by the wall, or time.process_time for those of all cores.
    """
    times: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for work, taken in zip(works, times, strict=True):
            started = clock()
            work()
            if turn:
                taken.append(clock() - started)
    return [statistics.median(taken) for taken in times]


def peak_mb(work: Work) -> float:
    """Return the peak memory of `work` beyond that of the process before it, in MB (2**20 bytes), after a warm-up.

    Resident memory as Linux counts it, so buffers that libraries allocate by themselves are in it. Freed memory is
    handed back at once meanwhile, or what `work` reuses would not be seen.

    Raises:
        OSError: the system does not let a process reset its peak (anything but Linux).
    """
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(MMAP_THRESHOLD, 2**16)
    try:
        work()
        gc.collect()
        libc.malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at what is resident now
        before = _status("VmRSS")
        work()
        return (_status("VmHWM") - before) / 1024
    finally:
        # or every later array would cost the system's handing out of pages
        libc.mallopt(MMAP_THRESHOLD, GROWN)
        libc.mallopt(TRIM_THRESHOLD, 2 * GROWN)


def peaks_are_known() -> bool:
    """Return whether `peak_mb` works here."""
    try:
        ctypes.CDLL("libc.so.6")
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(key: str) -> int:
    """kB of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])
