"""Every command and every Python block in the README and docs runs as written, but smaller."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_state

from a2u.config import CONFIG_DIR, compose
from a2u.engine.export import export
from a2u.engine.identity import Places
from a2u.files import sha256
from a2u.models.exported import load_exported

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    return [
        (page.name, block)
        for page in PAGES
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]


def commands():
    """Every command with the page that shows it, once: several pages may show the same."""
    found = {}
    for page, block in blocks("sh"):
        for line in block.splitlines():
            command = line.split("  #")[0].strip()
            # activating an environment has no meaning here; test_the_documented_operator runs the command of its page
            if command and not line.startswith(". ") and "upsampler=blur" not in line:
                found.setdefault(command, page)
    return found


COMMANDS = [pytest.param(command, id=f"{page}: {command}") for command, page in commands().items()]


ROWS = {"table1": "conv_nearest,maxpool_maxunpool", "table5": "trimap_only,closed_form", "table6": "trimap_only"}


def smaller(command, tmp_path, request):
    """The same command at smoke scale, writing under tmp_path, on data that is there."""
    if "/data/" in command:
        shared = request.getfixturevalue("shared")
        command = command.replace("/data/Combined_Dataset", str(shared / "data" / "adobe-mini"))
        command = command.replace("/data/alphamatting", str(shared / "data" / "alphamatting"))
        command = command.replace("/data/digits", str(shared / "data"))
        command = command.replace("/data/VOC2012/JPEGImages", str(shared / "data" / "adobe-mini" / "Test_set" / "bg"))
    command = re.sub(r"\b(scale|SCALE)=\w+", "", command)
    if "LAUNCHER=submitit" in command:  # without SLURM, and so without what only SLURM knows
        command = re.sub(r"launcher\.\w+=\w+ ?", "", command.replace("LAUNCHER=submitit", "LAUNCHER=submitit_local"))
    here = [f"runtime.outputs='{tmp_path}'"]
    if not any(word in command for word in ("adobe", "alphamatting", "mnist", "table1")):
        here.append(f"dataset.cache='{tmp_path}'")
    return command, here


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command, tmp_path, request):
    command, here = smaller(command, tmp_path, request)
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")  # of the make that runs these tests
    environment = {key: value for key, value in os.environ.items() if key not in outer} | {"OMP_NUM_THREADS": "1"}
    if command.startswith("make"):
        words = shlex.split(command)
        target, *variables = words[1:]
        if target == "bench":
            check_bench(environment, tmp_path)
            return
        if target in ("test", "tensorboard"):  # this very run; a server
            words, variables = ["make", "--dry-run", target, f"PYTHON={sys.executable}"], []
        else:
            given = next((word[5:].split() for word in variables if word.startswith("ARGS=")), [])
            given = [word for word in given if not word.startswith("trainer.iterations")]
            variables = [word for word in variables if not word.startswith(("ARGS=", "ROWS=", "SEEDS="))]
            rows = ROWS.get(target, "trimap_only,nearest")
            given += ["figures=[5]"] if target == "figures" else []  # the one that needs a single row
            words = ["make", target, *variables, "SCALE=smoke", f"ROWS={rows}", f"PYTHON={sys.executable}"]
            words.append("ARGS=" + " ".join([*given, *(word.replace("'", "") for word in here)]))
    else:
        program, *words = shlex.split(command)
        several = [word for word in words if word.startswith("--nproc-per-node")] if program == "torchrun" else []
        script, *overrides = words[len(several) :]
        python = (
            [sys.executable, "-m", "torch.distributed.run", "--standalone", *several] if several else [sys.executable]
        )
        if "scripts/data.py" in script:
            check_data_command(overrides, environment, tmp_path)
            return
        if "scripts/export.py" in script:
            check_export(environment, tmp_path)
            return
        if "scripts/evaluate.py" in script:
            weights = released(tmp_path, request) if "system=a2u" in overrides else trained(tmp_path)
            if "weights=a2u.safetensors" in overrides:
                weights = exported(weights)
            overrides = [re.sub("^weights=.*", f"weights='{weights}'", word) for word in overrides]
            here = [*here, "dataset.limit_test=2"]
        else:
            here = [*here, "scale=smoke", *(["trainer.batch_size=4"] if several else [])]  # two samples a process
        words = [*python, str(ROOT / script), *overrides, *here]
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def check_bench(environment, tmp_path):
    """One part; whether it is fast enough is not for tests to say."""
    given = f"BENCH=parts=[startup] outputs='{tmp_path}'"
    words = ["make", "bench", given, f"PYTHON={sys.executable}"]
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "measuring startup" in ended.stderr
    assert "scripts/train.py --help" in ended.stdout
    assert json.loads((tmp_path / "bench" / "cpu.json").read_text())["parts"] == ["startup"]


def check_export(environment, tmp_path):
    to = tmp_path / "a2u.safetensors"  # tests/engine/test_export.py has the other kinds
    words = [sys.executable, str(ROOT / "scripts" / "export.py"), f"weights='{trained(tmp_path)}'", f"to='{to}'"]
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert sha256(to) in ended.stdout
    load_exported(to)


def check_unpack(folder, environment, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "data"), "zip", folder)
    words = [sys.executable, str(ROOT / "scripts" / "data.py"), "unpack", archive, "--into", str(tmp_path / "into")]
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert f"{sum(path.is_file() for path in Path(folder).rglob('*'))} files" in ended.stdout


def check_data_command(words, environment, tmp_path):
    """scripts/data.py on a copy of the small data set, whose counts are not the released one's."""
    if words[0] == "unpack":
        check_unpack(words[words.index("--into") + 1], environment, tmp_path)
        return
    root = words.index("--root") + 1
    copy = tmp_path / "data"
    shutil.copytree(words[root], copy, copy_function=shutil.copyfile)
    words[root] = str(copy)
    if words[0] == "compose":
        shutil.rmtree(copy / "Test_set" / "merged")
        if "--bg" in words:
            words[words.index("--bg") + 1] = str(copy / "Test_set" / "bg")
    command = [sys.executable, str(ROOT / "scripts" / "data.py"), *words]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == {"compose": 0, "verify": 1}[words[0]], ended.stderr
    assert ("20 made" if words[0] == "compose" else "431") in ended.stdout


