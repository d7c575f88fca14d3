"""JBU: FeatUp's joint bilateral upsampling, whose range kernel compares learned projections of the guide."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.ops.reflection import reassemble_up_reflected, window_similarity_reflected

FIXUP = 0.1  # share of the correction in a kernel
DROPOUT = 0.1


class JBU(Upsampler):
    """Joint bilateral upsampling with a learned range (Fu et al., FeatUp, ICLR 2024), one step, with any guide.

    x is enlarged bicubically; then every pixel is a sum over its D x D neighbours, D = 2 radius + 1, with weights that
    are the product of a Gaussian of distance and a softmax of similarity, plus a learned correction. Outside, maps are
    reflected. FeatUp calls this four times in a row with an image as guide.

    Parameters: K C + K^2 + 2 K + D^2 (C + 2 D^2 + 2) + 2.

    Args:
        channels: C.
        radius: of the window, in pixels of the large map.
        key_channels: K, of the projections compared.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "jbu"
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {
        "temperature": "range_temp",
        "sigma": "sigma_spatial",
        "project": "range_proj",
        "correct": "fixup_proj",
    }

    def __init__(self, channels: int, radius: int = 3, key_channels: int = 32, ratio: int = 2) -> None:
        super().__init__(channels, ratio)
        for key, value in (("radius", radius), ("key_channels", key_channels)):
            if value < 1:
                raise ValueError(f"jbu: {key} must be at least 1; got {value}.")
        self.window = 2 * radius + 1
        # of x: the window, and two pixels for bicubic interpolation; of the guide: the window
        self.reach = max((2 * radius + ratio - 1) // (2 * ratio) + 2, (radius + ratio - 1) // ratio)
        self.temperature = nn.Parameter(torch.tensor(0.0))
        self.sigma = nn.Parameter(torch.tensor(1.0))
        self.project = _two_convolutions(channels, key_channels)
        self.content = Content()
        self.correct = _two_convolutions(channels + self.window**2, self.window**2)

    def draw_parameters(self) -> None:
        nn.init.zeros_(self.temperature)
        nn.init.ones_(self.sigma)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        enlarged = interpolate(x, size=guide.shape[-2:], mode="bicubic", align_corners=False)
        weights = self.content(self.weights(guide), self.ratio)
        return reassemble_up_reflected(enlarged, weights.unsqueeze(2), self.window, ratio=1)

    def weights(self, guide: Tensor) -> Tensor:
        """The weights of the D x D neighbours of every pixel: (N, C, H, W) -> (N, D*D, H, W)."""
        projected = self.project(guide)  # (N, K, H, W)
        similarity = window_similarity_reflected(projected, projected, self.window, ratio=1).squeeze(2)
        weights = (self.temperature.exp().clamp(1e-4, 1e4) * similarity).softmax(dim=1) * self.distance_weights()
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-7)
        return weights + FIXUP * self.correct(torch.cat([weights, guide], dim=1))

    def distance_weights(self) -> Tensor:
        """A Gaussian of the distance to the centre, the window being -1 to 1 in both directions: (1, D*D, 1, 1)."""
        line = torch.linspace(-1, 1, self.window, dtype=self.sigma.dtype, device=self.sigma.device).square()
        return (-(line[:, None] + line) / (2 * self.sigma**2)).exp().view(1, -1, 1, 1)


def _two_convolutions(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=1),
        nn.GELU(),
        nn.Dropout2d(DROPOUT),
        nn.Conv2d(width, width, kernel_size=1),
    )
