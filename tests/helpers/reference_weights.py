"""Weights of the reference networks: each tensor is a function of its name (tests/reference/README.md)."""

import zlib

import numpy as np
import torch


def reference_tensor(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """float64 tensor for the state-dict entry `key`."""
    random = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    a = random.standard_normal(shape)
    if key.endswith("running_var"):
        a = 0.5 + np.abs(a)
    elif len(shape) == 4:
        a = a * np.sqrt(2 / (shape[1] * shape[2] * shape[3]))
    elif key.endswith("weight"):
        a = 1 + 0.2 * a
    else:
        a = 0.1 * a
    return torch.from_numpy(np.asarray(a))
