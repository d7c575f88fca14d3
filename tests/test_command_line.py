"""`make` and scripts/data.py: what they list, suggest and install; files that describe the repository."""

import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def make(*words):
    """Return what make prints in an environment that is not active, independent of the make that runs these tests."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHON")
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    command = ["make", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_alone_lists_every_target_with_a_line():
    printed = make()
    listed = re.findall(r"^make ([\w-]+) +\S.*$", printed, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for name in ("TABLES", "GROUPS"):
        (words,) = re.findall(rf"^{name} := (.*)$", makefile, re.MULTILINE)
        phony = phony.replace(f"$({name})", words)
    assert sorted(listed) == sorted(phony.split())
    given = set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE))
    assert given <= set(re.findall(r"^  ([A-Z]+)=", printed, re.MULTILINE))


def installed(*words):
    """The extras that a command installs where they are missing, in a fresh clone."""
    said = make("-n", "-W", "pyproject.toml", *words)  # as if that were newer than .venv
    assert said.index("python3 -m venv") < said.index("scripts/require.py")
    return set(re.findall(r"scripts/require.py (\w+)$", said, re.MULTILINE))


@pytest.mark.parametrize(
    ("command", "extras"),
    [
        ("table2", {"experiments", "figures"}),
        ("table1", {"experiments", "figures", "digits"}),
        ("table5", {"experiments", "figures", "classic"}),
        ("table2 LAUNCHER=ray", {"experiments", "figures", "ray"}),
        ("table2 LAUNCHER=submitit_local", {"experiments", "figures", "submitit"}),
        ("demo", {"experiments", "classic"}),
        ("tensorboard", {"experiments"}),
        ("lint", {"experiments", "dev", "figures"}),
    ],
)
def test_a_target_installs_what_it_uses(command, extras):
    assert installed(*command.split()) == extras


def test_every_extra_is_some_targets():
    every = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set().union(*map(installed, ("test-all", "lint"))) == set(every)


def test_an_environment_of_ones_own_gets_the_extras_that_are_missing():
    said = make("-n", "table2", "PYTHON=mine")
    assert "venv" not in said
    assert re.findall(r'"mine" scripts/require.py (\w+)', said) == ["experiments", "figures"]
    code = "import sys; sys.modules['ruff'] = sys.modules['torch'] = None; sys.path.insert(0, 'scripts'); "
    code += "import require; print(require.missing(['figures', 'dev']))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "torch" in ended.stdout, ended.stderr
    assert "matplotlib" not in ended.stdout


def test_a_misspelt_command_of_data_gets_a_suggestion(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts" / "data.py"), "verfy"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(sys.argv[0], run_name="__main__")
    assert stopped.value.code == 2
    assert "Did you mean 'verify'?" in capsys.readouterr().err


def test_the_citation_is_of_the_paper_and_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["authors"] == project["authors"]
    paper = cited["preferred-citation"]
    assert paper["title"] in (ROOT / "README.md").read_text()
    assert [author["family-names"] for author in paper["authors"]] == ["Dai", "Lu", "Shen"]
    assert {"type", "title", "authors", "year"} <= paper.keys()
