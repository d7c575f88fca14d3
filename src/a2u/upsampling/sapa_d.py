"""SAPA-D: attention of the guide to points of the decoder feature that this chooses itself."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.global_layers import GroupNorm
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops.attention import near_points, point_weights, weighted_sum
from a2u.upsampling.ops.geometry import pixel_shuffle


class SAPAD(Upsampler):
    """Similarity-aware point affiliation with deformable points ("On Point Affiliation in Feature Upsampling", 2023).

    As SAPA, but a query meets keys at P points of its coarse pixel's own, for each group of channels, instead of a
    window. All points start near the centre of that pixel. An offset has no limit, hence no `reach`.

    Parameters: 2*g*d*(C + 1) + 2*g*P*r*r*(C + 1); with low offsets 2*g*P*(C + 1) in the second place; norm 4C more.

    Args:
        channels: C, of the decoder feature and of the guide.
        points: P.
        groups: g, of consecutive channels with attention of their own; divides C.
        embedding: d, channels of query and key for each group.
        high_offset: offsets for every sub-position; else one for all sub-positions of a pixel.
        norm: normalise both features by a group norm of 32 groups first; C must be divisible by 32.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "sapa_d"
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {"norm_guide": "norm_y", "query": "q", "key": "k"}

    def __init__(
        self,
        channels: int,
        points: int = 9,
        groups: int = 4,
        embedding: int = 32,
        high_offset: bool = True,
        norm: bool = False,
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        for key, count in (("points", points), ("embedding", embedding)):
            if count < 1:
                raise ValueError(f"sapa_d: {key} must be at least 1; got {count}.")
        if groups < 1 or channels % groups:
            raise ValueError(f"sapa_d: groups must divide the {channels} channels; got {groups}.")
        if norm and channels % 32:
            raise ValueError(f"sapa_d: norm=true needs channels that 32 divides; got {channels}. Set norm=false.")
        self.points_of_group = points
        self.groups = groups
        self.high_offset = high_offset
        self.norm_guide = GroupNorm(32, channels) if norm else nn.Identity()
        self.norm_x = GroupNorm(32, channels) if norm else nn.Identity()
        self.query = nn.Conv2d(channels, groups * embedding, kernel_size=1)
        self.key = nn.Conv2d(channels, groups * embedding, kernel_size=1)
        sub_positions = ratio**2 if high_offset else 1
        self.offset = nn.Conv2d(channels, 2 * groups * points * sub_positions, kernel_size=1)
        self.content = Content()
        self.draw_parameters()

    def draw_parameters(self) -> None:
        draw_convolutions(self, partial(nn.init.normal_, std=0.02))

    def offsets(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Columns and rows of every output position's points, in pixels of the normalised x: (N, g, P, r*h, r*w).

        They count from the pixel that the output position lies in.
        """
        offset = self.content(self.offset(x))
        if self.high_offset:
            offset = pixel_shuffle(offset, self.ratio)
        else:
            offset = F.interpolate(offset, scale_factor=self.ratio, mode="nearest")
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        dx, dy = offset.unflatten(1, (self.groups, self.points_of_group, 2)).unbind(3)
        return dx, dy

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        normalised = self.norm_x(x)
        query, key = self.query(self.norm_guide(guide)), self.key(normalised)
        dx, dy = self.offsets(normalised)
        near = near_points(dx, dy, self.ratio)
        if near is not None:
            return near.weighted_sum(x, self.content(near.weights(query, key), self.ratio))
        rows, columns = (torch.arange(side, device=x.device) // self.ratio for side in dx.shape[-2:])
        px, py = columns + dx, rows[:, None] + dy
        weights = point_weights(query, key, px, py, heads=self.groups)
        return weighted_sum(x, self.content(weights, self.ratio), px, py)
