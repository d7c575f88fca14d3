"""DySample: every output position samples the decoder feature at one point, near where bilinear upsampling does."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops.geometry import pixel_shuffle
from a2u.upsampling.ops.sampling import sample


class DySample(Upsampler):
    """Learning to upsample by learning to sample (Liu et al., ICCV 2023). Reads no guide.

    With all offsets 0 it is bilinear upsampling, and so it starts. An offset has no limit, hence no `reach`.

    Parameters: lp: 2*g*r*r*(C + 1); pl: 2*g*(C / (r*r) + 1); a dynamic scope adds the weights again, without biases.

    Args:
        channels: C.
        style: "lp": offsets of all sub-positions from the decoder feature, then a pixel shuffle (DySample); "pl":
            from the pixel-shuffled feature, which has fewer channels (DySample-S). "pl" needs C divisible by r*r.
        groups: g, of consecutive channels that are sampled at the same points; divides C.
        dynamic_scope: scale each offset by a factor in 0..0.5 of its own, instead of 0.25 (DySample+, DySample-S+).
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "dysample"
    reads_guide = False
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        channels: int,
        style: Literal["lp", "pl"] = "lp",
        groups: int = 4,
        dynamic_scope: bool = False,
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        if style not in ("lp", "pl"):
            raise ValueError(f"dysample: style must be lp or pl; got {style!r}.")
        if groups < 1 or channels % groups:
            raise ValueError(f"dysample: groups must divide the {channels} channels; got {groups}.")
        if style == "pl" and channels % ratio**2:
            raise ValueError(
                f"dysample: style=pl needs channels that {ratio**2} (ratio*ratio) divides; got {channels}. "
                "Set style=lp."
            )
        self.style = style
        self.groups = groups
        shuffled = ratio**2 if style == "pl" else 1
        outputs = 2 * groups * ratio**2 // shuffled
        self.offset = nn.Conv2d(channels // shuffled, outputs, kernel_size=1)
        self.scope = None
        self.sigmoid = nn.Sigmoid()
        self.content = Content()
        self.draw_parameters()
        if dynamic_scope:
            self.scope = nn.Conv2d(channels // shuffled, outputs, kernel_size=1, bias=False)
            nn.init.zeros_(self.scope.weight)

    def draw_parameters(self) -> None:
        draw_convolutions(self.offset, partial(nn.init.normal_, std=0.001))
        if self.scope is not None:
            nn.init.zeros_(self.scope.weight)

    def positions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Where each output position samples x: columns and rows in pixels of x, (N, g, r*h, r*w) each."""
        z = pixel_shuffle(x, self.ratio) if self.style == "pl" else x
        scope = 0.25 if self.scope is None else 0.5 * self.sigmoid(self.scope(z))
        offset = self.content(self.offset(z) * scope, self.ratio if self.style == "pl" else 1)
        if self.style == "lp":
            offset = pixel_shuffle(offset, self.ratio)
        offset = offset.to(torch.promote_types(offset.dtype, torch.float32)).unflatten(1, (2, self.groups))
        rows, columns = (
            (torch.arange(side, dtype=offset.dtype, device=x.device) + 0.5) / self.ratio - 0.5
            for side in offset.shape[-2:]
        )
        return columns + offset[:, 0], rows[:, None] + offset[:, 1]

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return sample(x, *self.positions(x), outside="border")
