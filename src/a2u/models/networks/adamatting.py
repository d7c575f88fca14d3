"""A reading of AdaMatting (Cai et al., ICCV 2019), whose program was never released: one encoder, two tasks.

One decoder adapts the trimap (background, semi-transparent, foreground), another estimates alpha, and a propagation
unit refines alpha. What is known and what was chosen: docs/deviations.md. 54,305,127 parameters with pixel shuffle; the
paper prints none.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.encoders import ResNet
from a2u.models.layers import ConvNorm, batch_norm, blocks
from a2u.models.networks.base import MattingNetwork, scaled
from a2u.models.operators import build_operators
from a2u.upsampling import Upsampler
from a2u.upsampling.initialise import LEAKY_SLOPE, initialise


class AdaMatting(MattingNetwork):
    """(N, 4, H, W) -> (N, 1, H, W) in 0..1; H and W multiples of 16.

    Where the adapted trimap is background or foreground, alpha is 0 or 1.

    Args:
        upsampler: the operator's name; pixel_shuffle is AdaMatting's sub-pixel convolution. All eight x2 steps take it.
        options: the operator's options.
        width: multiplies every channel count.
        iterations: of the propagation unit.
    """

    name = "adamatting"
    multiple = 16
    adapts_trimap = True

    def __init__(
        self,
        upsampler: str = "pixel_shuffle",
        options: dict[str, Any] | None = None,
        width: float = 1.0,
        iterations: int = 3,
    ) -> None:
        super().__init__()
        if iterations < 1:
            raise ValueError(f"model.iterations must be at least 1; got {iterations}.")
        c32, c64, c256, c512, c1024 = scaled(width, 32, 64, 256, 512, 1024)
        channels = [c1024, c512, c256, c64, c64]  # of the decoders, deepest first
        operators = build_operators(upsampler, options, 2 * channels[1:])
        if operators[0].paired:
            raise ValueError(
                f"model={self.name} has no place for paired downsampling, its encoder downsamples with stride: set "
                "upsampler.paired=false or choose another operator."
            )
        self.encoder = ResNet50(width)
        self.shortcuts = nn.ModuleList(GlobalConvolution(count) for count in channels[1:-1])
        self.trimap_decoder = Decoder(channels, 3, adds=(True, True, False, False))
        self.alpha_decoder = Decoder(channels, 1, adds=(False, True, True, False))
        self.propagation = PropagationUnit(4 + 3 + 1, c32, iterations)
        initialise(self)
        self.full_guide: nn.Module | None = None
        if operators[0].reads_guide:  # drawn last, so that one seed gives the same network around any operator
            self.full_guide = ConvNorm(4, c64, batch_norm)
            initialise(self.full_guide)
        self.upsamplers = nn.ModuleList(operators)  # of the trimap decoder, then of the alpha decoder
        self.log_deviations = nn.Parameter(torch.zeros(2))  # of trimap and alpha: the learned weights of their losses

    def last_operator(self) -> Upsampler:
        operator = self.upsamplers[-1]
        assert isinstance(operator, Upsampler)
        return operator

    def forward(self, x: Tensor, for_loss: bool = False) -> Any:
        """Return alpha or, `for_loss`, what a2u.losses.adaptation_loss reads.

        That is alpha as the propagation unit leaves it (N, 1, H, W), the adapted trimap's logits (N, 3, H, W), and the
        logarithms of both tasks' deviations (2,).
        """
        self.check_input(x)
        (*features, x16), _ = self.encoder(x, [])  # at 1/2, 1/4, 1/8; 1/16
        guides = [shortcut(each) for shortcut, each in zip(self.shortcuts, features[::-1], strict=True)]
        guides.append(None if self.full_guide is None else self.full_guide(x))
        operators = list(self.upsamplers)
        trimap = self.trimap_decoder(x16, guides, operators[:4])
        alpha = self.alpha_decoder(x16, guides, operators[4:]).sigmoid()
        alpha = self.propagation(torch.cat([x, trimap.softmax(dim=1)], dim=1), alpha)
        if for_loss:
            return alpha, trimap, self.log_deviations
        classes = trimap.argmax(dim=1, keepdim=True)  # (N, 1, H, W): background, semi-transparent, foreground
        return torch.where(classes == 1, alpha, classes / 2)


class ResNet50(ResNet):
    """ResNet-50 up to 1/16 of the size, with leaky ReLU: 64, 256, 512, 1,024 channels times `width`."""

    torchvision = "resnet50"

    def __init__(self, width: float) -> None:
        super().__init__()
        c64, c128, c256 = scaled(width, 64, 128, 256)
        self.channels = (c64, 4 * c64, 4 * c128, 4 * c256)
        self.stem = ConvNorm(4, c64, batch_norm, size=7, stride=2)
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = bottlenecks(c64, c64, 3)
        self.layer2 = bottlenecks(4 * c64, c128, 4, stride=2)
        self.layer3 = bottlenecks(4 * c128, c256, 6, stride=2)


class Bottleneck(nn.Module):
    """ResNet's bottleneck: 1x1, 3x3 with the stride, 1x1 to four times the channels, sum, leaky ReLU."""

    def __init__(self, channels: int, middle: int, stride: int) -> None:
        super().__init__()
        out = 4 * middle
        self.conv1 = ConvNorm(channels, middle, batch_norm, size=1)
        self.conv2 = ConvNorm(middle, middle, batch_norm, stride=stride)
        self.conv3 = ConvNorm(middle, out, batch_norm, size=1, activation=False)
        self.projection = (
            nn.Identity()
            if channels == out
            else ConvNorm(channels, out, batch_norm, size=1, stride=stride, activation=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv3(self.conv2(self.conv1(x))) + self.projection(x), LEAKY_SLOPE)


def bottlenecks(channels: int, middle: int, count: int, stride: int = 1) -> nn.Sequential:
    """Stack `count` bottlenecks; the first changes channels and resolution."""
    return nn.Sequential(
        Bottleneck(channels, middle, stride), *(Bottleneck(4 * middle, middle, 1) for _ in range(count - 1))
    )


class GlobalConvolution(nn.Module):
    """7x1 then 1x7 plus 1x7 then 7x1 convolution (Peng et al., CVPR 2017); channels and size stay."""

    def __init__(self, channels: int, size: int = 7) -> None:
        super().__init__()
        column, row = (size, 1), (1, size)
        self.paths = nn.ModuleList(
            nn.Sequential(*(nn.Conv2d(channels, channels, kernel, padding="same") for kernel in kernels))
            for kernels in ((column, row), (row, column))
        )

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.paths
        return first(x) + second(x)


class Decoder(nn.Module):
    """Four times: 3x3 convolution to the next channel count, upsample x2, add the shortcut where `adds`; then 3x3.

    Args:
        channels: deepest first: of the input, and of every step's output.
        out: channels of the prediction.
        adds: by step, whether its shortcut is added.
    """

    def __init__(self, channels: Sequence[int], out: int, adds: Sequence[bool]) -> None:
        super().__init__()
        self.adds = adds
        self.reduce = nn.ModuleList(ConvNorm(before, after, batch_norm) for before, after in pairwise(channels))
        self.prediction = nn.Conv2d(channels[-1], out, kernel_size=3, padding=1)

    def forward(self, x: Tensor, guides: Sequence[Tensor | None], operators: Sequence[nn.Module]) -> Tensor:
        """(N, 1024, H/16, W/16) -> (N, out, H, W). guides: shortcuts at 1/8, 1/4, 1/2, 1; added or not, all guide."""
        for reduce, operator, guide, adds in zip(self.reduce, operators, guides, self.adds, strict=True):
            x = operator(reduce(x), guide)
            x = x if guide is None or not adds else x + guide
        return self.prediction(x)


class PropagationUnit(nn.Module):
    """A convolutional LSTM (Shi et al., 2015) that refines alpha (N, 1, H, W) in a few iterations, given context."""

    def __init__(self, channels: int, hidden: int, iterations: int) -> None:
        super().__init__()
        self.hidden, self.iterations = hidden, iterations
        self.features = blocks(channels, hidden, 2, batch_norm)
        self.gates = nn.Conv2d(2 * hidden, 4 * hidden, kernel_size=3, padding=1)
        self.prediction = nn.Conv2d(hidden, 1, kernel_size=3, padding=1)

    def forward(self, context: Tensor, alpha: Tensor) -> Tensor:
        """context: (N, 7, H, W), image, trimap, and the probabilities of the adapted trimap."""
        hidden = memory = alpha.new_zeros(1).expand(alpha.shape[0], self.hidden, *alpha.shape[2:])
        for _ in range(self.iterations):
            features = self.features(torch.cat([context, alpha], dim=1))
            gates = self.gates(torch.cat([features, hidden], dim=1))
            enter, forget, leave, candidate = gates.chunk(4, dim=1)
            memory = forget.sigmoid() * memory + enter.sigmoid() * candidate.tanh()
            hidden = leave.sigmoid() * memory.tanh()
            alpha = self.prediction(hidden).sigmoid()
        return alpha
