"""Commands of the README and docs are understood, two are run; their Python blocks run as written."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import exported_untrained
from helpers.scripts import WORK, asked_of
from omegaconf import OmegaConf

from a2u.config import CONFIG_DIR, compose, refuse_incomplete
from a2u.engine.evaluate import predict
from a2u.engine.identity import Places, dataset_identity
from a2u.engine.prepare import check
from a2u.reproduce.published import controls, rows_of
from a2u.reproduce.rows import row_runs
from a2u.reproduce.table import command_line, parse_request
from a2u.settings import plain

ROOT = Path(__file__).parents[1]
OWN_TESTS = ("new_operator.md", "new_network.md", "new_dataset.md")  # whose commands need what the page adds
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language):
    return [
        (page.name, block)
        for page in PAGES
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]


def exports(block):
    """Whether a block exports the network of an earlier one: tests/upsampling/test_pytorch.py runs it."""
    return "torch.onnx.export" in block


def commands():
    """Every command with the page that shows it, once."""
    found = {}
    for page, block in blocks("sh"):
        for line in block.splitlines():
            command = line.split("  #")[0].strip()
            if command and page not in OWN_TESTS:
                found.setdefault(command, pytest.param(command, id=f"{page}: {command}"))
    return found.values()


@pytest.mark.parametrize("command", commands())
def test_a_command_is_understood(command, tmp_path, monkeypatch):
    """Up to the work itself: targets, keys, values, files of configs."""
    monkeypatch.chdir(ROOT)
    program, *words = shlex.split(command)
    if program == "make":
        for call in called_by_make(words, tmp_path):
            understand(call, monkeypatch)
    elif program == "torchrun":
        understand([word for word in words if not word.startswith("--")], monkeypatch)
    else:
        assert program == "python"
        understand(words, monkeypatch)


def understand(words, monkeypatch):
    """words: a command line of Python."""
    if words[0] == "-m":
        assert words[1] in ("pytest", "tensorboard.main", "scripts.bench")
        words = words[1:]
    name = Path(words[0]).stem if words[0].endswith(".py") else words[0].removeprefix("scripts.")
    if name == "data":
        command, *keys = words[1:]
        kind = runpy.run_path(str(ROOT / "src" / "a2u" / "commands" / "data.py"))["COMMANDS"][command]
        cfg = compose(keys, "verify" if command == "verify" else f"{command}_schema")
        assert OmegaConf.get_type(cfg) is kind or command == "verify"
        refuse_incomplete(cfg)
    elif name in WORK:
        asked = asked_of(name, [word for word in words[1:] if word], monkeypatch)
        if name == "train":
            check(*asked)
        if name == "table":  # its rows have keys in common: one tells whether they exist
            settings, overrides = asked
            settings.rows = settings.rows[:1] or rows_of(settings.table)[-1:]
            settings.baseline = None
            assert row_runs(settings, overrides)


def test_the_studys_commands_ask_for_the_runs_and_test_images_of_its_results(tmp_path):
    """The first command's trainings, but the controls, and the second's test set are the committed ones."""
    page = (ROOT / "docs" / "study.md").read_text().split("## Repeat it")[1]
    typed = re.findall("^make (table2.*)$", page, re.MULTILINE)[:2]
    assert all("SEEDS=10" in command for command in typed)
    train, measure = (
        command.replace("SEEDS=10", "SEEDS=2") for command in typed
    )  # the others differ in the seed alone
    trained, measured = (
        parse_request(*command_line([*words, *fewer]))
        for command, fewer in ((train, []), (measure, ["rows=[nearest]"]))
        for _, *words in called_by_make(shlex.split(command), tmp_path)
    )
    study = [json.loads(path.read_text()) for path in (ROOT / "results" / "study").glob("*/seed*.json")]
    of_study = {run.hash for run in trained.runs if run.row not in controls("table2")}
    assert of_study == {record["training"]["hash"] for record in study if record["seed"] < 2}
    assert [run.hash for run in measured.runs] == [run.hash for run in trained.runs if run.row == "nearest"]
    assert trained.test is None
    found = dataset_identity(plain(measured.test.dataset))
    assert all(dataset_identity(record["test"]["config"]["dataset"]) == found for record in study)


def called_by_make(words, tmp_path):
    """Return make's calls of Python, recorded by a script in its place."""
    python, calls = tmp_path / "python", tmp_path / "calls.txt"
    skipped = '[ "$1" = scripts/require.py ] && exit'
    python.write_text(f'#!/bin/sh\n{skipped}\nprintf "%s\\0" "$@" >> "$CALLS"\necho >> "$CALLS"\n')
    python.chmod(0o755)
    calls.unlink(missing_ok=True)
    run_there(["make", *words, f"PYTHON={python}"], CALLS=str(calls))
    return [[word for word in call.split("\0")[:-1] if word] for call in calls.read_text().splitlines()]


