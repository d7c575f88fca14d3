"""Training losses."""

import torch
from torch import Tensor

EPSILON = 1e-6  # of the smooth absolute value sqrt(d^2 + eps^2)


def matting_loss(pred: Tensor, alpha: Tensor, unknown: Tensor, fg: Tensor, bg: Tensor, image: Tensor) -> Tensor:
    """Alpha prediction loss and composition loss, half each, over the unknown region (Sec. 6.3).

    Both are the sum over ALL pixels of sqrt((difference * unknown)^2 + 1e-12), so a known pixel adds 1e-6, as in
    the released program; for each image divided by the number of its unknown pixels + 1; the composition loss is
    summed over RGB; mean over the batch. An image without unknown pixels adds (next to) nothing.

    Args:
        pred: (N, 1, H, W), predicted alpha, not clamped.
        alpha: (N, 1, H, W), true alpha in 0..1.
        unknown: (N, 1, H, W), 1 where the trimap is unknown, else 0.
        fg, bg, image: (N, 3, H, W), colours in 0..1, not normalised.

    Returns:
        Scalar tensor.

    Raises:
        ValueError: shapes do not fit.
    """
    if not (pred.shape == alpha.shape == unknown.shape and fg.shape == bg.shape == image.shape):
        shapes = {"pred": pred, "alpha": alpha, "unknown": unknown, "fg": fg, "bg": bg, "image": image}
        found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in shapes.items())
        raise ValueError(
            f"matting_loss takes pred, alpha, unknown of one shape and fg, bg, image of one shape; got {found}."
        )
    composite = pred * fg + (1 - pred) * bg
    area = unknown.sum(dim=(1, 2, 3)) + 1  # (N,)
    alpha_loss = _smooth_l1((pred - alpha) * unknown) / area
    composition_loss = _smooth_l1((composite - image) * unknown) / area
    return (0.5 * alpha_loss + 0.5 * composition_loss).mean()


def _smooth_l1(difference: Tensor) -> Tensor:
    """(N, C, H, W) -> (N,)."""
    return torch.sqrt(difference.square() + EPSILON**2).sum(dim=(1, 2, 3))
