"""Fixtures and helpers of several test files."""

import csv
import gc
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: test processes run side by side

import pytest
import torch
from hypothesis import settings

gc.disable()  # until all modules are imported and all tests collected
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton: its kernels then run on a CPU, as Python

ROOT = Path(__file__).parents[1]
COLUMNS = {"sad": "SAD", "mse": "MSE", "grad": "Grad", "conn": "Conn"}  # of tables of reference values

# Random examples of each property; the long form is run by hand (docs/robustness.md).
settings.register_profile("short", max_examples=25, deadline=None)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


def pytest_collection_finish() -> None:
    """Collect garbage from now on, without searching modules and tests for it every time."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what looks at the report through a browser's window."""
    for item in items:
        if "window" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Restore one thread, which some tests and the import of pymatting change."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def generated(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Name a folder for generated layers, one for all processes of a session (helpers.runs)."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    os.environ["GENERATED"] = str(base / "generated")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` next to the checkout: real photographs and archives that may not be distributed."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the data in {folder.name}/ next to the checkout, which is missing")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """tests/reference: inputs and outputs of the authors' released programs."""
    return ROOT / "tests" / "reference"


@pytest.fixture(scope="session")
def assert_reference() -> Callable[[dict[str, float], Path, str], None]:
    """(values, table, case): equal to the table's within 1e-4, absolute 1e-6 below 1e-3."""

    def check(values: dict[str, float], table: Path, case: str) -> None:
        with table.open(newline="") as file:
            row = next(row for row in csv.DictReader(file) if row["case"] == case)
        assert list(values) == list(COLUMNS)
        for name, column in COLUMNS.items():
            expected = float(row[column])
            tolerance = 1e-4 * expected if expected >= 1e-3 else 1e-6
            assert values[name] == pytest.approx(expected, rel=0, abs=tolerance), name

    return check
