"""What datasets provide: layers to compose for training, composites to evaluate on.

All images are uint8 NumPy arrays, colours in RGB order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np


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
    """Background images, by index: (H, W, 3) uint8 RGB."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> np.ndarray: ...
    def name(self, index: int) -> str: ...


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
