"""Exponential moving average of a network's weights and statistics (trainer.ema)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of a network's state over the steps of training.

    Early on it follows faster, by a decay of (1 + step) / (10 + step), so that the initial values are forgotten.

    Args:
        model: the network, whose present state the average starts from.
        decay: per step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {key: value.clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the network's state after a number of steps."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, share)
            else:
                self.state[key].copy_(value)

    @contextmanager
    def inside(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the network; afterwards it has its own state again."""
        own = {key: value.clone() for key, value in model.state_dict().items()}
        model.load_state_dict(self.state)
        try:
            yield
        finally:
            model.load_state_dict(own)
