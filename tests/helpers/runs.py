"""Small configurations and a test double for data."""

from pathlib import Path

from omegaconf import DictConfig

from a2u.config import compose


def smoke(outputs: Path, *overrides: str) -> DictConfig:
    """A smoke run that writes under `outputs` alone."""
    return compose(
        [
            "scale=smoke",
            f"runtime.outputs='{outputs}'",
            f"dataset.cache='{outputs / 'cache'}'",
            "runtime.progress=false",
            "runtime.threads=1",
            "runtime.device=cpu",
            "runtime.workers=0",
            *overrides,
        ]
    )
