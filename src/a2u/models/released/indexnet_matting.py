"""Names of the program released with IndexNet Matting; its four index branches are one convolution here."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.indexnet_matting import LAYERS, IndexNetMatting

# torchvision's position in an inverted residual block -> theirs; the first layer has no expansion.
EXPANDED = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}
NOT_EXPANDED = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}
POOLING = {"point": "aspp1.atrous_conv", "whole.1": "global_avg_pool", "reduce": "bottleneck_conv"}


def network(given: Mapping[str, Tensor]) -> MattingNetwork:
    branch = given.get("index0.indexnet1.0.weight")  # (hidden * C, C, 4, 4)
    return IndexNetMatting(hidden=2 if branch is None else max(1, branch.shape[0] // branch.shape[1]))


def sources(model: nn.Module) -> dict[str, list[str]]:
    """Return the released names, one per branch, of every tensor of our network but batch counters."""
    return {key: _theirs(key) for key in model.state_dict() if not key.endswith("num_batches_tracked")}


def _theirs(key: str) -> list[str]:
    part, _, rest = key.partition(".")
    if part == "encoder":
        return [_encoder(rest)]
    if part == "index":
        level, _, tensor = rest.removeprefix(".").partition(".index.")
        return [f"index{level}.indexnet{branch}.{tensor}" for branch in (1, 2, 3, 4)]
    if part == "context":
        return [f"dconv_pp.{_pooling(rest)}"]
    if part == "decoder":
        level, tensor = rest.split(".", 1)
        return [f"decoder_layer{level}.dconv.{_conv_norm(tensor)}"]
    return [f"pred.0.{_conv_norm(rest[2:])}" if rest.startswith("0.") else f"pred.{rest}"]


def _encoder(rest: str) -> str:
    """features.<block>.<...> -> layer<layer>.<block in it>.<...>"""
    _, number, tensor = rest.split(".", 2)
    block = int(number)
    if block == 0:
        return f"layer0.{tensor}"
    block -= 1
    for layer, (expansion, _, blocks, _) in enumerate(LAYERS, start=1):
        if block < blocks:
            position, _, name = tensor.removeprefix("conv.").rpartition(".")
            return f"layer{layer}.{block}.conv.{(NOT_EXPANDED if expansion == 1 else EXPANDED)[position]}.{name}"
        block -= blocks
    raise AssertionError(rest)


def _pooling(rest: str) -> str:
    dilated = re.match(r"dilated\.(\d)\.(\d)(?:\.0)?\.(.*)", rest)
    if dilated:
        branch, position, name = dilated.groups()
        return f"aspp{int(branch) + 2}.atrous_conv.{ {'0': 0, '1': 1, '2': 3, '3': 4}[position] }.{name}"
    ours = next(ours for ours in POOLING if rest.startswith(f"{ours}."))
    position, _, name = rest.removeprefix(f"{ours}.").partition(".")
    # within the global branch the pooling itself is number 0
    return f"{POOLING[ours]}.{int(position) + (ours == 'whole.1')}.{name.removeprefix('0.')}"


def _conv_norm(tensor: str) -> str:
    """Convolution 0 and norm 1.0 of a ConvNorm -> 0 and 1."""
    return re.sub(r"^1\.0\.", "1.", tensor)
