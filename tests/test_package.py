"""The source distribution and the wheel built from it hold the package, all of it, and nothing else; its operators are
installed, and run, with PyTorch alone."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""
# What the extras bring, and what comes with it, as Python imports it.
OTHERS = "torchvision hydra omegaconf cv2 numpy scipy PIL tensorboard tqdm safetensors mlxtend matplotlib pymatting ray"
ELSEWHERE = f"""
import json, sys
sys.modules.update(dict.fromkeys("{OTHERS}".split()))  # importing one of these fails
sys.path.insert(0, sys.argv[1])
import torch
import a2u
from a2u.upsampling import A2U, operators
x, guide = torch.randn(2, 8, 5, 7), torch.randn(2, 8, 10, 14)
made = [operator(8) for operator in operators().values() if operator.name != "max_unpool"]
shapes = [list(operator(x, guide).shape) for operator in [A2U(8, mode="hybrid"), *made]]
print(json.dumps([a2u.__file__, [operator.name for operator in made], shapes]))
"""


def build(kind, source, into):
    command = [sys.executable, "-c", BUILD, kind, str(into)]
    ended = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return into / ended.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    leave = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for part in ("src", "scripts", "tests/upsampling"):
        shutil.copytree(ROOT / part, source / part, ignore=leave)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    with tarfile.open(build("sdist", source, folder)) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    assert {"src", "pyproject.toml", "README.md", "LICENSE"} <= {path.name for path in unpacked.iterdir()}
    with zipfile.ZipFile(build("wheel", unpacked, folder)) as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def files(folder):
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path.as_posix() for path in found if "__pycache__" not in path.parts and ".egg-info/" not in str(path)}


def test_what_is_built_is_the_package(installed):
    wanted = files(ROOT / "src")
    assert {"a2u/upsampling/ops/reassembly.c", "a2u/models/shipped/a2u.safetensors", "a2u/py.typed"} <= wanted
    (about,) = installed.glob("*.dist-info")
    assert files(installed) - {f"{about.name}/{name}" for name in files(about)} == wanted
    assert next(about.rglob("LICENSE")).read_bytes() == (ROOT / "LICENSE").read_bytes()
    said = HeaderParser().parsestr((about / "METADATA").read_text())
    needed = [Requirement(line) for line in said.get_all("Requires-Dist")]
    assert [each.name for each in needed if each.marker is None] == ["torch"]
    assert said["License-Expression"] == "MIT"


def test_the_operators_run_with_pytorch_alone(installed, tmp_path):
    code = [sys.executable, "-I", "-c", ELSEWHERE, str(installed)]
    ran = subprocess.run(code, cwd=tmp_path, check=True, capture_output=True, text=True)
    place, names, shapes = json.loads(ran.stdout)
    assert Path(place).is_relative_to(installed)
    assert {"a2u", "carafe", "indexnet", "bilinear"} <= set(names)
    assert shapes == [[2, 8, 10, 14]] * (1 + len(names))
