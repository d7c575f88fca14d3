"""Imports within the package go downward only, in the order that docs/architecture.md states."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "a2u"


def imported(path):
    """Return the rooms of the package, such as "engine" or "config", that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("a2u.")}


def test_imports_go_downward_only():
    listed = re.search(r"```text\nscripts\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    assert listed is not None
    lines = [re.sub(r" \(.*\)", "", line).split(", ") for line in listed[1].splitlines()]
    level = {room: number for number, line in enumerate(lines) for room in line}
    edges = {
        (path.relative_to(PACKAGE).with_suffix("").parts[0], room)
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "__init__.py"
        for room in imported(path)
    }
    assert ("engine", "models") in edges
    assert [edge for edge in sorted(edges) if edge[0] != edge[1] and level[edge[0]] >= level[edge[1]]] == []
    assert "upsampling" not in {importer for importer, room in edges if room != "upsampling"}


ELSEWHERE = """
import os, sys, numpy, torch  # which know themselves where they are
sys.modules.update(dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"]))  # importing one of these fails
del os.getuid, os.fork, os.register_at_fork, os.sched_getaffinity, os.sysconf
from a2u.metrics import sad
from a2u.upsampling import A2U
picture = numpy.full((2, 2), 128, numpy.uint8)
print(sad(picture, picture, picture), *A2U(4)(torch.ones(1, 4, 3, 3), torch.ones(1, 4, 6, 6)).shape)
"""


def test_metrics_and_operators_work_without_what_only_posix_has():
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    ended = subprocess.run([sys.executable, "-c", ELSEWHERE], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "0.0 1 4 6 6\n"), ended.stderr
