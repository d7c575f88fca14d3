"""Reassembly and the encodings of U and V, forward and backward, against unfold + enlargement + sum."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from a2u.upsampling.ops import encoding, reassemble_down, reassemble_up
from scripts.bench import machine, plain
from scripts.bench.measure import Line, peak_mb, seconds

UNFOLD = "unfold, enlarged to the nearest, multiplied and summed"
LAYOUTS = {"": torch.contiguous_format, ", channels last": torch.channels_last}


def lines() -> Iterator[Line]:
    ceiling = machine.copy_gb_per_s()
    for name, layout in LAYOUTS.items():
        yield from _reassembly("up", reassemble_up, plain.reassemble_up, (2, 64, 128, 128), 3, name, layout, ceiling)
    name, layout = ", channels last", torch.channels_last
    yield from _reassembly("down", reassemble_down, plain.reassemble_down, (2, 64, 256, 256), 6, name, layout, ceiling)
    yield _encode()


def _reassembly(
    direction: str,
    ours: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    size: tuple[int, int, int, int],
    kernel_size: int,
    name: str,
    layout: torch.memory_format,
    ceiling: float,
) -> Iterator[Line]:
    n, c, h, w = size
    to_h, to_w = (2 * h, 2 * w) if direction == "up" else (h // 2, w // 2)
    x = torch.randn(size).contiguous(memory_format=layout).requires_grad_()
    kernel = torch.randn(n, kernel_size**2, to_h, to_w, requires_grad=True)
    grad = torch.randn(n, c, to_h, to_w).contiguous(memory_format=layout)

    def step(function: Callable[..., Tensor]) -> None:
        x.grad = kernel.grad = None
        function(x, kernel, kernel_size).backward(grad)

    works = partial(step, ours), partial(step, reference)
    fast, slow = seconds(*works, repeats=3)
    what = f"{direction} {size} -> {to_h} x {to_w}, k = {kernel_size}{name}, forward + backward"
    # x and kernel are read twice and their gradients written; y is written and its gradient read
    moved = (3 * x.numel() + 3 * kernel.numel() + 2 * grad.numel()) * 4 / 1e9
    yield Line(
        group="reassembly",
        what=what,
        unit="s",
        ours=fast,
        reference=slow,
        target=4,
        work=f"{moved:.3f} GB",
        ceiling=moved / ceiling / fast,
        plain=UNFOLD,
    )
    yield Line("reassembly", f"{what}, peak", "MB", peak_mb(works[0]), peak_mb(works[1]), target=5, plain=UNFOLD)


def _encode() -> Line:
    """U and V of a dynamic row at half the size of a training crop."""
    x = torch.randn(4, 64, 256, 256)
    kernels = torch.randn(4, 1, 1, 5, 5)
    works: list[Callable[[], Any]] = [
        partial(function, x, kernels, stride=2) for function in (encoding.encode, plain.encode)
    ]
    fast, slow = seconds(*works)
    return Line(
        group="kernel generation",
        what="U*X of dynamic-cs, (4, 64, 256, 256), e = 5, forward",
        unit="s",
        ours=fast,
        reference=slow,
        plain="a convolution for every sample",
    )
