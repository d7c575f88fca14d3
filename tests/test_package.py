"""The source distribution, the wheel that is built from it, and what is installed from that wheel."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""


def run(words, folder, **environment):
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        words, cwd=folder, env=inherited | {"OMP_NUM_THREADS": "1"} | environment, capture_output=True, text=True
    )


def build(kind, source, into):
    ended = run([sys.executable, "-c", BUILD, kind, str(into)], source)
    assert ended.returncode == 0, ended.stderr
    return into / ended.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def source(folder):
    """A copy of what the build reads, and of the tests."""
    leave = shutil.ignore_patterns("*.egg-info", "__pycache__", "reference")
    for name in ("src", "configs", "scripts", "tests"):
        shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True, ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "Makefile"):
        shutil.copy(ROOT / name, folder / "source" / name)
    return folder / "source"


@pytest.fixture(scope="module")
def unpacked(source, folder):
    """The contents of the source distribution."""
    with tarfile.open(build("sdist", source, folder)) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


@pytest.fixture(scope="module")
def wheel(unpacked, folder):
    return build("wheel", unpacked, folder)


@pytest.fixture(scope="module")
def installed(wheel, folder):
    """The folder into which pip installs the wheel, without what it depends on."""
    offline = ["--no-deps", "--no-index", "--quiet", "--no-compile", "--disable-pip-version-check"]
    place = folder / "installed"
    ended = run([sys.executable, "-m", "pip", "install", *offline, "--target", str(place), str(wheel)], folder)
    assert ended.returncode == 0, ended.stderr
    return place


def files_of(folder):
    """All files under a folder, also those behind links."""
    found = [Path(place, name) for place, _, names in os.walk(folder, followlinks=True) for name in names]
    return {path.relative_to(folder).as_posix() for path in found}


def test_the_source_distribution_has_no_test_and_the_wheel_the_whole_package(source, unpacked, wheel):
    assert {path.name for path in unpacked.iterdir()} - {"build"} == {
        *("src", "pyproject.toml", "LICENSE", "MANIFEST.in"),
        *("PKG-INFO", "setup.cfg"),  # of setuptools
    }
    wanted = {name for name in files_of(source / "src") if name.startswith("a2u/")}
    assert {"a2u/upsampling/ops/reassembly.c", "a2u/models/shipped/a2u.safetensors", "a2u/py.typed"} <= wanted
    assert {"a2u/configs/predict.yaml", "a2u/configs/experiment/table2/nearest.yaml"} <= wanted
    with zipfile.ZipFile(wheel) as packed:
        assert {name for name in packed.namelist() if ".dist-info/" not in name} == wanted
        (licence,) = [name for name in packed.namelist() if name.endswith("LICENSE")]
        assert packed.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_what_an_index_shows_of_it(wheel):
    """The page has no link into the repository, which is not there."""
    with zipfile.ZipFile(wheel) as packed:
        (metadata,) = [name for name in packed.namelist() if name.endswith("/METADATA")]
        shown = HeaderParser().parsestr(packed.read(metadata).decode())
    needed = [Requirement(line) for line in shown.get_all("Requires-Dist")]
    assert [each.name for each in needed if each.marker is None] == ["torch"]
    assert shown["License-Expression"] == "MIT"
    links = [line.split(", ")[1] for line in shown.get_all("Project-URL")]
    page = shown.get_payload()
    links += re.findall(r"\]\(([^)]+)\)", page) + re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert len(links) >= 3
    assert [link for link in links if not link.startswith("https://")] == []
    assert "a2u predict image=" in page


# What the extras bring, and what comes with it, as Python imports it.
OTHERS = "torchvision hydra omegaconf cv2 numpy scipy PIL tensorboard tqdm safetensors mlxtend matplotlib pymatting ray"
WITH_PYTORCH_ALONE = f"""
import json, sys
sys.modules.update(dict.fromkeys("{OTHERS}".split()))  # importing one of these fails
sys.path.insert(0, sys.argv[1])
import torch
import a2u
from a2u.upsampling import A2U, operators
x, guide = torch.randn(2, 8, 5, 7), torch.randn(2, 8, 10, 14)
made = [operator(8) for operator in operators().values() if operator.name != "max_unpool"]
shapes = [list(operator(x, guide).shape) for operator in [A2U(8, mode="hybrid"), *made]]
refused = []
for name in ("metrics", "models", "models.released", "data", "config", "commands"):
    try:
        __import__(f"a2u.{{name}}")
    except ImportError as error:
        refused.append(str(error))
sys.argv[1:] = ["predict"]
try:
    a2u.commands.main()
except SystemExit as stopped:
    print(json.dumps([a2u.__file__, [operator.name for operator in made], shapes, refused, stopped.code]))
"""


def test_with_pytorch_alone_operators_work_and_the_rest_names_what_to_install(installed, tmp_path):
    ended = run([sys.executable, "-I", "-c", WITH_PYTORCH_ALONE, str(installed)], tmp_path)
    assert ended.returncode == 0, ended.stderr
    place, names, shapes, refused, status = json.loads(ended.stdout)
    assert Path(place).is_relative_to(installed)
    assert {"a2u", "carafe", "indexnet", "bilinear"} <= set(names)
    assert shapes == [[2, 8, 10, 14]] * (1 + len(names))
    install = 'install it with `pip install "a2u[experiments]"`'
    assert [re.sub("package .*;", "package X;", line) for line in refused] == [
        f"a2u.{name} needs the package X; {install}" for name in ("metrics", "models", "models", "data", "data")
    ]
    assert re.fullmatch(
        rf"error: a2u predict needs the package \w+; {re.escape(install)}\.", ended.stderr.splitlines()[-1]
    )
    assert status == 2


@pytest.fixture
def command(installed, tmp_path):
    """Run `a2u` as it is installed, in an empty folder."""

    def command(*words):
        program = [sys.executable, str(installed / "bin" / "a2u")]
        return run([*program, *words], tmp_path, PYTHONPATH=str(installed))

    return command


def test_the_installed_command_mattes_a_photograph(command, tmp_path):
    """Through the configurations in the wheel."""
    trimap = np.repeat(np.uint8([[0, 128, 255]]), 3, axis=0)
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((3, 3, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "trimap.png"), trimap)
    words = ["system=trimap_only", "cutout=false"]
    ended = command("predict", "image=photo.png", "trimap=trimap.png", *words)
    assert ended.returncode == 0, ended.stderr
    alpha = cv2.imread(str(tmp_path / "outputs" / "predict" / "photo_alpha.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(alpha, trimap)


@pytest.mark.slow
def test_further_installed_commands(command, tmp_path):
    for name in ("predictions", "truth", "trimaps"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.repeat(np.uint8([[0, 128, 255]]), 3, axis=0))
    measured = command("measure", "predictions=predictions", "truth=truth", "trimaps=trimaps")
    assert measured.returncode == 0, measured.stderr
    assert (tmp_path / "outputs" / "measure" / "metrics.csv").is_file()
    table = command("table", "table=table2", "rows=[trimap_only,nearest]", "scale=smoke", "runtime.device=cpu")
    assert table.returncode == 0, table.stderr
    assert "37.51" in table.stdout
    (result,) = (tmp_path / "outputs").glob("table2/*/*/nearest/*/result.json")
    assert json.loads(result.read_text())["provenance"]["commit"] == "unknown"
    assert command("--help").stdout.startswith("a2u COMMAND KEY=VALUE")
    misspelt = command("predit")
    assert (misspelt.returncode, misspelt.stdout) == (2, "")
    assert "Did you mean 'predict'?" in misspelt.stderr
