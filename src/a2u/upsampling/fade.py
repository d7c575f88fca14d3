"""FADE: kernels from encoder and decoder features together, and a gate between the two."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import interpolate

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops import reassemble_up
from a2u.upsampling.ops.geometry import by_sub_position


class Fade(Upsampler):
    """Fusing the assets of decoder and encoder (Lu et al., ECCV 2022; IJCV 2024).

    One convolution reads both compressed features, each at its own resolution; a kernel's logits are the sum. The
    gate t, from the decoder feature, mixes the guide into the result: t * guide + (1 - t) * reassembled.

    Parameters: 129 C + 14,490; lite: 51 C + 276 (k = 5).

    Args:
        channels: C.
        kernel_size: k, odd.
        gated: mix the guide in; without, this is the operator of the authors' detection networks.
        lite: FADE-Lite: k*k compressed channels instead of 64, and a depth-wise convolution.
        ratio: 2 alone.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "fade"
    has_kernels = True
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {
        "compress_guide": "ker_generator.compressor_en",
        "compress": "ker_generator.compressor_de",
        "encode": "ker_generator.content_encoder",
        "gate": "gate_generator.conv",
    }

    def __init__(
        self, channels: int, kernel_size: int = 5, gated: bool = True, lite: bool = False, ratio: int = 2
    ) -> None:
        super().__init__(channels, ratio)
        if ratio != 2:
            raise ValueError(f"fade: ratio must be 2, its program enlarges by 2 alone; got {ratio}.")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"fade: kernel_size must be odd, its window is centred; got {kernel_size}.")
        self.kernel_size = kernel_size
        self.reach = max(kernel_size // 2, 1)
        taps = kernel_size**2
        compressed = taps if lite else 64
        self.compress_guide = nn.Conv2d(channels, compressed, kernel_size=1)
        self.compress = nn.Conv2d(channels, compressed, kernel_size=1, bias=False)
        self.encode = nn.Conv2d(compressed, taps, kernel_size=3, padding=1, groups=taps if lite else 1)
        self.gate = nn.Conv2d(channels, 1, kernel_size=1) if gated else None
        self.sigmoid = nn.Sigmoid()
        self.content = Content()
        self.draw_parameters()

    def draw_parameters(self) -> None:
        draw_convolutions(self, nn.init.xavier_uniform_)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        y = reassemble_up(x, self.content(self.kernel(x, guide)), self.kernel_size)
        if self.gate is None:
            return y
        gate = self.content(self.sigmoid(self.gate(x)))
        gate = interpolate(gate, scale_factor=2, mode="nearest")  # (N, 1, 2h, 2w)
        return gate * guide + (1 - gate) * y

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        of_guide = by_sub_position(self.encode(self.compress_guide(guide)), 2)  # (N, k*k, 4, h, w)
        of_x = self.encode(self.compress(x)).unsqueeze(2)  # (N, k*k, 1, h, w): one for all sub-positions
        return (of_guide + of_x).softmax(dim=1)
