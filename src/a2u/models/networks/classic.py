"""Classic systems of Tables 5 and 7: closed-form and KNN matting, solved by the package pymatting."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import Tensor

from a2u.errors import A2UError, how_to_install
from a2u.models.networks.base import MattingNetwork
from a2u.network_input import BACKGROUND, FOREGROUND, UNKNOWN, image_and_trimap
from a2u.upsampling.ops.cache_folder import temporary_folder


class UnsolvableError(A2UError, ArithmeticError):
    """A classic system cannot find an alpha for a trimap."""


class ClassicMatting(MattingNetwork):
    """(N, 4, H, W) made from 8-bit images by `network_input` -> (N, 1, H, W) in 0..1. Nothing to train.

    A trimap whose known pixels are all of one kind has an exact solution, alpha constant at that kind; one without
    any known pixel has none.

    Raises:
        A2UError: pymatting is not installed, or its solver does not converge.
    """

    trained = False
    indivisible = "it solves one system of equations for all pixels"

    @staticmethod
    def solver() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Return pymatting's function from image (H, W, 3) and trimap (H, W), float64 in 0..1, to alpha (H, W)."""
        raise TypeError("a classic system defines solver().")

    def check_packages(self) -> None:
        self.solver()

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        alphas = [torch.from_numpy(self._solve(*image_and_trimap(sample))) for sample in x]
        return torch.stack(alphas)[:, None].to(x)

    def _solve(self, image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        known = set(np.unique(trimap)) - {UNKNOWN}
        if not known:
            raise UnsolvableError(
                f"a trimap of {trimap.shape[1]} x {trimap.shape[0]} pixels is unknown everywhere: classic matting "
                "spreads known alphas and needs some; mark pixels 0 (background) or 255 (foreground)."
            )
        if known == {BACKGROUND} or known == {FOREGROUND}:
            return np.full(trimap.shape, known.pop() / 255)
        try:
            with redirect_stdout(sys.stderr):  # where it prints remarks on convergence; a table goes to stdout
                return self.solver()(image / 255, trimap / 255)
        except ValueError as error:
            raise UnsolvableError(f"{type(self).__name__} found no alpha: {error}") from error


class ClosedForm(ClassicMatting):
    """Levin, Lischinski, Weiss: A Closed-Form Solution to Natural Image Matting, PAMI 2008."""

    name = "closed_form"

    @staticmethod
    def solver() -> Any:
        return pymatting_for("closed-form matting").estimate_alpha_cf


class KNN(ClassicMatting):
    """Chen, Li, Tang: KNN Matting, PAMI 2013."""

    name = "knn"

    @staticmethod
    def solver() -> Any:
        return pymatting_for("KNN matting").estimate_alpha_knn


def pymatting_for(what: str) -> Any:
    """Import pymatting. Raises A2UError, saying that `what` needs it, if it is not installed."""
    threads = torch.get_num_threads()
    try:
        pymatting = _import_pymatting()
    except ImportError as error:
        advice = f"install it with {how_to_install('classic')}"
        raise A2UError(f"{what} needs the package pymatting; {advice}.") from error
    torch.set_num_threads(threads)  # the import sets as many as there are cores, for the whole process
    return pymatting


def _import_pymatting() -> Any:
    """Import pymatting; where Numba can write its cache nowhere, as in a read-only container, to a temporary folder."""
    try:
        import pymatting
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        import numba

        config: Any = numba.config
        config.CACHE_DIR = str(temporary_folder() / "numba")
        import pymatting
    return pymatting
