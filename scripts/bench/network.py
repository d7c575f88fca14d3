"""The released network (dynamic, paired, normalised) as a whole, against the same written plainly, on a CPU."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from a2u.engine.prepare import channels_last
from a2u.models.layers import NormActivation
from a2u.models.networks.resnet34_unet import MattingUNet
from scripts.bench import machine, plain
from scripts.bench.measure import Line, peak_mb, seconds

RELEASED = {"encoder_kernel_size": 6, "paired": True, "normalise_uv": True}
PLAIN = "the same network with operators by unfold and a loop over the batch, rows of a map side by side"


def lines() -> Iterator[Line]:
    torch.manual_seed(0)
    ours, reference = MattingUNet("a2u", RELEASED), MattingUNet("a2u", RELEASED)
    reference.load_state_dict(ours.state_dict())
    channels_last(ours)
    ceiling = machine.gflop_per_s()
    for side in (256, 512):
        works = _forward(ours.eval(), side), _plainly(_forward(reference.eval(), side))
        fast, slow = seconds(*works, repeats=2)
        gflop = _gflop(works[0])
        yield Line(
            group="network",
            what=f"forward, {side} x {side}",
            unit="s",
            ours=fast,
            reference=slow,
            target=3,
            work=f"{gflop:.0f} GFLOP",
            ceiling=gflop / fast / ceiling,
            plain=PLAIN,
        )
    small, large = (peak_mb(work) for work in works)
    yield Line("network", "forward, 512 x 512, peak", "MB", small, large, target=3, plain=PLAIN)

    steps = _step(ours.train(), 256), _plainly(_step(reference.train(), 256))
    fast, slow = seconds(*steps, repeats=1)
    what = "training step without the optimizer's, 2 x 256 x 256"
    yield Line("network", what, "s", fast, slow, target=5, plain=PLAIN)
    small, large = (peak_mb(step) for step in steps)
    yield Line("network", f"{what}, peak", "MB", small, large, target=3, plain=PLAIN)
    for part in ours.modules():
        if isinstance(part, NormActivation):
            part.recompute = True
    lean = peak_mb(steps[0])
    yield Line("network", f"{what}, peak, norms that keep one map", "MB", lean, large, target=3, plain=PLAIN)


def _gflop(work: Callable[[], Any]) -> float:
    """Of its convolutions and matrix products, a multiplication and an addition being two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def _forward(model: nn.Module, side: int) -> Callable[[], Tensor]:
    x = torch.randn(1, 4, side, side)

    def work() -> Tensor:
        with torch.inference_mode():
            return model(x)

    return work


def _step(model: nn.Module, side: int) -> Callable[[], None]:
    x = torch.randn(2, 4, side, side)

    def work() -> None:
        model.zero_grad(set_to_none=True)
        model(x).square().mean().backward()

    return work


def _plainly(work: Callable[[], Any]) -> Callable[[], Any]:
    def plainly() -> Any:
        with plain.network():
            return work()

    return plainly
