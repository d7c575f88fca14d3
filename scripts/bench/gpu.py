"""Reassembly, encoding, the released network and a step of Table 1 on a GPU; measured where it is asked for.

Maps lie in memory with the channels last, as in networks. Peaks are what PyTorch has handed out beyond what it had.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from a2u.config import compose
from a2u.engine.cuda_graph import CapturedStep
from a2u.engine.prepare import channels_last, make_model
from a2u.errors import ConfigError
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.upsampling.ops import reassemble_down, reassemble_up
from a2u.upsampling.ops.encoding import encode
from scripts.bench import plain
from scripts.bench.measure import Line, seconds
from scripts.bench.network import PLAIN, RELEASED
from scripts.bench.reassembly import UNFOLD

BATCH, CROP = 8, 512  # of a training step
COPIED = 2**28  # bytes: more than the caches hold
REPEATS = 10


def lines() -> Iterator[Line]:
    """Raises ConfigError where there is no GPU."""
    if not torch.cuda.is_available():
        raise ConfigError("parts=[gpu] measures a GPU, and PyTorch finds none here: leave it out.")
    ceiling = _copy_gb_per_s()
    yield Line("copying", f"{COPIED // 2**20} MB, GB read and written a second", "1/s", ceiling)
    yield from _reassembly("up", reassemble_up, plain.reassemble_up, (BATCH, 64, 128, 128), 3, ceiling)
    yield from _reassembly("down", reassemble_down, plain.reassemble_down, (BATCH, 64, 256, 256), 6, ceiling)
    yield from _encoding(ceiling)
    yield from _forward()
    yield from _steps()
    yield from _captured()


def _now() -> float:
    """Seconds, after everything that was asked of the GPU is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def _seconds(*works: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    return seconds(*works, repeats=repeats, clock=_now)


def _recorded(work: Callable[[], Any]) -> Callable[[], None]:
    """What `work` asks of the GPU, without the time it takes to ask."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def _peak_mb(work: Callable[[], Any]) -> float:
    work()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _copy_gb_per_s() -> float:
    source = torch.ones(COPIED // 4, device="cuda")
    target = torch.empty_like(source)
    (taken,) = _seconds(lambda: target.copy_(source))
    return 2 * COPIED / taken / 1e9


def _map(*size: int, learns: bool = True) -> Tensor:
    return torch.randn(size, device="cuda").contiguous(memory_format=torch.channels_last).requires_grad_(learns)


def _both_ways(
    group: str, what: str, fast: Callable[[], Any], slow: Callable[[], Any], moved: float, ceiling: float, plainly: str
) -> Iterator[Line]:
    """Time on the GPU and peak of a step and its plain formulation. moved: GB read and written at the least."""
    ours, reference = _seconds(_recorded(fast), _recorded(slow))
    yield Line(
        group=group,
        what=f"{what}, forward + backward",
        unit="s",
        ours=ours,
        reference=reference,
        work=f"{moved:.3f} GB",
        ceiling=moved / ceiling / ours,
        plain=plainly,
    )
    yield Line(group, f"{what}, forward + backward, peak", "MB", _peak_mb(fast), _peak_mb(slow), plain=plainly)


def _reassembly(
    direction: str,
    ours: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    size: tuple[int, int, int, int],
    kernel_size: int,
    ceiling: float,
) -> Iterator[Line]:
    n, c, h, w = size
    to_h, to_w = (2 * h, 2 * w) if direction == "up" else (h // 2, w // 2)
    x, grad = _map(*size), _map(n, c, to_h, to_w, learns=False)
    # by sub-position, as A2U makes them
    places = (4, h, w) if direction == "up" else (to_h, to_w)
    kernel = torch.randn(n, kernel_size**2, *places, device="cuda", requires_grad=True)

    def step(function: Callable[..., Tensor]) -> None:
        torch.autograd.grad(function(x, kernel, kernel_size), (x, kernel), grad)

    # x and kernel are read twice and their gradients written; y is written and its gradient read twice
    moved = (3 * x.numel() + 3 * kernel.numel() + 3 * grad.numel()) * 4 / 1e9
    what = f"{direction} {size} -> {to_h} x {to_w}, k = {kernel_size}"
    yield from _both_ways("reassembly", what, partial(step, ours), partial(step, reference), moved, ceiling, UNFOLD)


def _encoding(ceiling: float) -> Iterator[Line]:
    """U*X and V*X of the released network's first operator, in one."""
    x = _map(BATCH, 64, CROP, CROP)
    grad = torch.randn(BATCH, 64, 2, CROP // 2, CROP // 2, device="cuda")
    kernels = torch.randn(BATCH, 2, 1, 6, 6, device="cuda", requires_grad=True)

    def step(function: Callable[..., Tensor]) -> None:
        torch.autograd.grad(function(x, kernels, stride=2), (x, kernels), grad)

    moved = (3 * x.numel() + 3 * grad.numel()) * 4 / 1e9
    what = f"U*X and V*X of dynamic-cs, {tuple(x.shape)}, e = 6"
    works = partial(step, encode), partial(step, plain.encode)
    yield from _both_ways("encoding", what, *works, moved, ceiling, "a convolution for every sample")


def _forward() -> Iterator[Line]:
    model = _network().eval()
    for size in ((512, 512), (1088, 1920)):
        x = torch.randn(1, 4, *size, device="cuda")

        def work(x: Tensor = x) -> None:
            with torch.inference_mode():
                model(x)

        what = f"released network, forward, {size[0]} x {size[1]}"
        ours, reference = _seconds(work, _plainly(work), repeats=4)
        yield Line("network", what, "s", ours, reference, plain=PLAIN)
        yield Line("network", f"{what}, peak", "MB", _peak_mb(work), _peak_mb(_plainly(work)), plain=PLAIN)


def _steps() -> Iterator[Line]:
    """Samples a second of a whole step, and memory a sample."""
    x = torch.randn(BATCH, 4, CROP, CROP, device="cuda")
    plainly = _plainly(_step(_network(), x))
    (slow,), peak = _seconds(plainly, repeats=1), _peak_mb(plainly)
    del plainly
    for name, reduced in (("", False), (", trainer.precision=bfloat16", True)):
        step = _step(_network(), x, reduced)
        what = f"released network, {BATCH} x {CROP} x {CROP}{name}"
        (taken,) = _seconds(step, repeats=4)
        yield Line("training step", what, "1/s", BATCH / taken, BATCH / slow, plain=PLAIN)
        yield Line("training step", f"{what}, peak a sample", "MB", _peak_mb(step) / BATCH, peak / BATCH, plain=PLAIN)


def _captured() -> Iterator[Line]:
    """A step of a row of Table 1 as one graph of the GPU's, and kernel by kernel."""
    cfg = compose(["experiment=table1/maxpool_a2u", "dataset=mnist", "scale=paper"])
    model = make_model(cfg)
    channels_last(model)
    model = model.cuda().train()
    pictures = torch.rand(cfg.trainer.batch_size, 1, 32, 32, device="cuda")

    def loss(batch: Tensor) -> Tensor:
        return nn.functional.l1_loss(model(batch), batch)

    def eager() -> None:
        model.zero_grad(set_to_none=True)
        loss(pictures).backward()

    (reference,) = _seconds(eager)
    (ours,) = _seconds(partial(CapturedStep(model, loss), pictures))
    what = f"table1/maxpool_a2u, batch {len(pictures)}, without the optimizer's, one graph"
    yield Line("training step", what, "s", ours, reference, plain="the same, kernel by kernel")


def _network() -> nn.Module:
    torch.manual_seed(0)
    model = MattingUNet("a2u", RELEASED)
    channels_last(model)
    return model.cuda()


def _plainly(work: Callable[[], Any]) -> Callable[[], Any]:
    def plainly() -> Any:
        with plain.network():
            return work()

    return plainly


def _step(model: nn.Module, x: Tensor, reduced: bool = False) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=reduced):
            y = model(x)
        y.float().square().mean().backward()
        optimizer.step()

    return step