def run_there(words, folder=ROOT, **environment):
    """Run a program and its command line in a new process."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")  # of the make that runs these tests
    inherited = {key: value for key, value in os.environ.items() if key not in outer}
    environment = inherited | {"OMP_NUM_THREADS": "1"} | environment
    ended = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\r" not in ended.stdout + ended.stderr  # no bars where there is no terminal
    return ended


def test_make_demo_as_it_is_typed_with_a_smaller_model(tmp_path):
    weights = exported_untrained(tmp_path / "a2u.safetensors")
    given = f"ARGS=weights='{weights}' runtime.outputs='{tmp_path}' folder='{tmp_path}'"
    ended = run_there(["make", "demo", given, f"PYTHON={sys.executable}"])
    assert re.search(r"photo: 600 x 800, .* sad \d+\.\d+, mse .* grad .* conn ", ended.stdout)
    assert (tmp_path / "photo_composite.png").is_file()
    assert (tmp_path / "dandelion_composite.png").is_file()


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page, block in blocks("python") if page not in (*OWN_TESTS, "onnx.md") and not exports(block)],
)
def test_python_blocks(page, block, monkeypatch):
    """Each makes the y or the alpha that its comment says."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("a2u.apply.auto.BETTER", {})  # mattes by the model, which is quick
    names = {}
    exec(compile(block, page, "exec"), names)
    *_, (name, said) = re.findall(r"^(y|alpha) = .*# \(([\d, ]+)\)", block, re.MULTILINE)
    assert str(tuple(names[name].shape)) == f"({said})"


@pytest.mark.onnx
def test_a_photograph_through_an_onnx_file(tmp_path, monkeypatch):
    """As the network itself gives it, at a size that is no multiple; known pixels are the trimap's."""
    pytest.importorskip("onnxruntime")
    network, image, trimap = photograph_and_network(tmp_path)
    monkeypatch.chdir(tmp_path)
    [block] = [block for page, block in blocks("python") if page == "onnx.md"]
    names = {}
    exec(compile(block, "onnx.md", "exec"), names)
    expected = predict(network, image, trimap)
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert len(np.unique(expected[trimap == 128])) > 50
    assert names["alpha"].shape == expected.shape == (50, 70)
    assert np.abs(255 * names["alpha"] - expected).max() <= 0.51  # predict rounds
    meaning = json.loads(names["session"].get_modelmeta().custom_metadata_map["a2u"])["onnx"]["output"]["meaning"]
    assert "meaningless where the trimap is known" in meaning


