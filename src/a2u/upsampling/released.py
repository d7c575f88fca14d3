"""Operators with the weights of their authors' released programs."""

from collections.abc import Mapping
from typing import Any

import torch

from a2u.upsampling import Upsampler, build_upsampler


def load_operator(name: str, weights: Mapping[str, Any], channels: int, **options: Any) -> Upsampler:
    """Build an operator that computes what the authors' released program computes with these weights.

    Args:
        name: the operator.
        weights: tensors or arrays by the released program's parameter names. A linear map (d, C) and a 1x1
            convolution (d, C, 1, 1) are the same.
        channels: C.
        options: the operator's; they must describe the released program.

    Returns:
        The operator in evaluation mode, in the dtype of the weights.

    Raises:
        ValueError: no such operator or option, no known released program, or tensors that are missing, unknown, of
            another shape, masked or not floating-point; all are listed.
    """
    operator = build_upsampler(name, channels, **options)
    names = operator.released_names
    if names is None:
        raise ValueError(
            f"no released program of the operator {name!r} is known; whole released networks are read by "
            "a2u.models.released.load_released."
        )
    given = {theirs: torch.as_tensor(value) for theirs, value in weights.items()}
    ours = {released_name(key, names): key for key in operator.state_dict()}
    wanted = {theirs: operator.state_dict()[key] for theirs, key in ours.items()}
    shapes = {theirs: value.shape for theirs, value in wanted.items()}
    wrong = [
        *(f"{theirs} is missing" for theirs in ours if theirs not in given),
        *(f"{theirs} is unknown" for theirs in given if theirs not in ours),
        *(
            f"{theirs} is {tuple(given[theirs].shape)} instead of {tuple(shape)}"
            for theirs, shape in shapes.items()
            if theirs in given and _without_window(given[theirs].shape) != _without_window(shape)
        ),
        *(
            f"{theirs} is of {given[theirs].dtype}, not floating-point"
            for theirs, value in wanted.items()
            if theirs in given and value.is_floating_point() and not given[theirs].is_floating_point()
        ),
        *(f"{theirs} is a masked array" for theirs, value in weights.items() if hasattr(value, "mask")),
    ]
    if wrong:
        raise ValueError(f"these are not the released weights of {name} with these options: {'; '.join(wrong)}.")
    if given:
        operator.to(next(iter(given.values())).dtype)
    operator.load_state_dict({key: given[theirs].reshape(shapes[theirs]) for theirs, key in ours.items()})
    return operator.eval()


def released_name(key: str, names: Mapping[str, str]) -> str:
    """Replace the longest part of a parameter's name that `names` (ours -> theirs) knows, from its start."""
    parts = key.split(".")
    for count in range(len(parts), 0, -1):
        start = ".".join(parts[:count])
        if start in names:
            return ".".join([names[start], *parts[count:]])
    return key


def _without_window(shape: torch.Size) -> tuple[int, ...]:
    """A shape without the 1 x 1 of a convolution."""
    return tuple(shape[:2]) if tuple(shape[2:]) == (1, 1) else tuple(shape)
