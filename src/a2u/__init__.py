"""Affinity-Aware Upsampling (A2U), CVPR 2021: operators, networks, data, metrics and the paper's tables."""

__version__ = "0.1.0"
