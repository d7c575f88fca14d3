"""What an operator reads off the picture, marked so that it can be watched and taken away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from a2u.upsampling.base import Upsampler

Value = TypeVar("Value")


class Content(nn.Module):
    """Returns its input: a map of kernels, index values, offsets or gates.

    An operator passes through it every map by which its result depends on the picture other than by x itself. Hooks on
    this layer watch them, or replace them (`mean_content`); without hooks it changes nothing.
    """

    def forward(self, maps: Tensor, ratio: int = 1) -> Tensor:
        """Return `maps`, (N, ..., r*h, r*w). `ratio`: r, where the sub-positions of a pixel of x are side by side."""
        return maps


@contextmanager
def mean_content(network: nn.Module) -> Iterator[None]:
    """Replace every content inside by its mean over the positions of its picture: an operator without content."""

    def mean(layer: nn.Module, given: tuple[Any, ...], maps: Tensor) -> Tensor:
        return mean_over_positions(maps, *given[1:])

    marked = [part for part in network.modules() if isinstance(part, Content)]
    with removed_at_the_end([part.register_forward_hook(mean) for part in marked]):
        yield


def mean_over_positions(maps: Tensor, ratio: int = 1) -> Tensor:
    """Return the mean over positions at every position, one mean for each of r x r sub-positions: (N, ..., r*h, r*w).

    In float64, so that the mean of equal values is that value.
    """
    blocks = maps.unflatten(-1, (-1, ratio)).unflatten(-3, (-1, ratio))  # (N, ..., h, r, w, r)
    means = blocks.double().mean(dim=(-4, -2), keepdim=True).to(maps.dtype)
    return means.expand_as(blocks).reshape(maps.shape)


def with_guides_of(network: nn.Module, other: Callable[[], object], own: Callable[[], Value]) -> Value:
    """Return `own()`, in which every operator gets the guide that it got in `other()`; each runs the network once.

    Raises:
        ValueError: no operator of the network is given a guide.
    """
    guides: dict[nn.Module, Any] = {}

    def note(operator: nn.Module, given: tuple[Any, ...]) -> None:
        if len(given) > 1 and given[1] is not None:
            guides[operator] = given[1]

    def exchange(operator: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (given[0], guides[operator], *given[2:])

    with removed_at_the_end([part.register_forward_pre_hook(note) for part in readers(network)]):
        other()
    if not guides:
        raise ValueError(f"{type(network).__name__} gives no upsampling operator a guide that could be exchanged.")
    with removed_at_the_end([operator.register_forward_pre_hook(exchange) for operator in guides]):
        return own()


def readers(network: nn.Module) -> list[Upsampler]:
    """Return the operators of a network that read a guide."""
    operators = [part for part in network.modules() if isinstance(part, Upsampler)]
    return [operator for operator in operators if operator.reads_guide or operator.paired]


@contextmanager
def removed_at_the_end(hooks: list[RemovableHandle]) -> Iterator[None]:
    """Remove hooks of PyTorch on leaving the context."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
