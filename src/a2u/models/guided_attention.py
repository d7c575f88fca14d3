"""Guided contextual attention (Li and Lu, "Natural Image Matting via Guided Contextual Attention", AAAI 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SELF_PENALTY = 1e4  # subtracted from an unknown patch's similarity to itself
LOGITS = 2**24  # similarities held at a time, so that memory does not grow with the square of the image


class GuidedContextualAttention(nn.Module):
    """Replace the alpha features of each patch by a mean over all patches, weighted by similarity of the image.

    3x3 patches of the guide at half resolution are compared; the 4x4 patches of the feature at their positions are
    averaged. Patches of the unknown region (one with an unknown pixel) are weighted by
    sqrt(unknown / known) of the two areas, the others by its inverse, and an unknown patch does not attend to itself.

    Args:
        channels: C, of the feature.
        guide_channels: G, of the guide.
    """

    def __init__(self, channels: int, guide_channels: int) -> None:
        super().__init__()
        self.guidance = nn.Conv2d(guide_channels, guide_channels // 2, kernel_size=1)
        self.project = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, feature: Tensor, guide: Tensor, unknown: Tensor) -> Tensor:
        """feature: (N, C, 2h, 2w); guide: (N, G, 2h, 2w); unknown: (N, 1, 2h, 2w), 1 or 0 -> (N, C, 2h, 2w)."""
        unknown = unknown[..., ::2, ::2]  # (N, 1, h, w), nearest
        queries = patches(self.guidance(guide[..., ::2, ::2]), size=3, stride=1)  # (N, h*w, 9*G/2)
        near_unknown = F.max_pool2d(mirrored(unknown), kernel_size=3, stride=1).flatten(1)  # (N, h*w), 1 or 0
        keys = queries / queries.norm(dim=2, keepdim=True).clamp_min(1e-4)
        keys = keys * _scale(unknown, near_unknown)[..., None]
        values = patches(feature, size=4, stride=2)  # (N, h*w, 16*C)
        attended = attend(queries, keys, values, SELF_PENALTY * near_unknown)
        # Every position is covered by four patches.
        mean = F.fold(attended.transpose(1, 2), feature.shape[-2:], kernel_size=4, padding=1, stride=2) / 4
        return feature + self.project(mean)


def attend(queries: Tensor, keys: Tensor, values: Tensor, self_penalty: Tensor, logits: int = LOGITS) -> Tensor:
    """Return softmax(queries keys^T - diag(self_penalty)) values, holding at most `logits` similarities at a time.

    queries, keys: (N, L, D); values: (N, L, V); self_penalty: (N, L) -> (N, L, V).
    """
    if torch.compiler.is_exporting():  # a loop of as many steps as the image needs cannot be traced
        similarity = queries @ keys.transpose(1, 2) - torch.diag_embed(self_penalty)
        return similarity.softmax(dim=2) @ values
    n, length, _ = queries.shape
    several = max(1, logits // (n * length))
    parts = []
    for start in range(0, length, several):
        similarity = queries[:, start : start + several] @ keys.transpose(1, 2)  # (N, several, L)
        similarity.diagonal(start, dim1=1, dim2=2).sub_(self_penalty[:, start : start + several])
        parts.append(similarity.softmax(dim=2) @ values)
    return torch.cat(parts, dim=1)


def patches(x: Tensor, size: int, stride: int) -> Tensor:
    """Return the patches of x (N, C, H, W), reflected by 1 at the borders: (N, count, C*size*size)."""
    return F.unfold(mirrored(x), size, stride=stride).transpose(1, 2)


def mirrored(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def _scale(unknown: Tensor, near_unknown: Tensor) -> Tensor:
    """Return the weight of each patch's similarity, from the share of unknown pixels in the image: (N, h*w)."""
    share = unknown.flatten(1).mean(dim=1, keepdim=True)  # (N, 1)
    of_unknown = (share / (1 - share)).sqrt().clamp(0.1, 10.0)
    of_known = ((1 - share) / share).sqrt().clamp(0.1, 10.0)
    return torch.where(near_unknown > 0, of_unknown, of_known)
