"""Reassembly on a CPU by reassembly.c, which the system's C compiler makes at first use (about a second, then kept).

Maps are taken with their channels last, and copied where they are not. Threads share the rows of a result; they do not
wait for each other at every step, so another program on the same cores costs no more than its share.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from a2u.upsampling.ops.cache_folder import cache_folder
from a2u.upsampling.ops.geometry import Geometry, layout

SOURCE = Path(__file__).with_name("reassembly.c")
# Sums may be taken in any order, which vectors need; nothing is assumed about infinities and NaN.
FLAGS = ("-O3", "-march=native", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-shared", "-fPIC")
REALS = {torch.float32: "float", torch.float64: "double"}
ROWS_AT_LEAST = 8  # of a piece of work: fewer are done sooner than handed over


class _Geometry(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_long) for name in ("groups", "channels", "height", "width", "h", "w")),
        *((name, ctypes.c_long) for name in ("size", "up", "stride", "padding")),
        ("kernel", ctypes.c_long * 6),  # from one number of kernel to the next, in each of its directions
    )


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    n, c = x.shape[:2]
    given, x = layout(x), _channels_last(x)
    size = (n, c, geometry.up * geometry.h, geometry.up * geometry.w)
    y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
    _run("forward", x, kernel, geometry, (x, kernel, y), n * geometry.groups * y.shape[2])
    return y.contiguous(memory_format=given)


def backward(
    grad: Tensor, x: Tensor, kernel: Tensor, geometry: Geometry, need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    grad, x = _channels_last(grad), _channels_last(x)
    maps = x.shape[0] * geometry.groups
    grad_x = torch.empty_like(x) if need_x else None
    grad_kernel = torch.empty_like(kernel) if need_kernel else None
    if grad_x is not None:
        _run("backward_x", x, kernel, geometry, (grad, kernel, grad_x), maps * x.shape[2])
    if grad_kernel is not None:
        _run("backward_kernel", x, grad_kernel, geometry, (grad, x, grad_kernel), maps * grad.shape[2])
    return grad_x, grad_kernel


def _run(name: str, x: Tensor, kernel: Tensor, geometry: Geometry, tensors: tuple[Tensor, ...], rows: int) -> None:
    """Call a function of reassembly.c for all `rows` of its result, in as many threads as PyTorch has."""
    sizes = _Geometry(
        geometry.groups,
        x.shape[1] // geometry.groups,
        *x.shape[2:],
        geometry.h,
        geometry.w,
        geometry.kernel_size,
        geometry.up,
        geometry.stride,
        geometry.padding,
        (ctypes.c_long * 6)(*kernel.stride()),
    )
    function = getattr(load(REALS[x.dtype]), name)

    def part(first: int, last: int) -> None:  # which keeps the tensors for as long as it runs, whoever stops waiting
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
        function(ctypes.byref(sizes), *pointers, ctypes.c_long(first), ctypes.c_long(last))

    threads = torch.get_num_threads()
    pieces = min(4 * threads, rows // ROWS_AT_LEAST)  # several a thread, or all would wait for one that is interrupted
    if threads == 1 or pieces <= 1:
        part(0, rows)
        return
    bounds = [rows * piece // pieces for piece in range(pieces + 1)]
    list(_pool(os.getpid(), threads).map(part, bounds[:-1], bounds[1:]))  # until all are done


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Of this process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="reassembly")


@cache
def load(real: str) -> ctypes.CDLL:
    """reassembly.c for numbers of the C type `real`, compiled for this processor.

    Raises:
        OSError, subprocess.CalledProcessError: there is no C compiler, or it fails.
    """
    found = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise OSError("no C compiler (cc, gcc, clang) was found")
    try:
        compiler = shlex.split(found)
    except ValueError as error:
        raise OSError(f"CC={found} cannot be read as a command ({error})") from error
    command = [*compiler, *FLAGS, f"-DREAL={real}", str(SOURCE)]
    mark = hashlib.sha256("\n".join([SOURCE.read_text(), *command[:-1], _processor()]).encode()).hexdigest()
    path = cache_folder() / f"reassembly-{mark[:16]}.so"
    if path.is_file():
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # damaged: made again below
            pass
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")  # so that nobody sees half a file
    os.close(handle)
    try:
        subprocess.run([*command, "-o", part], check=True, capture_output=True, text=True)
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
    return ctypes.CDLL(str(path))


def _processor() -> str:
    """What -march=native depends on: folders may be shared by machines."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    kept = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(kept))])


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)
