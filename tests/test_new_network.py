"""The network of docs/new_network.md: its two files, put where the page says, are enough."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "new_network.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]
ITS_COMMANDS = [command for command in COMMANDS if "tiny_unet" in command]


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


# Several commands in one process, which saves the start of each.
PROGRAM = """
import runpy, shlex, sys
for command in sys.argv[1:]:
    _, *sys.argv = shlex.split(command)
    try:
        if sys.argv[0] == "-m":
            del sys.argv[0]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
"""


def run_there(copy, *commands):
    words = [f"{command} {'-n 0' if ' -m pytest' in command else 'scale=smoke'}" for command in commands]
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, *words]
    ended = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_it_trains_and_keeps_the_contract(copy):
    train, _, check = ITS_COMMANDS
    assert "3 passed" in run_there(copy, train, check)
    assert list(copy.rglob("result.json"))


@pytest.mark.slow
def test_it_trains_with_other_options(copy):
    run_there(copy, ITS_COMMANDS[1])
