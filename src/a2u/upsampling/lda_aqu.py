"""LDA-AQU: every output position attends to points of the decoder feature around it, which it chooses itself."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from a2u.upsampling.base import Upsampler
from a2u.upsampling.channel_norm import ChannelNorm
from a2u.upsampling.content import Content
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops.attention import point_weights, weighted_sum


class LDAAQU(Upsampler):
    """Local deformable attention with adaptive query-guided upsampling (Du et al., ACM MM 2024). Reads no guide.

    Query and keys are projections of the normalised decoder feature. The query is enlarged bilinearly with corners
    aligned, and so are positions: k x k points a pixel of the large map apart, each moved by an offset that the query
    generates. The points reach as far as the map's size has it, so there is no `reach`.

    Parameters, with H = C / reduction: 2 C H + 11 H / groups + 2 k^2 (9 H / groups + 1) + 2 C + k^2 H.

    Args:
        channels: C.
        reduction: C / H, H being the channels of query and key; divides C.
        heads: groups of channels with attention of their own; divides H.
        kernel_size: k, odd.
        groups: of channels with offsets of their own, made by shared weights; divides H.
        offset_range: largest offset, in pixels of the large map.
        relative_position_bias: add a learned vector for each point to its key.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "lda_aqu"
    reads_guide = False
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {
        "norm": "layer_norm.norm",
        "query": "proj_q",
        "key": "proj_k",
        "offset": "conv_offset",
        "offset.1": "conv_offset.1.norm",
        "position_bias": "relative_position_bias_table",
    }

    def __init__(
        self,
        channels: int,
        reduction: int = 4,
        heads: int = 1,
        kernel_size: int = 3,
        groups: int = 2,
        offset_range: float = 11.0,
        relative_position_bias: bool = True,
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        if reduction < 1 or channels % reduction:
            raise ValueError(f"lda_aqu: reduction must divide the {channels} channels; got {reduction}.")
        hidden = channels // reduction
        for key, count in (("heads", heads), ("groups", groups)):
            if count < 1 or hidden % count:
                raise ValueError(f"lda_aqu: {key} must divide the {hidden} channels / reduction; got {count}.")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"lda_aqu: kernel_size must be odd, its window is centred; got {kernel_size}.")
        if offset_range < 0:
            raise ValueError(f"lda_aqu: offset_range must be at least 0; got {offset_range}.")
        self.heads = heads
        self.kernel_size = kernel_size
        self.groups = groups
        self.offset_range = offset_range
        taps, of_group = kernel_size**2, hidden // groups
        self.norm = ChannelNorm(channels)
        self.query = nn.Conv2d(channels, hidden, kernel_size=1, bias=False)
        self.key = nn.Conv2d(channels, hidden, kernel_size=1, bias=False)
        self.offset = nn.Sequential(
            nn.Conv2d(of_group, of_group, kernel_size=3, padding=1, groups=of_group, bias=False),
            ChannelNorm(of_group),
            nn.GELU(),
            nn.Conv2d(of_group, 2 * taps, kernel_size=3, padding=1),
        )
        self.content = Content()
        self.position_bias = None
        if relative_position_bias:
            self.position_bias = nn.Parameter(torch.empty(1, heads, 1, taps, hidden // heads))
        self.draw_parameters()

    def draw_parameters(self) -> None:
        draw_convolutions(self, nn.init.xavier_uniform_)
        last = self.offset[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
        if self.position_bias is not None and not self.position_bias.is_meta:
            nn.init.trunc_normal_(self.position_bias, std=0.02)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        normalised = self.norm(x)
        size = [self.ratio * side for side in x.shape[-2:]]
        query = interpolate(self.query(normalised), size=size, mode="bilinear", align_corners=True)  # (N, H, r*h, r*w)
        scale = (query.shape[1] // self.heads) ** -0.5
        px, py = self.points(query)
        table = self.position_bias
        bias = None if table is None else table[0, :, 0].transpose(0, 1).flatten(1)  # (k*k, H)
        weights = point_weights(scale * query, self.key(normalised), px, py, self.heads, bias)
        return weighted_sum(x, self.content(weights, self.ratio), px, py)

    def points(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Columns and rows of the points of each output position, in pixels of x: (N, groups, k*k, r*h, r*w) each."""
        offset = self.offset(query.unflatten(1, (self.groups, -1)).flatten(0, 1)).tanh() * self.offset_range
        offset = offset.unflatten(1, (-1, 2)).unflatten(0, (-1, self.groups))  # (N, groups, k*k, 2, r*h, r*w)
        offset = self.content(offset, self.ratio)
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
        rows, columns = (torch.arange(side, dtype=offset.dtype, device=offset.device) for side in offset.shape[-2:])
        line = torch.arange(self.kernel_size, device=offset.device) - self.kernel_size // 2
        down, right = (step.flatten()[:, None, None] for step in torch.meshgrid(line, line, indexing="ij"))
        py, px = rows[:, None] + down + offset[:, :, :, 0], columns + right + offset[:, :, :, 1]
        return px * self._step(px.shape[-1]), py * self._step(py.shape[-2])

    def _step(self, side: int) -> float:
        """Pixels of x for a pixel of the large map, corners aligned."""
        return (side // self.ratio - 1) / (side - 1)
