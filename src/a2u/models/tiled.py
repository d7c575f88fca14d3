"""Compute a network on a large image tile by tile, with the result it gives for the whole image (docs/large-images.md).

Only the maps between two steps are kept for the whole image; what a step has inside, for one tile. Each tile has a
margin as wide as its step reads, so the result is exact. Averages and group norms over the whole map are summed up over
the tiles first (a2u.upsampling.global_layers).

This is for one network: `tiled` takes the steps of MattingUNet.forward, and `_encode` those of its encoders, with the
same parts in the same order. Change them together; tests/engine/test_tiles.py compares every row.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from a2u.models.build import count_parameters
from a2u.models.decoder import DecoderStage
from a2u.models.encoders import Encoded, Encoder, ResNet34, downsample, reduce
from a2u.models.layers import BasicBlock
from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.upsampling import Upsampler
from a2u.upsampling.global_layers import Average, GlobalLayer, GroupNorm, Tile

ALIGNED = 16  # tiles begin and end at multiples of it, in pixels: the smallest map of the network is at 1/16
SMALLEST = 128  # pixels; margins are up to 80
WINDOWS = (nn.Conv2d, nn.MaxPool2d)  # layers that read more than one position; `radius` says how far
POINTWISE = (nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish)
ReceptiveField = Mapping[nn.Module, int]  # the modules that a step runs, each with the stride of its smaller map


def tiled(network: MattingNetwork, x: Tensor, side: int) -> Tensor:
    """Return `network(x)`, up to rounding, computed in tiles of side x side pixels.

    Args:
        network: in evaluation mode; see `check_tile`.
        x: (N, 4, H, W), as the network takes it.
        side: a multiple of 16, at least 128.

    Returns:
        (N, 1, H, W).

    Raises:
        ValueError: the network cannot be computed in tiles or is in training mode, or an impossible side.
    """
    check_tile(network, side)
    if not isinstance(network, MattingUNet):
        return network(x)  # holds nothing but the image
    if network.training:
        raise ValueError("a network is trained on whole crops: tiles are for evaluation, call eval() first.")
    network.check_input(x)
    operators = [operator for operator in network.upsamplers if isinstance(operator, Upsampler)]
    with Tiles((x.shape[-2], x.shape[-1]), side) as tiles:
        features, guides = _encode(network.encoder, x, operators, tiles)
        y = network.aspp(features.pop())  # at 1/16 maps are small: never divided
        skips = [x, *features]
        del features  # each map is freed once it is used: those of a large image do not all fit
        for numbers in ([0], [1], [2, 3]):  # the last two in one pass: the map between them would be the largest
            given = [(skips.pop(), guides.pop()) for _ in numbers]
            y = _decode(network, numbers, y, given, tiles)
    return y


def check_tile(network: MattingNetwork, side: int) -> None:
    """Raise ValueError unless the network can be computed in tiles of that side, in pixels."""
    laid_out = isinstance(network, MattingUNet) or count_parameters(network) == 0
    reason = network.indivisible or (None if laid_out else MattingNetwork.indivisible)
    if reason is not None:
        raise ValueError(f"{type(network).__name__} takes an image whole and cannot divide it into tiles: {reason}.")
    if not isinstance(network, MattingUNet):
        return
    if side < SMALLEST or side % ALIGNED:
        raise ValueError(
            f"a tile's side must be a multiple of {ALIGNED} and at least {SMALLEST} pixels, or its margins would be "
            f"most of the work; got {side}."
        )
    operator = network.upsamplers[0]
    assert isinstance(operator, Upsampler)
    if operator.reach is None:
        raise ValueError(
            f"{operator.name} does not say how far its output reaches (Upsampler.reach), so an image cannot be "
            "divided into tiles."
        )
    for layer in network.encoder.modules():
        if not _has_known_reach(layer):
            raise ValueError(
                f"the encoder has a layer {type(layer).__name__}, and how far its output reaches is not known, so an "
                "image cannot be divided into tiles."
            )


def _has_known_reach(layer: nn.Module) -> bool:
    """Return whether `layer` is made of others, or reads no more of a map than `radius` counts."""
    norm_by_statistics = getattr(layer, "running_mean", None) is not None  # of inplace_abn, too
    return bool(list(layer.children())) or norm_by_statistics or isinstance(layer, WINDOWS + POINTWISE)


def _encode(encoder: Encoder, x: Tensor, operators: list[Upsampler], tiles: "Tiles") -> Encoded:
    if isinstance(encoder, ResNet34) and encoder.reduces:
        return _encode_reduced(encoder, x, operators, tiles)
    *levels, last = encoder.levels()
    features = [x]
    for number, level in enumerate(levels, start=1):
        features.append(tiles.map(level, features[-1], field={level: 2**number}))
    return [*features[1:], last(features[-1])], [None] * 4


def _encode_reduced(encoder: ResNet34, x: Tensor, operators: list[Upsampler], tiles: "Tiles") -> Encoded:
    """The steps of ResNet34._forward_reduced."""
    to_eighth, to_quarter, to_half, to_full = operators
    half, full_guide = _downsample(x, encoder.stem, to_full, 2, tiles)
    pooled, half_guide = _downsample(half, nn.Identity(), to_half, 4, tiles)
    quarter = tiles.map(encoder.layer1, pooled, field={encoder.layer1: 4})
    eighth, quarter_guide = _reduce(quarter, encoder.layer2[0], to_quarter, 8, tiles)
    eighth = tiles.map(encoder.layer2[1:], eighth, field={encoder.layer2: 8})
    sixteenth, eighth_guide = _reduce(eighth, encoder.layer3[0], to_eighth, 16, tiles)
    sixteenth = encoder.layer3[1:](sixteenth)
    return [half, quarter, eighth, sixteenth], [full_guide, half_guide, quarter_guide, eighth_guide]


def _downsample(x: Tensor, layer: nn.Module, operator: Upsampler, stride: int, tiles: "Tiles") -> tuple[Tensor, Any]:
    field = {layer: stride, operator: stride}
    if operator.paired:
        tiles.collect_statistics(operator, layer, x, field=field)
    return tiles.map(lambda part: downsample(operator, layer(part)), x, field=field)


def _reduce(x: Tensor, block: nn.Module, operator: Upsampler, stride: int, tiles: "Tiles") -> tuple[Tensor, Any]:
    assert isinstance(block, BasicBlock)
    field: ReceptiveField = {block: stride, operator: stride}
    if operator.paired:
        tiles.collect_statistics(operator, block.conv1, x, field=field)
    return tiles.map(lambda part: reduce(block, part, operator), x, field=field)


def _decode(
    network: MattingUNet, numbers: list[int], y: Tensor, given: list[tuple[Tensor, Any]], tiles: "Tiles"
) -> Tensor:
    """Run the decoder stages of these numbers, after the last one the prediction. given: skip and guide of each."""
    last = numbers[-1] == len(network.stages) - 1
    field: dict[nn.Module, int] = {network.prediction: 1} if last else {}
    for number, (skip, guide) in zip(numbers, given, strict=True):
        stage, operator = _stage(network, number)
        stride = 8 >> number  # of the stage's output
        here: dict[nn.Module, int] = {stage: stride, operator: 2 * stride}
        field |= here
        if guide is None:
            tiles.collect_statistics(operator, stage.shortcut, skip, field=here)
        elif not operator.paired:  # a paired operator collected them where it downsampled
            tiles.collect_statistics(operator, nn.Identity(), guide, field=here)

    def decode(y: Tensor, *maps: Any) -> Tensor:
        for number, skip, guide in zip(numbers, maps[::2], maps[1::2], strict=True):
            stage, operator = _stage(network, number)
            y = stage(y, skip, operator, guide)
        return network.prediction(y) if last else y

    return tiles.map(decode, y, *(each for pair in given for each in pair), field=field)


def _stage(network: MattingUNet, number: int) -> tuple[DecoderStage, Upsampler]:
    stage, operator = network.stages[number], network.upsamplers[number]
    assert isinstance(stage, DecoderStage)
    assert isinstance(operator, Upsampler)
    return stage, operator


class Tiles:
    """The tiles of an image. A context: on leaving it, the network forgets the image's statistics.

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
        for layer in self.known:
            layer.total = None

    def map(self, step: Callable[..., Any], *maps: Tensor | None, field: ReceptiveField) -> Any:
        """Return `step(*maps)`, a map or a tuple of maps, computed tile by tile; some of the maps may be None."""
        wholes: list[Tensor] = []
        for tile in self._tiles(field):
            made = step(*_cut(tile, maps))
            parts = made if isinstance(made, tuple) else (made,)
            wholes = wholes or [_empty(tile, part) for part in parts]
            for part, whole in zip(parts, wholes, strict=True):
                tile.paste(part, whole)
        return tuple(wholes) if isinstance(made, tuple) else wholes[0]

    def collect_statistics(
        self, operator: Upsampler, guide: Callable[..., Tensor], *maps: Tensor | None, field: ReceptiveField
    ) -> None:
        """Give the operator's averages and group norms their values for the whole guide, `guide(*maps)`."""
        averages = [layer for layer in operator.modules() if isinstance(layer, Average)]
        norms = [layer for layer in operator.modules() if isinstance(layer, GroupNorm)]
        if averages:
            sums: dict[GlobalLayer, list[Tensor]] = {layer: [] for layer in averages}
            for tile in self._tiles(field):
                part = guide(*_cut(tile, maps))
                for layer in averages:
                    sums[layer].append(layer.partial_sum(part, tile))
            self._set_totals(sums)
        if norms:  # second, since what a norm is given may depend on averages
            sums = {layer: [] for layer in norms}
            for tile in self._tiles(field):
                with _adding_partial_sums(sums, tile):
                    operator.collect_statistics(guide(*_cut(tile, maps)))
            self._set_totals(sums)

    def _set_totals(self, sums: Mapping[GlobalLayer, list[Tensor]]) -> None:
        for layer, of_tiles in sums.items():
            layer.total = torch.stack(of_tiles).sum(dim=0)
            self.known.append(layer)

    def _tiles(self, field: ReceptiveField) -> Iterator[Tile]:
        margin = sum(stride * radius(module) for module, stride in field.items())
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