def photograph_and_network(folder):
    """The smallest network there can be as ONNX, a photograph of 50 x 70 pixels and its trimap; files of the three."""
    from a2u.data.files.images import write_png
    from a2u.models.networks.base import MattingNetwork
    from a2u.models.weights.exported_onnx import write_onnx

    class Smallest(MattingNetwork):
        multiple = 16

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 1, kernel_size=5, padding=2)  # which sees the border

        def forward(self, x):
            return self.conv(x)

    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    trimap = np.array([0, 128, 255], np.uint8)[image[..., 0] // 86]
    write_png(folder / "image.png", image)
    write_png(folder / "trimap.png", trimap)
    torch.manual_seed(0)
    network = Smallest().eval()
    write_onnx(folder / "a2u.onnx", network, {})
    return network, image, trimap


NEW_OPERATOR = (ROOT / "docs" / "new_operator.md").read_text()


def new_operators(language):
    return re.search(rf"^```{language}\n(.*?)^```", NEW_OPERATOR, re.MULTILINE | re.DOTALL).group(1)


@pytest.fixture(scope="module")
def with_the_new_operator(tmp_path_factory):
    """A copy of this repository with the file and the config of docs/new_operator.md, and what runs commands in it."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("src", "configs", "scripts"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True)
    for file in ("Makefile", "pyproject.toml", "tests/conftest.py", "tests/upsampling/test_contract.py"):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, copy / file)
    file, config = re.findall(r"^\*\*\d\. .*?\*\*, `(.*?)`", NEW_OPERATOR, re.MULTILINE)
    (copy / file).write_text(new_operators("python"))
    (copy / config).write_text(new_operators("yaml"))

    def run(command):
        program, *words = shlex.split(command)
        if program == "make":
            words = ["make", *words, "SCALE=smoke", f"PYTHON={sys.executable}"]
        else:
            words = [sys.executable, *words, *(["-n", "0"] if "pytest" in words else ["scale=smoke"])]
        return run_there(words, copy, PYTHONPATH=str(copy / "src"))

    return run


def test_the_documented_operator_is_short():
    assert len(new_operators("python").splitlines()) < 40
    assert len(new_operators("yaml").splitlines()) == 1


ITS_COMMANDS = [line for page, block in blocks("sh") if page == "new_operator.md" for line in block.splitlines()]


def test_make_table2_as_it_is_typed_has_the_documented_operator_next_to_the_papers(with_the_new_operator):
    assert ITS_COMMANDS[0].startswith("make table2 ")
    ended = with_the_new_operator(ITS_COMMANDS[0])
    assert "finished  mine seed 0" in ended.stderr
    rows = [
        line.split() for line in ended.stdout.splitlines() if line.startswith(("nearest", "a2u_dynamic_cs", "mine"))
    ]
    assert [row[0] for row in rows] == ["nearest", "a2u_dynamic_cs", "mine"]
    *_, nearest, _, mine = (row[-5:] for row in rows)
    assert nearest == ["37.51", "0.0096", "19.07", "35.72", "8.05M"]
    assert mine == ["—"] * 5


@pytest.mark.parametrize(
    "command",
    ITS_COMMANDS[1:],
)
@pytest.mark.slow
def test_further_commands_with_the_documented_operator(with_the_new_operator, command):
    ended = with_the_new_operator(command)
    if "pytest" in command:
        assert "9 passed" in ended.stdout


def test_means_of_the_documented_operator_are_means():
    """Wherever the guide is the same, and of equal values everywhere, borders too."""
    names = {"__name__": "mine"}
    exec(compile(new_operators("python"), "new_operator.md", "exec"), names)
    operator = names["JointBilateral"](4).double()
    guide = torch.randn(2, 4, 10, 14).double()
    ones = torch.ones(2, 4, 5, 7).double()
    torch.testing.assert_close(operator(ones, guide), torch.ones_like(guide))
    inner = torch.nn.functional.avg_pool2d(x := torch.randn(2, 4, 5, 7).double(), 3, stride=1)
    same = operator(x, torch.ones_like(guide))[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(same, inner.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_the_folders_of_runs_are_those_that_the_tables_write_to():
    """Their hash follows from the configuration, so that whoever ran the table can copy the command."""
    shown = {
        each for page in PAGES for each in re.findall(r"outputs/table\d/\w+/\w+/\w+/seed\d\S*?(?=/)", page.read_text())
    }
    assert shown
    for folder in shown:
        _, table, dataset, scale, row, run = Path(folder).parts
        seed = run.removeprefix("seed").split("-")[0]
        cfg = compose([f"experiment={table}/{row}", f"dataset={dataset}", f"scale={scale}", f"seed={seed}"])
        assert str(Places.of(cfg).folder) == folder


def test_links_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_repository_has_the_agreed_top_level():
    wanted = "configs src scripts data outputs tests environment.yml Makefile README.md pyproject.toml"
    assert not [name for name in wanted.split() if not (ROOT / name).exists()]
    assert CONFIG_DIR == ROOT / "configs"
