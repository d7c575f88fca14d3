"""The operators are installed, and run, with PyTorch and nothing else."""

import json
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
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


def test_the_wheel_gives_the_operators_to_who_has_pytorch_alone(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    built = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(built, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("a2u-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    code = [sys.executable, "-I", "-c", ELSEWHERE, str(tmp_path / "installed")]
    ran = subprocess.run(code, cwd=tmp_path, check=True, capture_output=True, text=True)
    place, names, shapes = json.loads(ran.stdout)
    assert Path(place).is_relative_to(tmp_path)
    assert {"a2u", "carafe", "indexnet", "bilinear"} <= set(names)
    assert shapes == [[2, 8, 10, 14]] * (1 + len(names))

    (metadata,) = (tmp_path / "installed").glob("*.dist-info/METADATA")
    said = HeaderParser().parsestr(metadata.read_text())
    needed = [Requirement(line) for line in said.get_all("Requires-Dist")]
    assert [each.name for each in needed if each.marker is None] == ["torch"]
    assert said["License-Expression"] == "MIT"
