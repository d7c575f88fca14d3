"""Build a dataset from a configuration."""

from collections.abc import Callable

from omegaconf import DictConfig, OmegaConf

from a2u.data.sources.digits import PictureData
from a2u.data.types import DatasetConfig, MattingData


def build_data(cfg: DictConfig) -> MattingData | PictureData:
    """Return the dataset of `cfg` (the `dataset` of a configuration).

    Raises:
        DataError: its folder is missing or its files cannot be used; nothing was written.
    """
    return _settings(cfg).build()


def prepare_data(cfg: DictConfig, progress: Callable[[int, int], None] | None = None, processes: int = 1) -> None:
    """Do once what several runs on this dataset would otherwise each do: fill the cache of generated layers.

    progress is called with (items done, items); processes: how many may share the work.
    """
    _settings(cfg).prepare(progress, processes)


def _settings(cfg: DictConfig) -> DatasetConfig:
    return OmegaConf.to_object(cfg)  # type: ignore[return-value]
