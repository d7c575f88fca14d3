"""The source distribution and the wheel that is built from it hold the package, all of it, and nothing else."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""


def build(kind, source, into):
    command = [sys.executable, "-c", BUILD, kind, str(into)]
    ended = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return into / ended.stdout.splitlines()[-1]


def test_what_is_built_is_the_package(tmp_path):
    source = tmp_path / "source"
    leave = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for folder in ("src", "scripts", "tests/upsampling"):
        shutil.copytree(ROOT / folder, source / folder, ignore=leave)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    wanted = {path.relative_to(source / "src").as_posix() for path in (source / "src").rglob("*") if path.is_file()}
    assert {"a2u/upsampling/ops/reassembly.c", "a2u/models/shipped/a2u.safetensors", "a2u/py.typed"} <= wanted

    with tarfile.open(build("sdist", source, tmp_path)) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert {"src", "pyproject.toml", "README.md", "LICENSE"} <= {path.name for path in unpacked.iterdir()}
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path)) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (licence,) = [name for name in wheel.namelist() if name.endswith("LICENSE")]
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert files == wanted
