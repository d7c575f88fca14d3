"""system=auto: the best system in the package for a photograph."""

import logging
from functools import cache

import numpy as np

from a2u.apply.systems import System
from a2u.errors import A2UError
from a2u.models.networks.classic import pymatting_for
from a2u.network_input import UNKNOWN

log = logging.getLogger(__name__)

# Systems that are better than the model in the package on the validation set (results/validation), best first, and the
# megapixels that they are given: each solves for all pixels at once, in 3.3 and 1.2 GB per megapixel.
BETTER = {System.knn: 2.0, System.closed_form: 6.0}


def best(trimap: np.ndarray | None = None) -> System:
    """Return the system that mattes a photograph best: the first of BETTER that can, or else the model in the package.

    None of them can where a package is missing, which is reported once, and without any known pixel.

    Args:
        trimap: (H, W) uint8 of 0, 128, 255; None: of an ordinary photograph.
    """
    megapixels = 0.0 if trimap is None else trimap.size / 1e6
    known = trimap is None or bool((trimap != UNKNOWN).any())
    fitting = [system for system, most in BETTER.items() if megapixels <= most and known]
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
