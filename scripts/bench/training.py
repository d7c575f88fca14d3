"""Measure a training step with and without each option, and the memory per sample at the paper's crop."""

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.optim import Adam

from a2u.engine.prepare import channels_last
from a2u.models.layers import NormActivation
from a2u.models.networks.resnet34_unet import MattingUNet
from scripts.bench import plain
from scripts.bench.measure import Line, peak_mb, seconds

ROW = {"mode": "dynamic", "sharing": "channel_shared"}  # dynamic-cs
CROP, SAMPLES = 512, 2  # of the paper; pyramid pooling needs two samples


def lines() -> Iterator[Line]:
    step = f"{SAMPLES} x 256 x 256, dynamic-cs"
    without, *others = seconds(
        _step(256), _step(256, last=True), _step(256, fused=True), _step(256, recompute=True), _step(256, bf16=True),
        repeats=2,
    )  # fmt: skip
    names = ("channels last", "fused Adam", "norms that keep one map", "autocast to bfloat16")
    for name, taken in zip(names, others, strict=True):
        yield Line("training step", f"{step}, {name}", "s", taken, without, plain="the step without the option")
    with plain.network():
        large = peak_mb(_step(CROP))
    for name, recompute in (("sums in place", False), ("sums in place, norms that keep one map", True)):
        yield Line(
            group="training step",
            what=f"peak a sample at crop {CROP}, {name}",
            unit="MB",
            ours=peak_mb(_step(CROP, last=True, recompute=recompute)) / SAMPLES,
            reference=large / SAMPLES,
            plain="the network written plainly",
        )


def _step(
    side: int, last: bool = False, fused: bool = False, recompute: bool = False, bf16: bool = False
) -> Callable[[], None]:
    torch.manual_seed(0)
    model: nn.Module = MattingUNet("a2u", ROW)
    if last:
        channels_last(model)
    for part in model.modules():
        if isinstance(part, NormActivation):
            part.recompute = recompute
    optimizer = Adam(model.parameters(), fused=fused)
    x = torch.randn(SAMPLES, 4, side, side)

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = model(x)
        y.float().square().mean().backward()
        optimizer.step()

    return work
