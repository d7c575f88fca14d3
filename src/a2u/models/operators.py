"""Build the upsampling operators of a network."""

from collections.abc import Sequence
from typing import Any

import torch

from a2u.upsampling import Upsampler, build_upsampler
from a2u.upsampling.initialise import Scheme, initialise

DEFAULT_OPERATOR = "nearest"  # of a configuration (configs/train.yaml), so a network may ignore it without a word


def build_operators(
    upsampler: str, options: dict[str, Any] | None, channels: Sequence[int], initial_values: Scheme = "xavier"
) -> list[Upsampler]:
    """Build one operator for each entry of `channels`.

    They draw their initial values from a generator of their own, so that one seed gives the network around them the
    same initial weights whatever the operator.

    Raises:
        ValueError: no such operator, an impossible option, or a ratio other than 2.
    """
    seed = int(torch.randint(2**31, (), device="cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        operators = [build_upsampler(upsampler, count, **(options or {})) for count in channels]
        if initial_values != "xavier":  # which an operator starts with by itself
            for operator in operators:
                initialise(operator, initial_values)
    if operators[0].ratio != 2:
        raise ValueError(f"every stage of the network doubles: upsampler.ratio must be 2; got {operators[0].ratio}.")
    return operators
