"""SAPA: kernels from the similarity of the guide with the decoder feature around it."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.channel_norm import ChannelNorm
from a2u.upsampling.content import Content
from a2u.upsampling.global_layers import GroupNorm
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops import reassemble_up
from a2u.upsampling.ops.similarity import window_similarity


class SAPA(Upsampler):
    """Similarity-aware point affiliation (Lu et al., NeurIPS 2022).

    Each position of the guide is a query, each pixel of the decoder feature a key; a kernel is the softmax of a query's
    inner products with the k x k keys around it. So a position takes its value from pixels that look alike.

    Parameters: i: 0; b: 4C + 2d(C + 1); g: 5C + 1 + 3d(C + 1), shared d(C + 1) less; cat: 4C + d(3C + 2).

    Args:
        channels: C, of the decoder feature and of the guide.
        variant: what query and key are. "i": the normalised features. "b": 1x1 convolutions of them to d channels.
            "g": the query is a mixture of "b" and of an embedding of the decoder feature, by a gate generated from
            that. "cat": the query is a 1x1 convolution of both features together.
        kernel_size: k, odd.
        embedding: d; not read by "i". The released default is 64, the published parameter counts need 32.
        norm: of both features. "layer": over the channels of a pixel. "group": 32 groups, over the whole map; C must
            be divisible by 32.
        shared_embedding: embed the decoder feature in the query of "g" by the weights that embed it in the key. The
            published parameter count fits this, the released program has weights of their own.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "sapa"
    has_kernels = True
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {
        "norm_guide": "norm_y",
        "query": "q",
        "query_guide": "qy",
        "query_x": "qx",
        "key": "k",
    }

    def __init__(
        self,
        channels: int,
        variant: Literal["i", "b", "g", "cat"] = "b",
        kernel_size: int = 5,
        embedding: int = 32,
        norm: Literal["layer", "group"] = "layer",
        shared_embedding: bool = False,
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        if variant not in ("i", "b", "g", "cat"):
            raise ValueError(f"sapa: variant must be one of i, b, g, cat; got {variant!r}.")
        if norm not in ("layer", "group"):
            raise ValueError(f"sapa: norm must be layer or group; got {norm!r}.")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"sapa: kernel_size must be odd, its window is centred; got {kernel_size}.")
        if embedding < 1:
            raise ValueError(f"sapa: embedding must be at least 1; got {embedding}.")
        if norm == "group" and channels % 32:
            raise ValueError(f"sapa: norm=group needs channels that 32 divides; got {channels}. Set norm=layer.")
        if shared_embedding and variant != "g":
            raise ValueError(f"sapa: shared_embedding is for variant=g; variant={variant} has one embedding of x.")
        self.variant = variant
        self.kernel_size = kernel_size
        self.reach = kernel_size // 2 if norm == "layer" else None
        self.content = Content()
        learned = variant != "i"
        self.norm_guide, self.norm_x = (_norm(norm, channels, learned) for _ in range(2))
        embed = partial(nn.Conv2d, out_channels=embedding, kernel_size=1)
        self.key = embed(channels) if learned else nn.Identity()
        if variant == "b":
            self.query = embed(channels)
        elif variant == "cat":
            self.query = embed(2 * channels)
        elif variant == "g":
            self.query_guide = embed(channels)
            self.query_x = self.key if shared_embedding else embed(channels)
            self.gate = nn.Conv2d(channels, 1, kernel_size=1)
            self.sigmoid = nn.Sigmoid()
        self.draw = nn.init.trunc_normal_ if norm == "layer" else nn.init.normal_
        self.draw_parameters()

    def draw_parameters(self) -> None:
        draw_convolutions(self, partial(self.draw, std=0.02))

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return reassemble_up(x, self.content(self.kernel(x, guide)), self.kernel_size, ratio=self.ratio)

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        normalised = self.norm_x(x)
        query = self.queries(x, normalised, self.norm_guide(guide))  # (N, d or C, r*h, r*w)
        return window_similarity(query, self.key(normalised), self.kernel_size, self.ratio).softmax(dim=1)

    def queries(self, x: Tensor, normalised: Tensor, guide: Tensor) -> Tensor:
        """The queries from x, normalised x and the normalised guide: (N, d or C, r*h, r*w)."""
        if self.variant == "i":
            return guide
        if self.variant == "b":
            return self.query(guide)
        if self.variant == "cat":  # of [guide, enlarged x]; what is 1x1 may as well be enlarged afterwards
            of_guide, of_x = self.query.weight.split(self.channels, dim=1)
            return F.conv2d(guide, of_guide, self.query.bias) + self._enlarge(F.conv2d(x, of_x))
        gate = self._enlarge(self.sigmoid(self.gate(normalised)))
        return gate * self.query_guide(guide) + (1 - gate) * self._enlarge(self.query_x(x))

    def _enlarge(self, maps: Tensor) -> Tensor:
        return F.interpolate(maps, scale_factor=self.ratio, mode="nearest")


def _norm(norm: str, channels: int, learned: bool) -> nn.Module:
    if norm == "layer":
        return ChannelNorm(channels, elementwise_affine=learned)
    return GroupNorm(32, channels, affine=learned)
