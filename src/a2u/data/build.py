"""From a configuration to a dataset."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from a2u.config import AdobeConfig, AlphamattingConfig, DigitsConfig, Distinctions646Config, SyntheticConfig
from a2u.data import synthetic
from a2u.data.sources import adobe, alphamatting, digits, distinctions646
from a2u.data.sources.digits import PictureData
from a2u.data.types import MattingData


def build_data(cfg: DictConfig) -> MattingData | PictureData:
    """The dataset of `cfg` (the `dataset` of a configuration).

    Raises:
        DataError: its folder is missing or not what it has to be; nothing was written.
    """
    match _typed(cfg):
        case SyntheticConfig() as typed:
            return synthetic.build(typed)
        case AdobeConfig() as typed:
            return adobe.build(typed)
        case Distinctions646Config() as typed:
            return distinctions646.build(typed)
        case AlphamattingConfig() as typed:
            return alphamatting.build(typed)
        case DigitsConfig() as typed:
            return digits.build(typed)
        case other:
            raise TypeError(f"no dataset is built from a {type(other).__name__}")


def prepare_data(cfg: DictConfig, progress: Callable[[int, int], None] | None = None, processes: int = 1) -> None:
    """Do once what several runs on this dataset would otherwise each do: fill the cache of generated layers.

    progress is called with (items done, items); processes: how many may share the work.
    """
    typed = _typed(cfg)
    if isinstance(typed, SyntheticConfig):
        synthetic.prepare(typed, progress, processes)


def _typed(cfg: DictConfig) -> Any:
    return OmegaConf.to_object(cfg)
