"""CARAFE: a first-order kernel, generated from the decoder feature itself (Sec. 3, ii)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.initialise import initialise
from a2u.upsampling.ops import reassemble_up


class Carafe(Upsampler):
    """Content-aware reassembly (Wang et al., ICCV 2019), at the setting of Table 2.

    Parameters: C*m + m + k_encoder^2 * m * r*r*k*k + r*r*k*k with m compressed channels. Reads no guide.

    Args:
        channels: C.
        up_kernel_size: k, odd. At 1 the softmax over one weight is 1, so CARAFE equals nearest there
            (the setting of Table 1, kept).
        encoder_kernel_size: of the convolution that generates the kernels, odd.
        compressed_channels: m.
        ratio: r.
    """

    name = "carafe"
    reads_guide = False
    has_kernels = True
    released_names: ClassVar[Mapping[str, str]] = {"compress": "channel_compressor", "encode": "content_encoder"}

    def __init__(
        self,
        channels: int,
        up_kernel_size: int = 5,
        encoder_kernel_size: int = 3,
        compressed_channels: int = 64,
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        for key, size in (
            ("up_kernel_size", up_kernel_size),
            ("encoder_kernel_size", encoder_kernel_size),
        ):
            if size < 1 or size % 2 == 0:
                raise ValueError(f"carafe: {key} must be odd, its window is centred; got {size}.")
        self.up_kernel_size = up_kernel_size
        self.reach = max(up_kernel_size, encoder_kernel_size) // 2
        self.compress = nn.Conv2d(channels, compressed_channels, kernel_size=1)
        self.encode = nn.Conv2d(
            compressed_channels,
            (ratio * up_kernel_size) ** 2,
            encoder_kernel_size,
            padding=encoder_kernel_size // 2,
        )
        initialise(self)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return reassemble_up(x, self.kernel(x, guide), self.up_kernel_size, ratio=self.ratio)

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        kernel = self.encode(self.compress(x))  # (N, k*k*r*r, h, w)
        return kernel.unflatten(1, (-1, self.ratio**2)).softmax(dim=1)  # (N, k*k, r*r, h, w), by sub-position
