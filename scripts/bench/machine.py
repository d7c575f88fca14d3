"""The machine's own ceilings, measured in the same run: copying memory, multiplying matrices."""

import torch

from scripts.bench.measure import seconds

LARGE = 2**27  # bytes: more than caches hold
SIDE = 2048  # of the matrices


def copy_gb_per_s() -> float:
    """Return the GB (1e9 bytes) read and written per second by copying a large array."""
    source = torch.ones(LARGE // 4)
    target = torch.empty_like(source)
    (taken,) = seconds(lambda: target.copy_(source))
    return 2 * LARGE / taken / 1e9


def gflop_per_s() -> float:
    """Return the GFLOP per second of a large float32 matrix product (a multiplication and an addition are two)."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    (taken,) = seconds(lambda: a @ b)
    return 2 * SIDE**3 / taken / 1e9
