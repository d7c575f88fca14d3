"""ReSFU: similarity of decoder feature and guide, made comparable first, weighs points on the fine grid."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.global_layers import GroupNorm
from a2u.upsampling.initialise import draw_convolutions
from a2u.upsampling.ops import reassemble_up
from a2u.upsampling.ops.geometry import by_sub_position, pixel_shuffle

WINDOW = 3  # points to a side, a pixel of the small map apart
WIDTH = 128  # of what scores are made from
GROUPS = 4  # of its channels
FILTER_STRIDE, FILTER_RADIUS, FILTER_EPS = 2, 4, 0.001  # of the guided filter, which works at half size


class ReSFU(Upsampler):
    """Refreshed similarity-based feature upsampling (Zhou et al., 2024).

    The query comes from the guide, the key from the decoder feature. A guided filter gives the key the query's edges,
    so that semantic similarity compares like with like; a blur of the query does so for detail. Both similarities are
    paired central differences: what a convolution sees of the one, less what it would see of the other's centre.

    Parameters, at an embedding of 32 and at least 32 channels: 68 C + 30,162.

    Args:
        channels: C, at most 32 or a multiple of 32.
        embedding: d, channels of query and key, a multiple of 8.
        ratio: r.

    Raises:
        ValueError: an impossible option; the message names it.
    """

    name = "resfu"
    keeps_initial_values = True
    released_names: ClassVar[Mapping[str, str]] = {
        "norm_guide": "norm_y",
        "norm": "norm_x",
        "query": "q",
        "key": "k",
        "semantic": "semantic_scores",
        "semantic.score": "semantic_scores.channel_compressor",
        "detail": "detail_scores",
        "detail.score": "detail_scores.channel_compressor",
    }

    def __init__(self, channels: int, embedding: int = 32, ratio: int = 2) -> None:
        super().__init__(channels, ratio)
        if channels > 32 and channels % 32:
            raise ValueError(f"resfu: channels must be at most 32, or a multiple of 32; got {channels}.")
        if embedding < 1 or embedding % 8:
            raise ValueError(f"resfu: embedding must be a multiple of 8; got {embedding}.")
        self.norm_guide = GroupNorm(min(channels, 32), channels)
        self.norm = GroupNorm(min(channels, 32), channels)
        self.query = nn.Conv2d(channels, embedding, kernel_size=1)
        self.key = nn.Conv2d(channels, embedding, kernel_size=1)
        self.semantic = PairedDifference(embedding, ratio)
        self.detail = PairedDifference(embedding, ratio)
        self.content = Content()
        self.draw_parameters()

    def draw_parameters(self) -> None:
        draw_convolutions(self, lambda weight: nn.init.normal_(weight, std=0.02))

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        # A point lies where the fine pixel does, or whole pixels of x from there: on the enlarged map, r pixels from it
        enlarged = by_sub_position(_enlarged(x, guide), self.ratio).transpose(1, 2)  # (N, r*r, C, h, w)
        kernel = self.content(self.point_weights(x, guide)).transpose(1, 2)  # (N, r*r, 9, h, w)
        y = reassemble_up(enlarged.flatten(1, 2), kernel.flatten(1, 2), WINDOW, groups=self.ratio**2, ratio=1)
        return pixel_shuffle(y.unflatten(1, (-1, x.shape[1])).transpose(1, 2).flatten(1, 2), self.ratio)

    def point_weights(self, x: Tensor, guide: Tensor) -> Tensor:
        """Softmax over the 3 x 3 points of an output position, of those inside the map: (N, 9, r*r, h, w)."""
        query = self.query(self.norm_guide(guide))  # (N, d, r*h, r*w)
        key = _enlarged(self.key(self.norm(x)), query)
        scores = self.semantic(key, guided_filter(key, query)) + self.detail(blurred(query), query)
        rows, columns = (_inside(side, x.device) for side in x.shape[-2:])
        inside = (rows[:, None, :, None] & columns[:, None, :]).flatten(0, 1).unsqueeze(1)  # (9, 1, h, w)
        return by_sub_position(scores, self.ratio).masked_fill(~inside, -torch.inf).softmax(dim=1)


class PairedDifference(nn.Module):
    """Scores of 3 x 3 points from differences between one map there and another map in the centre."""

    def __init__(self, embedding: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.norm = GroupNorm(8, embedding)
        self.weight = nn.Parameter(torch.empty(WIDTH, embedding // GROUPS, WINDOW, WINDOW))
        self.bias = nn.Parameter(torch.zeros(1, WIDTH, 1, 1))
        self.score = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, kernel_size=1, groups=GROUPS),
            nn.ReLU(),
            GroupNorm(8, WIDTH),
            nn.Conv2d(WIDTH, WINDOW**2, kernel_size=1),
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)
        if not self.weight.is_meta:
            nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, around: Tensor, centre: Tensor) -> Tensor:
        """(N, d, H, W) each -> (N, 9, H, W)."""
        centre = centre.to(self.weight.dtype)  # the guided filter's result has 32 bits at least
        around, centre = pad(self.norm(around), [self.ratio] * 4, mode="replicate"), self.norm(centre)
        seen = conv2d(around, self.weight, dilation=self.ratio, groups=GROUPS)
        difference = seen - conv2d(centre, self.weight.sum(dim=(2, 3), keepdim=True), groups=GROUPS)
        scores: Tensor = self.score(difference + self.bias)
        return scores


def blurred(x: Tensor) -> Tensor:
    """Convolve each channel with a 3 x 3 Gaussian, sigma 1, the border pixels repeated outside: (N, C, H, W)."""
    line = torch.arange(-1, 2, dtype=x.dtype, device=x.device).square().mul(-0.5).exp()
    line = line / line.sum()
    channels = int(x.shape[1])  # a tensor in torch.jit.trace
    kernel = (line[:, None] * line).expand(channels, 1, 3, 3)
    return conv2d(pad(x, [1] * 4, mode="replicate"), kernel, groups=channels)


def guided_filter(x: Tensor, guide: Tensor) -> Tensor:
    """Fast guided filter (He and Sun, 2015): x, locally a linear function of the guide: (N, C, H, W) each."""
    precise = torch.promote_types(guide.dtype, torch.float32)  # a variance is a difference of large numbers
    x, guide = x.to(precise), guide.to(precise)
    small_x, small_guide = (maps[..., ::FILTER_STRIDE, ::FILTER_STRIDE] for maps in (x, guide))
    mean_x, mean_guide = _box_mean(small_x), _box_mean(small_guide)
    covariance = _box_mean(small_guide * small_x) - mean_guide * mean_x
    variance = _box_mean(small_guide.square()) - mean_guide.square()
    slope = covariance / (variance + FILTER_EPS)
    shift = mean_x - slope * mean_guide
    return _enlarged(_box_mean(slope), guide) * guide + _enlarged(_box_mean(shift), guide)


def _box_mean(x: Tensor) -> Tensor:
    """The mean over the pixels of a box that are inside the map."""
    return avg_pool2d(x, 2 * FILTER_RADIUS + 1, stride=1, padding=FILTER_RADIUS, count_include_pad=False)


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _inside(side: int, device: torch.device) -> Tensor:
    """Whether each point along one direction is inside the map: (3, side)."""
    position = torch.arange(side, device=device) + torch.arange(-1, 2, device=device)[:, None]
    return (position >= 0) & (position < side)
