"""FreqFusion: adaptive low-pass kernels enlarge the decoder feature, adaptive high-pass kernels sharpen the guide."""

import math
from collections.abc import Mapping
from itertools import product
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.global_layers import GroupNorm
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops import reassemble_up
from a2u.upsampling.ops.geometry import pixel_shuffle
from a2u.upsampling.ops.reflection import reassemble_up_reflected
from a2u.upsampling.ops.sampling import sample

LOW, HIGH = 5, 3  # kernel sizes
GROUPS = 4  # of channels that are sampled again at the same positions
NEIGHBOURS = [(row, column) for row, column in product((0, 2, 4), repeat=2) if (row, column) != (2, 2)]


class FreqFusion(Upsampler):
    """Frequency-aware feature fusion (Chen et al., TPAMI 2024).

    The released program returns the upsampled feature y and a sharpened guide g', which a network adds. Here the
    network adds the guide itself, so the result is y + (g' - g): the sum is the same.

    Parameters, at 64 compressed channels: 128 C + 19,746; with resampling 128 C + 71,922.

    Args:
        channels: C. With resampling, divisible by 4.
        compressed_channels: m, of the features that kernels are made from. With resampling, divisible by 8.
        resample: sample y again at positions moved by offsets from both compressed features, and from how similar
            each of their pixels is to its neighbours. An offset has no limit, hence no `reach`.
        padding: what reassembly sees outside a map. "zeros": as in the papers; "reflect": as the released program
            does where mmcv is not installed.
        ratio: 2 alone.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "freqfusion"
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {
        "compress_guide": "hr_channel_compressor",
        "compress": "lr_channel_compressor",
        "low_pass": "content_encoder",
        "high_pass": "content_encoder2",
        "resampler": "dysampler",
        "resampler.norm_guide": "dysampler.norm_hr",
        "resampler.norm": "dysampler.norm_lr",
        "resampler.offset_guide": "dysampler.hr_offset",
        "resampler.scope": "dysampler.direct_scale",
        "resampler.scope_guide": "dysampler.hr_direct_scale",
    }

    def __init__(
        self,
        channels: int,
        compressed_channels: int = 64,
        resample: bool = False,
        padding: Literal["zeros", "reflect"] = "zeros",
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        if ratio != 2:
            raise ValueError(f"freqfusion: ratio must be 2, its program enlarges by 2 alone; got {ratio}.")
        if padding not in ("zeros", "reflect"):
            raise ValueError(f"freqfusion: padding must be zeros or reflect; got {padding!r}.")
        if compressed_channels < 1:
            raise ValueError(f"freqfusion: compressed_channels must be at least 1; got {compressed_channels}.")
        if resample and channels % GROUPS:
            raise ValueError(f"freqfusion: resample=true needs channels that {GROUPS} divides; got {channels}.")
        if resample and compressed_channels % 8:
            raise ValueError(
                f"freqfusion: resample=true needs compressed_channels that 8 divides; got {compressed_channels}."
            )
        self.reach = None if resample else 3
        self.reassemble = reassemble_up if padding == "zeros" else reassemble_up_reflected
        self.compress_guide = nn.Conv2d(channels, compressed_channels, kernel_size=1)
        self.compress = nn.Conv2d(channels, compressed_channels, kernel_size=1)
        self.low_pass = nn.Conv2d(compressed_channels, LOW**2, kernel_size=3, padding=1)
        self.high_pass = nn.Conv2d(compressed_channels, HIGH**2, kernel_size=3, padding=1)
        self.content = Content()
        self.resampler = Resampler(compressed_channels) if resample else None
        self.draw_parameters()

    def draw_parameters(self) -> None:
        draw_convolutions(self, nn.init.xavier_uniform_)
        for part in (self.low_pass, self.high_pass):
            draw_convolutions(part, lambda weight: nn.init.normal_(weight, std=0.001))

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        y, sharpened = self.fuse(x, guide)
        return y + (sharpened - guide)

    def fuse(self, x: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample x and sharpen the guide, as the released program does: (N, C, 2h, 2w) each."""
        of_guide, of_x = self.compress_guide(guide), self.compress(x)
        high = self.high_pass(of_guide)
        of_guide = 2 * of_guide - self._smoothed(of_guide, high)
        low = self.low_pass(of_guide)
        low = low + self._enlarged(self.low_pass(of_x), low)
        high = high + self._enlarged(self.high_pass(of_x), low)
        y = self._enlarged(x, low)
        if self.resampler is not None:
            y = self.resampler(y, of_guide, of_x)
        return y, 2 * guide - self._smoothed(guide, high)

    def _enlarged(self, x: Tensor, logits: Tensor) -> Tensor:
        """By low-pass kernels: (N, C, h, w) and (N, 25, 2h, 2w) -> (N, C, 2h, 2w)."""
        return self.reassemble(x, self.content(normalised(logits), 2), LOW, ratio=2)

    def _smoothed(self, x: Tensor, logits: Tensor) -> Tensor:
        """By low-pass kernels, what is left of x being its high frequencies: (N, C, H, W) and (N, 9, H, W)."""
        return self.reassemble(x, self.content(normalised(logits), 2), HIGH, ratio=1)


