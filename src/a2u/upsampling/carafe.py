"""CARAFE: a first-order kernel, generated from the decoder feature itself (Sec. 3, ii)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.initialise import initialise
from a2u.upsampling.ops import reassemble_up


class Carafe(Upsampler):
    """Content-aware reassembly (Wang et al., ICCV 2019), by default at the setting of Table 2.

    CARAFE++ (TPAMI 2021) upsamples in the same way. Reads no guide.

    Parameters: C*m + m + k_encoder^2 * m * g*r*r*k*k + g*r*r*k*k.

    Args:
        channels: C.
        up_kernel_size: k, odd. At 1 the softmax over one weight is 1, so CARAFE equals nearest there
            (the setting of Table 1, kept).
        encoder_kernel_size: of the convolution that generates the kernels, odd.
        compressed_channels: m.
        groups: g, of consecutive channels, each with kernels of its own; divides C.
        dilation: of the convolution that generates the kernels.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "carafe"
    reads_guide = False
    has_kernels = True
    later_options = ("groups", "dilation")
    released_names: ClassVar[Mapping[str, str]] = {"compress": "channel_compressor", "encode": "content_encoder"}

    def __init__(
        self,
        channels: int,
        up_kernel_size: int = 5,
        encoder_kernel_size: int = 3,
        compressed_channels: int = 64,
        groups: int = 1,
        dilation: int = 1,
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        for key, size in (
            ("up_kernel_size", up_kernel_size),
            ("encoder_kernel_size", encoder_kernel_size),
        ):
            if size < 1 or size % 2 == 0:
                raise ValueError(f"carafe: {key} must be odd, its window is centred; got {size}.")
        if groups < 1 or channels % groups:
            raise ValueError(f"carafe: groups must divide the {channels} channels; got {groups}.")
        if dilation < 1:
            raise ValueError(f"carafe: dilation must be at least 1; got {dilation}.")
        self.up_kernel_size = up_kernel_size
        self.groups = groups
        padding = dilation * (encoder_kernel_size // 2)
        self.reach = max(up_kernel_size // 2, padding)
        self.content = Content()
        self.compress = nn.Conv2d(channels, compressed_channels, kernel_size=1)
        self.encode = nn.Conv2d(
            compressed_channels,
            groups * (ratio * up_kernel_size) ** 2,
            encoder_kernel_size,
            padding=padding,
            dilation=dilation,
        )
        initialise(self)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return reassemble_up(x, self.content(self.kernel(x, guide)), self.up_kernel_size, self.groups, self.ratio)

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        kernel = self.encode(self.compress(x))  # (N, g*k*k*r*r, h, w)
        kernel = kernel.unflatten(1, (self.groups, -1, self.ratio**2)).softmax(dim=2)  # over the window
        return kernel.flatten(1, 2)  # (N, g*k*k, r*r, h, w), by sub-position
