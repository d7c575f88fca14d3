"""The network of docs/new_network.md: its two files, put where the page says, are enough."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "new_network.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL).group(1)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of this repository with the two files."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("src", "configs", "scripts"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True)
    for file in ("pyproject.toml", "tests/conftest.py", "tests/models/networks/test_contract.py"):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, copy / file)
    file, config = re.findall(r"^\*\*\d\. .*?\*\*, `(.*?)`", PAGE, re.MULTILINE)
    (copy / file).write_text(block("python"))
    (copy / config).write_text(block("yaml"))
    return copy


def test_the_network_is_short():
    assert len(block("python").splitlines()) < 50
    assert len(block("yaml").splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(line, marks=[pytest.mark.slow] * ("model.width" in line), id=line)
        for line in COMMANDS
        if "tiny_unet" in line
    ],
)
def test_it_trains_and_keeps_the_contract(copy, command):
    program, *words = shlex.split(command)
    words = [sys.executable, *words, *(["-n", "0"] if "pytest" in words else ["scale=smoke"])]
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True)
    assert (program, ended.returncode) == ("python", 0), ended.stdout + ended.stderr
    if "pytest" in words:
        assert "3 passed" in ended.stdout
