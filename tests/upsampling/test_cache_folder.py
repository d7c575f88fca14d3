"""Compiled code where neither the home nor anything below it can be written, as in a container."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CODE = {
    "C": """
from a2u.upsampling.ops import c_backend
print(c_backend.load("float")._name)
""",
    "Triton": """
from a2u.upsampling.ops.triton_support import checked
checked("triton_reassembly")
from triton.runtime.cache import get_cache_manager
print(get_cache_manager("00").put("its code", "name"))
""",
    "PyTorch's compiler": """
from torch._inductor.runtime.cache_dir_utils import cache_dir
print(cache_dir())
""",
    "Matplotlib": """
import matplotlib
print(matplotlib.get_cachedir())
""",
}
NEEDS = {"Triton": "triton", "Matplotlib": "matplotlib"}


def in_a_read_only_home(code, tmp_path):
    left_out = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    inherited = {key: value for key, value in os.environ.items() if key not in left_out}
    own = {"HOME": "/dev/null", "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], env=inherited | own, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return Path(ended.stdout.strip())


@pytest.mark.parametrize(
    "package", [pytest.param(name, marks=pytest.mark.triton if name == "Triton" else pytest.mark.slow) for name in CODE]
)
def test_caches_of_packages_go_to_a_temporary_folder(tmp_path, package):
    if package in NEEDS and find_spec(NEEDS[package]) is None:
        pytest.skip(f"{NEEDS[package]} is not installed")
    found = in_a_read_only_home(CODE[package], tmp_path)
    assert found.is_relative_to(tmp_path)
    assert not found.is_file()  # what was compiled is removed at the end


def test_a_home_that_can_be_written_keeps_them(tmp_path, monkeypatch):
    from a2u.upsampling.ops.cache_folder import cache_folder, give_triton_a_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRITON_HOME", str(tmp_path))
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    give_triton_a_folder()
    assert cache_folder() == tmp_path / "a2u"
    assert "TRITON_CACHE_DIR" not in os.environ
