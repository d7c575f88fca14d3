"""Metrics of alpha mattes; a2u.metrics.released has the authors' Python variant."""

from a2u.metrics.matting import MattingMetrics, UndefinedMetric, all_metrics, conn, grad, mse, sad

__all__ = ["MattingMetrics", "UndefinedMetric", "all_metrics", "conn", "grad", "mse", "sad"]