@contextmanager
def _adding_partial_sums(sums: Mapping[GlobalLayer, list[Tensor]], tile: Tile) -> Iterator[None]:
    """Let every layer that runs inside add its partial sum."""

    def add(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, GlobalLayer)
        sums[layer].append(layer.partial_sum(given[0], tile))

    hooks = [layer.register_forward_pre_hook(add) for layer in sums]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def radius(module: nn.Module) -> int:
    """Return how many pixels to each side an output of `module` reads, as if all its windows were in sequence."""
    if isinstance(module, Upsampler):
        assert module.reach is not None
        return module.reach
    pixels = 0
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            pixels += max(size // 2 * dilation for size, dilation in zip(part.kernel_size, part.dilation, strict=True))
        elif isinstance(part, nn.MaxPool2d):
            pixels += int(part.kernel_size) // 2  # type: ignore[arg-type]
    return pixels


def _cut(tile: Tile, maps: tuple[Tensor | None, ...]) -> list[Tensor | None]:
    return [None if whole is None else tile.cut(whole) for whole in maps]


def _empty(tile: Tile, part: Tensor) -> Tensor:
    """Allocate the map of the whole image that `part` is a tile of."""
    height, width = (length // tile.stride(part) for length in tile.image)
    return part.new_empty(*part.shape[:-2], height, width)
