"""Metrics of restored alphas where they are hard: in the mixed region, 0 < alpha < 1 of the true alpha."""

import numpy as np

from a2u.metrics.matting import grad, mse, sad
from a2u.network_input import UNKNOWN

NAMES = ("mae", "mse", "grad")


def mixed_metrics(pred: np.ndarray, alpha: np.ndarray) -> dict[str, float]:
    """Return {"mae", "mse", "grad"} over the mixed region of the true alpha: MAE and MSE for alphas in 0..1, and Grad.

    Arguments, errors and Grad as for `a2u.metrics.grad`, with the mixed region for the unknown one.

    Raises:
        UndefinedMetric: no pixel of the true alpha is mixed.

    >>> alpha = np.tile(np.uint8([0, 51, 204, 255]), (4, 1))
    >>> {name: round(value, 4) for name, value in mixed_metrics(alpha // 2, alpha).items()}
    {'mae': 0.251, 'mse': 0.0852, 'grad': 0.0}
    """
    mixed = np.where((alpha > 0) & (alpha < 255), np.uint8(UNKNOWN), alpha)
    count = int(np.count_nonzero(mixed == UNKNOWN))
    return {
        "mae": 1000 * sad(pred, alpha, mixed) / count,
        "mse": mse(pred, alpha, mixed),
        "grad": grad(pred, alpha, mixed),
    }
