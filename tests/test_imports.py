"""Imports within the package go downward only, in the order that docs/architecture.md states."""

import ast
import re
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
