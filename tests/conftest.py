"""What several test files share."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch: test processes run side by side

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton: its kernels then run on a CPU, as Python

ROOT = Path(__file__).parents[1]

# Random examples of each property; the long form is run by hand (docs/robustness.md).
settings.register_profile("short", max_examples=25, deadline=None)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what looks at the report through a browser's window."""
    for item in items:
        if "window" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """What some tests set, and the import of pymatting, does not stay: two would wait for each other on busy cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout: real photographs and archives that may not be distributed."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the data in {folder.name}/ beside the checkout, which is not there")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """tests/reference: inputs and outputs of the authors' released programs."""
    return ROOT / "tests" / "reference"
