"""Whole networks, built from a configuration."""

from a2u.errors import needs_experiments

with needs_experiments(__name__):
    from a2u.models.build import build_model

__all__ = ["build_model"]
