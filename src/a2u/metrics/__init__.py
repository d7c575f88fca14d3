"""Metrics of alpha mattes and of reconstructed images; a2u.metrics.released has the authors' Python variant."""

from a2u.errors import needs_experiments

with needs_experiments(__name__):
    from a2u.metrics.image import ImageMetrics
    from a2u.metrics.matting import MattingMetrics, UndefinedMetric, all_metrics, conn, grad, mse, sad

HIGHER_IS_BETTER = frozenset({"psnr", "ssim"})  # of all other metrics, lower

__all__ = [
    "HIGHER_IS_BETTER",
    "ImageMetrics",
    "MattingMetrics",
    "UndefinedMetric",
    "all_metrics",
    "conn",
    "grad",
    "mse",
    "sad",
]
