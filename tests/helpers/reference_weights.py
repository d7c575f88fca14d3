"""Weights of the reference networks: each tensor is a function of its name (tests/reference/README.md)."""

import zlib
from collections.abc import Mapping

import numpy as np
import torch


def reference_tensor(key: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """float64 tensor for the state-dict entry `key`."""
    random = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    a = random.standard_normal(shape)
    if key.endswith("running_var"):
        a = 0.5 + np.abs(a)
    elif len(shape) == 4:
        a *= np.sqrt(2 / (shape[1] * shape[2] * shape[3]))  # in place: one network has 130 million values
    elif key.endswith("weight"):
        a = 1 + 0.2 * a
    else:
        a = 0.1 * a
    return torch.from_numpy(np.asarray(a))


def reference_state(shapes: Mapping[str, list[int]], seed: int = 20210) -> dict[str, torch.Tensor]:
    """The whole state dict of a reference network; batch counters are left out."""
    state = {}
    for key, shape in shapes.items():
        if not key.endswith(("num_batches_tracked", "weight_u", "weight_v")):
            state[key] = reference_tensor(key, tuple(shape), seed)
    for key in [key for key in state if key.endswith("weight_bar")]:
        # spectral normalisation keeps the leading singular vectors next to the weight
        weight = state[key].flatten(1)
        left = torch.linalg.eigh(weight @ weight.T).eigenvectors[:, -1]  # a tenth of the time of all singular vectors
        right = weight.T @ left
        state[key.removesuffix("bar") + "u"], state[key.removesuffix("bar") + "v"] = left, right / right.norm()
    return state


def tensorflow_state(shapes: Mapping[str, list[int]], seed: int = 20210) -> dict[str, np.ndarray]:
    """The variables of the Context-Aware Matting program by name, float32, in TensorFlow's layout."""
    state = {}
    for name, shape in shapes.items():
        random = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
        a = random.standard_normal(shape)
        match name.rpartition("/")[2]:
            case "weights":
                a *= np.sqrt(1 / np.prod(shape[:3]))
            case "depthwise_weights":
                a *= np.sqrt(1 / np.prod(shape[:2]))
            case "gamma":
                a = 1 + 0.2 * a
            case "moving_variance":
                a = 0.5 + np.abs(a)
            case _:
                a *= 0.1
        state[name] = a.astype(np.float32)
    return state
