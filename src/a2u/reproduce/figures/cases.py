"""Choose the images of the figures, by rules that do not depend on predictions."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from a2u.data.files.folders import some
from a2u.data.sources import alphamatting
from a2u.data.sources.alphamatting import AlphamattingConfig
from a2u.data.types import Composites
from a2u.errors import ConfigError
from a2u.network_input import UNKNOWN

TRANSLUCENT = (0.1, 0.9)  # alpha strictly between
PHOTOGRAPHS = 4  # of each kind
TRIMAP = "Trimap1"  # of the photographs


class Case(NamedTuple):
    """A picture to predict: a test case, or a photograph without public true alpha."""

    name: str
    image: np.ndarray  # (H, W, 3) uint8 RGB
    trimap: np.ndarray  # (H, W) uint8: 0 background, 128 unknown, 255 foreground
    alpha: np.ndarray | None  # (H, W) uint8


def evenly(length: int, count: int) -> list[int]:
    """Return up to `count` indices evenly spaced through 0 .. length - 1, starting at 0."""
    count = min(count, length)
    return [number * length // count for number in range(count)]


def named(names: Sequence[str], test_names: Sequence[str]) -> list[int]:
    """Return the indices of test images by name. Raises ConfigError for an unknown name."""
    for name in names:
        if name not in test_names:
            raise ConfigError(f"there is no test image {name!r}; there are {some(list(test_names))}.")
    return [list(test_names).index(name) for name in names]


def most_translucent(test: Composites, count: int) -> dict[int, float]:
    """Return the test cases with the largest share of translucent pixels: index -> share, largest first.

    Only one case of each true alpha is taken, since test sets lay a foreground over many backgrounds; of equal
    shares, the first in the test set's order.
    """
    bar = tqdm(range(len(test)), "translucent images", disable=not sys.stderr.isatty(), leave=False)
    shares = [translucency(test[index].alpha, test[index].trimap) for index in bar]
    found: dict[int, float] = {}
    alphas: set[bytes] = set()
    for index in sorted(range(len(test)), key=lambda index: -shares[index]):
        if len(found) == count:
            break
        alpha = test[index].alpha.tobytes()
        if alpha not in alphas:
            alphas.add(alpha)
            found[index] = shares[index]
    return found


def translucency(alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Return the share of unknown pixels of the (H, W) trimap with alpha / 255 strictly between 0.1 and 0.9."""
    values = alpha[trimap == UNKNOWN] / 255
    low, high = TRANSLUCENT
    return float(((values > low) & (values < high)).mean()) if values.size else 0.0


def photographs(folder: str) -> list[Case]:
    """Return photographs of alphamatting.com: up to four with true alpha, and up to four of the benchmark's own.

    Each kind is evenly spaced in the order of names; one kind is enough.

    Raises:
        DataError: the folder holds neither, or a file is missing, damaged or of another size; names it.
    """
    root, found = alphamatting.photographs_folder(folder), []
    if (root / alphamatting.IMAGES).is_dir():
        test = AlphamattingConfig(root=str(root), trimap=TRIMAP).build().test
        found += [Case(*test[index]) for index in evenly(len(test), PHOTOGRAPHS)]
    if (root / alphamatting.BENCHMARK).is_dir():
        own = alphamatting.BenchmarkPhotographs(root, TRIMAP)
        found += [Case(*own[index], None) for index in evenly(len(own), PHOTOGRAPHS)]
    return found
