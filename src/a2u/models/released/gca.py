"""Names of the program released with GCA Matting."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.gca import GCA

# Theirs from ours: every pattern is replaced.
RENAMED = [
    *((rf"encoder\.stem\.{number}\.0\.", f"encoder.conv{number + 1}.") for number in range(3)),
    *((rf"encoder\.stem\.{number}\.1\.", f"encoder.bn{number + 1}.") for number in range(3)),
    (r"encoder\.bottleneck\.", "encoder.layer_bottleneck."),
    (r"encoder\.shortcuts\.", "encoder.shortcut."),
    (r"encoder\.guide\.", "encoder.guidance_head."),
    (r"decoder\.last\.0\.", "decoder.conv1."),
    (r"decoder\.last\.1\.", "decoder.bn1."),
    (r"decoder\.prediction\.", "decoder.conv2."),
    (r"attention\.guidance\.", "gca.guidance_conv."),
    (r"attention\.project\.", "gca.W."),
    (r"^(encoder.*\.)identity\.", r"\1downsample."),
    (r"^(decoder.*\.)identity\.", r"\1upsample."),
    (r"\.norm([12])\.", r".bn\1."),
    (r"\.parametrizations\.weight\.original$", ".module.weight_bar"),
    (r"\.parametrizations\.weight\.0\._([uv])$", r".module.weight_\1"),
]


def network(given: Mapping[str, Tensor]) -> MattingNetwork:
    return GCA()


def network_without_attention(given: Mapping[str, Tensor]) -> MattingNetwork:
    return GCA(attention=False)


def sources(model: nn.Module) -> dict[str, list[str]]:
    """Return the released name of every tensor of our network but batch counters."""
    return {key: [_theirs(key)] for key in model.state_dict() if not key.endswith("num_batches_tracked")}


def _theirs(key: str) -> str:
    for pattern, replacement in RENAMED:
        key = re.sub(pattern, replacement, key)
    return key
