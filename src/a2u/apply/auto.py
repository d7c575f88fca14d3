"""system=auto: the best system in the package for a photograph."""

import logging
import math
from functools import cache
from typing import NamedTuple

import numpy as np

from a2u.apply.systems import System
from a2u.engine.memory import machine_memory
from a2u.errors import A2UError
from a2u.models.networks.classic import pymatting_for
from a2u.network_input import UNKNOWN

log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """What a system that solves for all pixels at once is given."""

    megapixels: float  # at most, for its time
    gigabytes: float  # that it takes per megapixel; at most half of the machine's memory


# Systems that are better than the model in the package on the validation set (results/validation), best first.
BETTER = {System.knn: Limits(2.0, 3.3), System.closed_form: Limits(6.0, 1.2)}


def best(trimap: np.ndarray | None = None) -> System:
    """Return the system that mattes a photograph best: the first of BETTER that can, or else the model in the package.

    None of them can where a package is missing, which is reported once, and without any known pixel; nor one whose
    limits the photograph exceeds.

    Args:
        trimap: (H, W) uint8 of 0, 128, 255; None: of an ordinary photograph.
    """
    megapixels = 0.0 if trimap is None else trimap.size / 1e6
    known = trimap is None or bool((trimap != UNKNOWN).any())
    room = (machine_memory() or math.inf) / 2e9
    fitting = [
        system
        for system, limits in BETTER.items()
        if known and megapixels <= limits.megapixels and megapixels * limits.gigabytes <= room
    ]
    return fitting[0] if fitting and _solvable() else System.checkpoint


@cache
def _solvable() -> bool:
    """Return whether the classic systems can be computed; warn if not."""
    try:
        pymatting_for(f"system={next(iter(BETTER)).name}, the best here,")
    except A2UError as error:
        log.warning("%s Until then the model in the package is used.", error)
        return False
    return True
