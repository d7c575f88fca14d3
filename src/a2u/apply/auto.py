"""system=auto: the best system in the package for a photograph."""

import logging
from functools import cache

import numpy as np

from a2u.apply.systems import System
from a2u.errors import A2UError
from a2u.models.networks.classic import pymatting_for
from a2u.network_input import UNKNOWN

log = logging.getLogger(__name__)

BEST = System.closed_form  # the lowest SAD on the validation set: results/validation
LARGEST = 4.0  # megapixels that it is given: it solves for all pixels at once, in 1.2 GB per megapixel


def best(trimap: np.ndarray | None = None) -> System:
    """Return the system that mattes a photograph best: BEST, or the model in the package where BEST cannot.

    It cannot where a package is missing, which is reported once, for photographs above LARGEST, and without any known
    pixel.

    Args:
        trimap: (H, W) uint8 of 0, 128, 255; None: of an ordinary photograph.
    """
    if trimap is not None and (trimap.size > 1e6 * LARGEST or bool((trimap == UNKNOWN).all())):
        return System.checkpoint
    return BEST if _can_be_solved() else System.checkpoint


@cache
def _can_be_solved() -> bool:
    try:
        pymatting_for(f"system={BEST.name}, the best here,")
    except A2UError as error:
        log.warning("%s Until then the model in the package is used.", error)
        return False
    return True
