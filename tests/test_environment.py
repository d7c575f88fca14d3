"""environment.yml, pyproject.toml and constraints.txt list the same packages."""

import re
import runpy
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from a2u.errors import EXPERIMENTS

ROOT = Path(__file__).parents[1]


def requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    return project["dependencies"] + extras, project["requires-python"]


def test_environment_yml_agrees_with_pyproject():
    wanted, python = requirements()
    content = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in content if isinstance(entry, dict))
    packages = [str(Requirement(line)) for line in from_pip if not line.startswith("-")]
    assert sorted(packages) == sorted(str(Requirement(line)) for line in wanted)
    assert f"python{python}" in content
    assert "--editable ." in from_pip


def test_packages_of_experiments_are_known_by_their_modules():
    """So that what lacks one can name the extra."""
    modules = runpy.run_path(str(ROOT / "scripts" / "require.py"))["MODULES"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [Requirement(line).name for line in project["optional-dependencies"]["experiments"]]
    assert {modules.get(name, name) for name in names} == EXPERIMENTS


def test_constraints_satisfy_pyproject():
    wanted, _ = requirements()
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
    assert re.match(r"2\.15", pinned["torch"])
    assert re.match(r"0\.29", pinned["torchvision"])
