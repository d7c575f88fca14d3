"""`make` and scripts/data.py: what they say to who does not know them yet; files that describe the repository."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_make_alone_lists_every_target_with_a_line():
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")  # of the make that runs these tests
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    ended = subprocess.run(["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    listed = re.findall(r"^make ([\w-]+) +\S.*$", ended.stdout, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    (tables,) = re.findall(r"^TABLES := (.*)$", makefile, re.MULTILINE)
    targets = phony.replace("$(TABLES)", tables).split()
    assert sorted(listed) == sorted(set(targets) - {"foreign-environment"})  # which others are made of
    with_their_targets = {"TABLE", "BENCH", "REPORT"}
    given = set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE)) - with_their_targets
    assert given <= set(re.findall(r"^  ([A-Z]+)=", ended.stdout, re.MULTILINE))


def test_a_misspelt_command_of_data_gets_a_suggestion():
    command = [sys.executable, str(ROOT / "scripts" / "data.py"), "verfy"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "Did you mean 'verify'?" in ended.stderr


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
