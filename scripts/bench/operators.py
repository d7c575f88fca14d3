"""Every operator of the gallery in docs/operators.md, forward and with the backward pass, next to nearest."""

from collections.abc import Iterator

import torch

from a2u.reproduce.gallery import ENTRIES, SHOWN, SIDE, Entry, measurements, upsample
from scripts.bench.measure import Line, Work, peak_mb, seconds


def lines() -> Iterator[Line]:
    nearest = [_work(ENTRIES[0], backward) for backward in (False, True)]
    of_nearest = [peak_mb(work) for work in nearest]
    for entry in ENTRIES:
        works = [_work(entry, backward) for backward in (False, True)]
        names = iter(measurements(entry))
        for work, reference, peak in zip(works, nearest, of_nearest, strict=True):
            time, nearest_time = seconds(work, reference, repeats=3)
            yield Line("operators", next(names), "s", time, nearest_time, plain="nearest")
            yield Line("operators", next(names), "MB", peak_mb(work), peak, plain="nearest")


def _work(entry: Entry, backward: bool, side: int = SIDE) -> Work:
    """Channels last, as networks run; with gradients of the parameters, of x and of the guide."""
    torch.manual_seed(0)
    operator = entry.build(SHOWN).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, feature = (
        torch.randn(1, SHOWN, height, height).to(memory_format=torch.channels_last).requires_grad_()
        for height in (side, 2 * side)
    )

    def forward() -> None:
        with torch.inference_mode():
            upsample(operator, x, feature)

    def step() -> None:
        operator.zero_grad(set_to_none=True)
        x.grad = feature.grad = None
        upsample(operator, x, feature).sum().backward()

    return step if backward else forward
