"""Datasets and training samples."""

from a2u.errors import needs_experiments

with needs_experiments(__name__):
    from a2u.data.build import build_data, prepare_data
    from a2u.data.sampling.samples import EpochSampler, TrainingSamples
    from a2u.network_input import network_input

__all__ = ["EpochSampler", "TrainingSamples", "build_data", "network_input", "prepare_data"]
