"""Datasets: settings that build layers to compose for training and composites to evaluate on.

All images are uint8 NumPy arrays, colours in RGB order.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from omegaconf import MISSING

from a2u.settings import field

if TYPE_CHECKING:
    from a2u.data.sources.digits import PictureData


class Layer(NamedTuple):
    """One training foreground: colours and alpha matte."""

    name: str
    foreground: np.ndarray  # (H, W, 3) uint8 RGB
    alpha: np.ndarray  # (H, W) uint8, 255 = opaque


class Composite(NamedTuple):
    """One test case: image, trimap and true alpha."""

    name: str
    image: np.ndarray  # (H, W, 3) uint8 RGB
    trimap: np.ndarray  # (H, W) uint8: 0 background, 128 unknown, 255 foreground
    alpha: np.ndarray  # (H, W) uint8


class Layers(Protocol):
    """Training foregrounds, by index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Layer: ...


class Pictures(Protocol):
    """Background images, by index: (H, W, 3) uint8 RGB.

    Messages use its `name(index)`, if there is one. `behind(layer, index)`, if there is one, is used instead of
    `[index]`: the background for the layer of an index.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> np.ndarray: ...


class Composites(Protocol):
    """Test cases, by index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Composite: ...


@dataclass(frozen=True)
class MattingData:
    """A dataset: training layers and backgrounds (None if it only evaluates), and test cases.

    `checksum` returns the SHA-256 of the test set (names and contents). A result records it: the same weights differ
    by 2.5 SAD between the test sets of two composition scripts.
    """

    layers: Layers | None
    layer_names: Sequence[str]
    backgrounds: Pictures | None
    test: Composites
    test_names: Sequence[str]
    checksum: Callable[[], str]


def absolute_path(path: str | None) -> str | None:
    """Return a path as absolute, with ~ expanded."""
    return path and os.path.abspath(os.path.expanduser(path))


@dataclass
class DatasetConfig:
    """Settings of a dataset, which build it. `limit_*` use the first N only."""

    name: str = field(MISSING)
    root: str | None = field(None, "folder of the dataset", identity=absolute_path)
    limit_train: int | None = field(None, "use the first N training items; null: all", least=1)
    limit_test: int | None = field(None, "use the first N test items; null: all", least=1)

    def build(self) -> "MattingData | PictureData":
        """Return the dataset.

        Raises:
            DataError: its folder is missing or its files cannot be used; nothing was written.
            ConfigError: its settings contradict each other.
        """
        raise NotImplementedError

    def prepare(self, progress: Callable[[int, int], None] | None = None, processes: int = 1) -> None:
        """Do once what several runs would otherwise each do, such as filling a cache.

        Args:
            progress: called with (items done, items).
            processes: number of processes to use.
        """


@dataclass
class MattingDatasetConfig(DatasetConfig):
    """Foregrounds with alpha to train on, composites to test on."""
