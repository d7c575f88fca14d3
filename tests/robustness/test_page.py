"""docs/robustness.md against the tests: each case is one, and each of these tests is a case."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "robustness.md"


def rows():
    """(number, what is given, what happens, test) of the table's lines."""
    lines = [line.strip("|").split(" | ") for line in PAGE.read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    return [tuple(cell.strip(" `") for cell in line) for line in lines]


def functions_of(file):
    """Names of the test functions of a file, those of classes as Class::name."""
    found = []
    for node in ast.parse(file.read_text()).body:
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found += [
            prefix + part.name for part in parts if isinstance(part, ast.FunctionDef) and part.name.startswith("test_")
        ]
    return found


def test_the_table_has_every_case_once_in_order():
    assert [int(number) for number, *_ in rows()] == list(range(1, len(rows()) + 1))
    assert len(rows()) >= 60
    for column in (1, 3):
        cells = [row[column] for row in rows()]
        assert len(set(cells)) == len(cells)


def test_every_case_is_a_test():
    for *_, test in rows():
        file, _, name = test.partition("::")
        assert name in functions_of(TESTS / file), test


def test_every_test_of_this_folder_is_a_case():
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name]
    here = {f"robustness/{path.name}::{name}" for path in files for name in functions_of(path)}
    assert here <= {test for *_, test in rows()}
