"""Training losses."""

import torch
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


def _smooth_l1(difference: Tensor) -> Tensor:
    """Sum the smooth absolute values of each image: (N, C, H, W) -> (N,)."""
    return torch.sqrt(difference.square() + EPSILON**2).sum(dim=(1, 2, 3))