def released(folder, request):
    reference = request.getfixturevalue("reference")
    shapes = json.loads((reference / "a2u" / "official_shapes.json").read_text())["adobe"]["shapes"]
    state = {key: value.float() for key, value in reference_state(shapes).items()}
    torch.save({"state_dict": state}, folder / "a2u.pth")
    return folder / "a2u.pth"


def exported(checkpoint):
    to = checkpoint.with_name("a2u.safetensors")
    export(checkpoint, to)
    return to


def trained(outputs):
    from a2u.engine.run import run

    cfg = compose(["scale=smoke", f"runtime.outputs='{outputs}'", "runtime.progress=false", "dataset.cache=null"])
    run(cfg)
    return Places.of(cfg).last


@pytest.mark.parametrize(("page", "block"), [(page, block) for page, block in blocks("python") if "class" not in block])
def test_python_blocks(page, block, tmp_path, monkeypatch):
    names = {}
    if page == "onnx.md":
        pytest.importorskip("onnxruntime")
        photograph_and_network(tmp_path)
        monkeypatch.chdir(tmp_path)
    exec(compile(block, page, "exec"), names)
    if page == "onnx.md":
        assert names["alpha"].shape == (50, 70)
        assert 0 <= names["alpha"].min() <= names["alpha"].max() <= 1
    else:
        assert names["y"].shape == (2, 64, 66, 82)


def photograph_and_network(folder):
    """A photograph of 50 x 70 pixels, its trimap, and the smallest network there can be as ONNX."""
    from a2u.data.images import write_png
    from a2u.models.exported_onnx import write_onnx
    from a2u.models.network import MattingNetwork

    class Smallest(MattingNetwork):
        multiple = 16

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 1, kernel_size=1)

        def forward(self, x):
            return self.conv(x)

    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    write_png(folder / "image.png", pixels)
    write_png(folder / "trimap.png", pixels[..., 0] // 86 * 127)
    write_onnx(folder / "a2u.onnx", Smallest().eval(), {})


def test_the_documented_operator(tmp_path):
    """docs/adding-an-operator.md, word for word: its file, its config, its command."""
    page = (ROOT / "docs" / "adding-an-operator.md").read_text()
    code = re.search(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL).group(1)
    config = re.search(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL).group(1)
    copy = tmp_path / "copy"
    for folder in ("src", "configs", "scripts"):
        shutil.copytree(ROOT / folder, copy / folder)
    (copy / "src" / "a2u" / "upsampling" / "blur.py").write_text(code)
    (copy / "configs" / "upsampler" / "blur.yaml").write_text(config)
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "scripts/train.py", "upsampler=blur", "upsampler.size=5", "scale=smoke"]
    ended = subprocess.run([*command, "seed=0"], cwd=copy, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert list((copy / "outputs" / "custom").rglob("seed0.json"))
    refused = subprocess.run(
        [*command, "upsampler.border=mirror"], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "upsampler.border" in refused.stderr
    assert "zeros, reflect" in refused.stderr


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_repository_has_the_agreed_top_level():
    wanted = "configs src scripts data outputs tests environment.yml Makefile README.md pyproject.toml"
    assert not [name for name in wanted.split() if not (ROOT / name).exists()]
    assert CONFIG_DIR == ROOT / "configs"
