"""A network's local steps on whole maps, or on one tile of an image after another."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from a2u.upsampling import Upsampler
from a2u.upsampling.global_layers import Average, GlobalLayer, GroupNorm, Tile

ALIGNED = 16  # every border between tiles is a multiple of it, in pixels: no map of the network is smaller than 1/16
Through = Mapping[nn.Module, int]  # the parts that an output passes through, each with the stride of its smaller map
Shares = dict[GlobalLayer, list[Tensor]]  # of every tile


class Steps:
    """Computes a network's local steps: here on whole maps, which needs nothing but the step itself."""

    def __call__(self, step: Callable[..., Any], *maps: Tensor | None, through: Through) -> Any:
        """What `step` makes of the maps: a map, or a tuple of maps; some maps may be None.

        through: for tiles, what decides how much margin they need.
        """
        return step(*maps)

    def collect_statistics(
        self, operator: Upsampler, feature: Callable[..., Tensor], *maps: Tensor | None, through: Through
    ) -> None:
        """Let an operator know the whole of `feature` of the maps, before the steps that use it."""
        return


AT_ONCE = Steps()


class Tiles(Steps):
    """Computes them tile by tile, each with the margin that makes it exact, as a context in which totals are known.

    Only what a step takes and gives is kept for the whole image; what it has in between, for one tile.

    Args:
        image: height and width, multiples of 16.
        side: of a tile without its margin, a multiple of 16.
    """

    def __init__(self, image: tuple[int, int], side: int) -> None:
        self.image, self.side = image, side
        self.known: list[GlobalLayer] = []

    def __enter__(self) -> "Tiles":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for part in self.known:
            part.total = None

    def __call__(self, step: Callable[..., Any], *maps: Tensor | None, through: Through) -> Any:
        wholes: list[Tensor] = []
        for tile in self._tiles(through):
            made = step(*_cut(tile, maps))
            parts = made if isinstance(made, tuple) else (made,)
            wholes = wholes or [_empty(tile, part) for part in parts]
            for part, whole in zip(parts, wholes, strict=True):
                tile.paste(part, whole)
        return tuple(wholes) if isinstance(made, tuple) else wholes[0]

    def collect_statistics(
        self, operator: Upsampler, feature: Callable[..., Tensor], *maps: Tensor | None, through: Through
    ) -> None:
        averages = [part for part in operator.modules() if isinstance(part, Average)]
        norms = [part for part in operator.modules() if isinstance(part, GroupNorm)]
        if averages:
            shares: Shares = {part: [] for part in averages}
            for tile in self._tiles(through):
                _add(shares, feature(*_cut(tile, maps)), tile)
            self._know(shares)
        if norms:  # second, since what a norm is given may depend on averages
            shares = {part: [] for part in norms}
            for tile in self._tiles(through):
                with _noting(shares, tile):
                    operator.collect_statistics(feature(*_cut(tile, maps)))
            self._know(shares)

    def _know(self, shares: Shares) -> None:
        for part, of_tiles in shares.items():
            part.total = torch.stack(of_tiles).sum(dim=0)
            self.known.append(part)

    def _tiles(self, through: Through) -> Iterator[Tile]:
        margin = sum(stride * reach(part) for part, stride in through.items())
        margin = -(-margin // ALIGNED) * ALIGNED
        height, width = self.image
        for top in range(0, height, self.side):
            for left in range(0, width, self.side):
                own = slice(top, min(top + self.side, height)), slice(left, min(left + self.side, width))
                rows, columns = (
                    slice(max(line.start - margin, 0), min(line.stop + margin, length))
                    for line, length in zip(own, self.image, strict=True)
                )
                yield Tile(self.image, (rows, columns), own)


def _add(shares: Shares, x: Tensor, tile: Tile) -> None:
    for part, of_tiles in shares.items():
        of_tiles.append(part.partial_sum(x, tile))


@contextmanager
def _noting(shares: Shares, tile: Tile) -> Iterator[None]:
    """Note the share of every part that is called meanwhile."""

    def note(part: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(part, GlobalLayer)
        shares[part].append(part.partial_sum(given[0], tile))

    hooks = [part.register_forward_pre_hook(note) for part in shares]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def reach(part: nn.Module) -> int:
    """Pixels to each side that an output of `part` reads: windows add up as if all stood in a row."""
    if isinstance(part, Upsampler):
        assert part.reach is not None
        return part.reach
    pixels = 0
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            pixels += module.kernel_size[0] // 2 * module.dilation[0]
        elif isinstance(module, nn.MaxPool2d):
            pixels += int(module.kernel_size) // 2  # type: ignore[arg-type]
    return pixels


def _cut(tile: Tile, maps: tuple[Tensor | None, ...]) -> list[Tensor | None]:
    return [None if whole is None else tile.cut(whole) for whole in maps]


def _empty(tile: Tile, part: Tensor) -> Tensor:
    """Room for a map of the whole image, of which `part` is the tile's."""
    height, width = (length // tile.stride(part) for length in tile.image)
    return part.new_empty(*part.shape[:-2], height, width)
