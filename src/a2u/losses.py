"""Training losses."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6  # of the smooth absolute value sqrt(d² + ε²)


def matting_loss(pred: Tensor, alpha: Tensor, unknown: Tensor, fg: Tensor, bg: Tensor, image: Tensor) -> Tensor:
    """Return the mean of alpha prediction loss and composition loss over the unknown region (Sec. 6.3).

    Each is the sum of sqrt((difference * unknown)² + 1e-12) over all pixels of an image, divided by its number of
    unknown pixels + 1, and averaged over the batch; the composition loss is also summed over RGB. As in the released
    program a known pixel adds 1e-6, so an image without unknown pixels has almost no loss.

    Args:
        pred: (N, 1, H, W), the predicted alpha, not clamped.
        alpha: (N, 1, H, W), the true alpha in 0..1.
        unknown: (N, 1, H, W), 1 where the trimap is unknown, else 0.
        fg, bg, image: (N, 3, H, W), colours in 0..1, not normalised.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: the shapes do not match.

    >>> alpha, black = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 3, 2, 2)
    >>> loss = matting_loss(alpha - 0.25, alpha, torch.ones_like(alpha), black, black, black)
    >>> round(loss.item(), 4)  # half of 4 * 0.25 / 5
    0.1
    """
    if not (pred.shape == alpha.shape == unknown.shape and fg.shape == bg.shape == image.shape):
        shapes = {"pred": pred, "alpha": alpha, "unknown": unknown, "fg": fg, "bg": bg, "image": image}
        found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in shapes.items())
        raise ValueError(f"pred, alpha and unknown must have one shape, and fg, bg and image another; got {found}.")
    composite = pred * fg + (1 - pred) * bg
    area = unknown.sum(dim=(1, 2, 3)) + 1  # (N,)
    alpha_loss = _smooth_l1((pred - alpha) * unknown) / area
    composition_loss = _smooth_l1((composite - image) * unknown) / area
    return (0.5 * alpha_loss + 0.5 * composition_loss).mean()


def laplacian_loss(pred: Tensor, alpha: Tensor, unknown: Tensor) -> Tensor:
    """Return the L1 distance of the Laplacian pyramids of two mattes, over the unknown region (Hou and Liu, ICCV 2019).

    Known pixels count as right. Level i of five, the last of which is what remains of the image, is summed over its
    pixels and weighted by 2^(i-1); for each image the sum is divided by the number of its unknown pixels + 1; mean over
    the batch. The authors' program is not released: spans and borders of the pyramid are Burt and Adelson's, with edge
    pixels repeated.

    Args:
        pred: (N, 1, H, W), predicted alpha, not clamped.
        alpha: (N, 1, H, W), true alpha in 0..1.
        unknown: (N, 1, H, W), 1 where the trimap is unknown, else 0.

    Returns:
        Scalar tensor.

    Raises:
        ValueError: shapes do not fit.
    """
    _check_shapes("laplacian_loss", pred, alpha, unknown)
    levels = laplacian_pyramid((pred - alpha) * unknown)  # the pyramid is linear
    total = sum(2**i * level.abs().sum(dim=(1, 2, 3)) for i, level in enumerate(levels))
    return (total / (unknown.sum(dim=(1, 2, 3)) + 1)).mean()


def gradient_loss(pred: Tensor, alpha: Tensor, unknown: Tensor) -> Tensor:
    """Return the L1 distance of the gradients of two mattes, over the unknown region.

    Gradients are differences of neighbours in each direction. Known pixels count as right. For each image the sum is
    divided by the number of its unknown pixels + 1; mean over the batch. Arguments and errors as for `laplacian_loss`.
    """
    _check_shapes("gradient_loss", pred, alpha, unknown)
    difference = (pred - alpha) * unknown
    total = difference.diff(dim=2).abs().sum(dim=(1, 2, 3)) + difference.diff(dim=3).abs().sum(dim=(1, 2, 3))
    return (total / (unknown.sum(dim=(1, 2, 3)) + 1)).mean()


def _check_shapes(loss: str, pred: Tensor, alpha: Tensor, unknown: Tensor) -> None:
    if not pred.shape == alpha.shape == unknown.shape:
        shapes = f"pred {tuple(pred.shape)}, alpha {tuple(alpha.shape)}, unknown {tuple(unknown.shape)}"
        raise ValueError(f"{loss} takes pred, alpha, unknown of one shape; got {shapes}.")


def laplacian_pyramid(image: Tensor, levels: int = 5) -> list[Tensor]:
    """Return the bands (N, 1, H, W), (N, 1, H/2, W/2), ... (sizes rounded up) of (N, 1, H, W), and the residual.

    A level is the image minus its prediction from half the size: blurred by (1, 4, 6, 4, 1) / 16 both ways and halved,
    then enlarged by the same kernel.
    """
    row = image.new_tensor([1, 4, 6, 4, 1]) / 16
    kernel = (row[:, None] * row)[None, None]  # (1, 1, 5, 5)
    bands = []
    for _ in range(levels - 1):
        half = F.conv2d(F.pad(image, (2, 2, 2, 2), mode="replicate"), kernel, stride=2)
        even = [1 - side % 2 for side in image.shape[-2:]]
        edged = F.pad(half, (1, 1, 1, 1), mode="replicate")
        bands.append(image - F.conv_transpose2d(edged, 4 * kernel, stride=2, padding=4, output_padding=even))
        image = half
    return [*bands, image]


def adaptation_loss(pred: Tensor, trimap: Tensor, log_deviations: Tensor, alpha: Tensor) -> Tensor:
    """Return the loss of trimap adaptation and alpha estimation, weights learned (Cai et al., ICCV 2019).

    L_t / (2 s_t²) + L_a / s_a + log(2 s_t s_a), s_t and s_a the deviations. L_t is the mean cross-entropy against the
    true trimap: background where alpha is 0, foreground where it is 1, else semi-transparent. L_a is the L1 distance
    over the semi-transparent region of the predicted trimap, for each image its sum divided by the number of these
    pixels + 1; mean over the batch. The authors' program is not released (docs/deviations.md).

    Args:
        pred: (N, 1, H, W), predicted alpha.
        trimap: (N, 3, H, W), logits of background, semi-transparent, foreground.
        log_deviations: (2,), logarithms of s_t and s_a.
        alpha: (N, 1, H, W), true alpha in 0..1.

    Returns:
        Scalar tensor, which may be negative.

    Raises:
        ValueError: shapes do not fit.
    """
    n, _, height, width = alpha.shape
    if pred.shape != alpha.shape or trimap.shape != (n, 3, height, width) or log_deviations.shape != (2,):
        given = {"pred": pred, "trimap": trimap, "log_deviations": log_deviations, "alpha": alpha}
        found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in given.items())
        raise ValueError(f"adaptation_loss takes pred and alpha of one shape, trimap with 3 channels; got {found}.")
    classes = (alpha > 0).long() + (alpha >= 1).long()  # 0, 1, 2
    trimap_loss = F.cross_entropy(trimap, classes[:, 0])
    unknown = trimap.argmax(dim=1, keepdim=True) == 1
    distance = ((pred - alpha).abs() * unknown).sum(dim=(1, 2, 3))
    alpha_loss = (distance / (unknown.sum(dim=(1, 2, 3)) + 1)).mean()
    of_trimap, of_alpha = log_deviations
    return trimap_loss / (2 * (2 * of_trimap).exp()) + alpha_loss / of_alpha.exp() + math.log(2) + of_trimap + of_alpha


def _smooth_l1(difference: Tensor) -> Tensor:
    """Sum the smooth absolute values of each image: (N, C, H, W) -> (N,)."""
    return torch.sqrt(difference.square() + EPSILON**2).sum(dim=(1, 2, 3))
