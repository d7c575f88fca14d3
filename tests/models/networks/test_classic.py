"""Closed-form and KNN matting behind the networks' interface."""

import builtins
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from a2u.config import compose
from a2u.data.synthetic.generate import generate_composite
from a2u.engine.evaluate import predict
from a2u.engine.prepare import check
from a2u.errors import A2UError
from a2u.metrics import sad
from a2u.models.networks.classic import KNN, ClosedForm, UnsolvableError, pymatting_for
from a2u.network_input import image_and_trimap, network_input

pytest.importorskip("pymatting")
pymatting = pymatting_for("a test")
SYSTEMS = [(ClosedForm, pymatting.estimate_alpha_cf), (KNN, pymatting.estimate_alpha_knn)]


@pytest.fixture(scope="module")
def case():
    return generate_composite(2021, 3, size=96)


def test_a_networks_input_gives_its_image_back_exactly():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (37, 41, 3), dtype=np.uint8)
    image[:16, :16, 0] = np.arange(256).reshape(16, 16)  # every value
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (37, 41))
    found = image_and_trimap(network_input(image, trimap))
    assert np.array_equal(found[0], image)
    assert np.array_equal(found[1], trimap)


@pytest.mark.parametrize(("system", "solver"), SYSTEMS)
def test_the_prediction_is_the_packages(case, system, solver):
    expected = solver(case.image / 255, case.trimap / 255)
    prediction = predict(system().eval(), case.image, case.trimap)
    unknown = case.trimap == 128
    assert np.array_equal(prediction[unknown], np.rint(255 * expected.clip(0, 1)).astype(np.uint8)[unknown])
    assert np.array_equal(prediction[~unknown], case.trimap[~unknown])
    half = np.where(unknown, 128, case.trimap).astype(np.uint8)
    assert sad(prediction, case.alpha, case.trimap) < 0.7 * sad(half, case.alpha, case.trimap)


@pytest.mark.parametrize(("system", "solver"), SYSTEMS)
@pytest.mark.parametrize("known", [0, 255])
def test_a_trimap_with_one_kind_of_known_pixels_has_a_constant_solution(case, system, solver, known):
    trimap = np.full_like(case.trimap, 128)
    trimap[:20] = known
    assert (predict(system().eval(), case.image, trimap) == known).all()


def test_a_trimap_without_known_pixels_is_refused(case):
    with pytest.raises(UnsolvableError, match="96 x 96 pixels is unknown everywhere"):
        predict(ClosedForm().eval(), case.image, np.full_like(case.trimap, 128))


def test_a_solver_that_does_not_converge_says_so(case, monkeypatch):
    def give_up(image, trimap):
        raise ValueError("Conjugate gradient descent did not converge")

    monkeypatch.setattr(ClosedForm, "solver", staticmethod(lambda: give_up))
    with pytest.raises(UnsolvableError, match="ClosedForm found no alpha: Conjugate gradient"):
        predict(ClosedForm().eval(), case.image, case.trimap)


def test_without_the_package_a_sentence_says_what_to_install(monkeypatch):
    whole = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "pymatting":
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(A2UError, match=r"needs the package pymatting; install it with `pip install -e"):
        check(compose(["experiment=table5/closed_form"]))


def test_batches_are_solved_sample_by_sample(case):
    x = network_input(case.image, case.trimap)
    both = ClosedForm()(torch.stack([x, x.flip(-1)]))
    torch.testing.assert_close(both[0], ClosedForm()(x[None])[0])
    assert both.shape == (2, 1, 96, 96)


@pytest.mark.slow
def test_pymatting_does_not_change_the_threads_of_pytorch():
    """Its import would. In a new process, since this one has imported it."""
    code = (
        "import torch; torch.set_num_threads(1); from a2u.models.networks.classic import pymatting_for; "
        "pymatting_for('it'); "
        "print(torch.get_num_threads())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_numba_without_a_place_for_its_cache_gets_a_temporary_one(tmp_path):
    """As in a read-only container: Numba's own locators, of which none can write."""
    (tmp_path / "pymatting.py").write_text("import numba\n\n@numba.njit(cache=True)\ndef f(x):\n    return x\n")
    code = """
import pathlib
from numba.core import caching
caching.InTreeCacheLocator.ensure_cache_path = lambda self: pathlib.Path("/dev/null/x").mkdir()
caching.UserWideCacheLocator.ensure_cache_path = lambda self: pathlib.Path("/dev/null/x").mkdir()
from a2u.models.networks.classic import pymatting_for
print(pymatting_for("a test").f.__name__)
import numba
print(numba.config.CACHE_DIR)
"""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    name, folder = ended.stdout.split()
    assert name == "f"
    assert re.search(r"a2u-\w+/numba$", folder)
    assert not Path(folder).exists()  # removed at the end
