"""Measure start-up: a script's help, and the import of the operators."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from scripts.bench.measure import Line, seconds

REPOSITORY = Path(__file__).parents[2]


def lines() -> Iterator[Line]:
    (help_text,) = seconds(partial(_python, "scripts/train.py", "--help"), repeats=3)
    yield Line("start-up", "scripts/train.py --help, in a process of its own", "s", help_text, target=3)
    operators, torch_alone = seconds(
        partial(_python, "-c", "import a2u.upsampling"), partial(_python, "-c", "import torch"), repeats=3
    )
    yield Line(
        group="start-up",
        what="import a2u.upsampling, in a process of its own",
        unit="s",
        ours=operators,
        reference=torch_alone,
        plain="import torch alone",
    )


def _python(*arguments: str) -> None:
    """Run Python on this checkout. Raises CalledProcessError where it fails."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environment, check=True, capture_output=True)