class Resampler(nn.Module):
    """Samples an upsampled map again, where it borders on pixels of other kinds at places inside these."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_guide = GroupNorm(channels // 8, channels)
        self.norm = GroupNorm(channels // 8, channels)
        seen, outputs = channels + len(NEIGHBOURS), 2 * GROUPS
        self.offset_guide = nn.Conv2d(seen, outputs, kernel_size=3, padding=1)
        self.offset = nn.Conv2d(seen, 4 * outputs, kernel_size=3, padding=1)
        self.scope_guide = nn.Conv2d(seen, outputs, kernel_size=3, padding=1)
        self.scope = nn.Conv2d(seen, 4 * outputs, kernel_size=3, padding=1)
        self.sigmoid = nn.Sigmoid()
        self.content = Content()

    def forward(self, y: Tensor, of_guide: Tensor, of_x: Tensor) -> Tensor:
        """Sample y (N, C, 2h, 2w); of_guide (N, m, 2h, 2w) and of_x (N, m, h, w) are the compressed features."""
        of_guide, of_x = with_similarities(self.norm_guide(of_guide)), with_similarities(self.norm(of_x))
        scope = pixel_shuffle(self.scope(of_x), 2) + self.scope_guide(of_guide)
        offset = (pixel_shuffle(self.offset(of_x), 2) + self.offset_guide(of_guide)) * self.sigmoid(scope)
        offset = self.content(offset, 2)
        # The released program adds offsets in pixels of x to positions in pixels of y as if those were twice as many
        offset = 2 * offset.to(torch.promote_types(offset.dtype, torch.float32)).unflatten(1, (2, GROUPS))
        rows, columns = (torch.arange(side, dtype=offset.dtype, device=offset.device) for side in y.shape[-2:])
        return sample(y, columns + offset[:, 0], rows[:, None] + offset[:, 1], outside="border")


def normalised(logits: Tensor) -> Tensor:
    """Softmax over the k*k taps (dim 1), times a Hamming window, divided by the sum."""
    size = math.isqrt(int(logits.shape[1]))
    kernel = logits.softmax(dim=1)
    angle = torch.arange(size, dtype=kernel.dtype, device=kernel.device) * (2 * math.pi / (size - 1))
    line = 0.54 - 0.46 * angle.cos()  # torch.hamming_window, which could not be exported
    kernel = kernel * (line[:, None] * line).view(-1, 1, 1)
    return kernel / kernel.sum(dim=1, keepdim=True)


def with_similarities(x: Tensor) -> Tensor:
    """Append each pixel's cosine with eight neighbours two pixels away: (N, m, H, W) -> (N, m + 8, H, W)."""
    height, width = x.shape[-2:]
    direction = x / x.norm(dim=1, keepdim=True).clamp(min=1e-8)
    bordered = pad(direction, [2] * 4)
    cosines = [
        (direction * bordered[..., row : row + height, column : column + width]).sum(dim=1, keepdim=True)
        for row, column in NEIGHBOURS
    ]
    return torch.cat([x, *cosines], dim=1)
