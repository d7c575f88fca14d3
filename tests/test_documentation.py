"""Every command and every Python block in the README and docs runs as written, but smaller."""

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
from helpers.matting_folders import matte, noise, save, small_photographs
from helpers.reference_weights import reference_state
from helpers.runs import exported_untrained

from a2u.apply.export import export
from a2u.config import CONFIG_DIR, compose
from a2u.engine.evaluate import predict
from a2u.engine.identity import Places, dataset_identity
from a2u.files import sha256
from a2u.models.weights.exported import load_exported
from a2u.reproduce.table import command_line, parse_request
from a2u.settings import plain
from scripts.bench.measure import Line

ROOT = Path(__file__).parents[1]
OWN_TESTS = ("new_operator.md", "new_network.md", "new_dataset.md")  # whose commands need what the page adds
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language):
    return [
        (page.name, block)
        for page in PAGES
        for block in re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]


def commands():
    """Every command with the page that shows it, once: several pages may show the same, at other scales."""
    found = {}
    for page, block in blocks("sh"):
        for line in block.splitlines():
            command = line.split("  #")[0].strip()
            if command and page not in OWN_TESTS:
                found.setdefault(without_scale(command), pytest.param(command, id=f"{page}: {command}"))
    return found.values()


def without_scale(command):
    return re.sub(r" ?\b(scale|SCALE)=\w+", "", command)


def smaller(command, tmp_path, request):
    """The same command at smoke scale, writing under tmp_path, on data that is there."""
    if "/data/" in command:
        shared = request.getfixturevalue("shared")
        command = command.replace("/data/Combined_Dataset", str(shared / "data" / "adobe-mini"))
        command = command.replace("/data/alphamatting", str(shared / "data" / "alphamatting"))
        command = command.replace("/data/digits", str(shared / "data"))
        command = command.replace("/data/VOC2012/JPEGImages", str(shared / "data" / "adobe-mini" / "Test_set" / "bg"))
    command = without_scale(command)
    if "LAUNCHER=submitit" in command:  # without SLURM, and so without what only SLURM knows
        command = re.sub(r"launcher\.\w+=\w+ ?", "", command.replace("LAUNCHER=submitit", "LAUNCHER=submitit_local"))
    here = [f"runtime.outputs='{tmp_path}'"]
    if not any(word in command for word in ("adobe", "alphamatting", "mnist", "table1")):
        here.append(f"dataset.cache='{tmp_path}'")
    return command, here


@pytest.mark.parametrize("command", commands())
def test_commands(command, tmp_path, request, monkeypatch, capsys):
    """In this process, which has imported everything already, but for those that start several."""
    if "scripts/predict.py" in command:
        check_prediction(command, tmp_path, monkeypatch, capsys)
        return
    monkeypatch.chdir(ROOT)
    command, here = smaller(command, tmp_path, request)
    program, *words = shlex.split(command)
    if program == "make":
        check_make(words, here, tmp_path, monkeypatch, capsys, request)
        return
    several = [word for word in words if word.startswith("--nproc-per-node")] if program == "torchrun" else []
    script, *overrides = words[len(several) :]
    if "scripts/data.py" in script:
        check_data_command(overrides, tmp_path, monkeypatch, capsys)
        return
    if "scripts/export.py" in script:
        check_export(tmp_path, monkeypatch, capsys)
        return
    if "scripts/evaluate.py" in script:
        weights = released(tmp_path, request) if "system=a2u" in overrides else trained(tmp_path)
        if "weights=a2u.safetensors" in overrides:
            weights = exported(weights)
        overrides = [re.sub("^weights=.*", f"weights='{weights}'", word) for word in overrides]
        here = [*here, "dataset.limit_test=2"]
    else:
        here = [*here, "scale=smoke", *(["trainer.batch_size=4"] if several else [])]  # two samples a process
    words = [script, *overrides, *here]
    if several:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", *several]
        run_there([*torchrun, *words])
    else:
        run_here([*words, "runtime.threads=1"], monkeypatch)
        said = capsys.readouterr()
        assert "\r" not in said.out + said.err  # no bars where there is no terminal


def check_make(as_typed, here, tmp_path, monkeypatch, capsys, request):
    """A target's scripts in this process; `make table2`, the one that newcomers type, as it is."""
    target, *variables = as_typed
    if target in ("demo", "shipped"):
        check_model_in_the_package(target, variables, tmp_path, monkeypatch, capsys, request)
    elif target == "bench":
        check_bench(tmp_path, monkeypatch, capsys)
    elif target in ("test", "tensorboard"):  # this very run; a server
        (words,) = called_by_make([target], tmp_path)
        assert words[:2] == {"test": ["-m", "pytest"], "tensorboard": ["-m", "tensorboard.main"]}[target]
    else:
        if as_typed == ["table2"]:
            where = " ".join(word.replace("'", "") for word in here)
            words = ["make", "table2", "SCALE=smoke", "ROWS=trimap_only,nearest", f"ARGS={where}"]
            run_there([*words, f"PYTHON={sys.executable}"])
            return
        for script, *words in called_by_make(as_typed, tmp_path):
            assert script == "scripts/table.py"
            assert parse_request(*command_line(words)).runs


def test_the_studys_commands_ask_for_the_runs_and_test_images_of_its_results(tmp_path):
    """The first command's trainings and the second's test set are the committed ones."""
    page = (ROOT / "docs" / "study.md").read_text().split("## Repeat it")[1]
    train, measure = re.findall("^make (table2.*)$", page, re.MULTILINE)[:2]
    trained, measured = (
        parse_request(*command_line(words))
        for command in (train, measure)
        for _, *words in called_by_make(shlex.split(command), tmp_path)
    )
    study = [json.loads(path.read_text()) for path in (ROOT / "results" / "study").glob("*/seed*.json")]
    assert {run.hash for run in trained.runs} == {record["training"]["hash"] for record in study}
    assert [run.hash for run in measured.runs] == [run.hash for run in trained.runs]
    assert trained.test is None
    found = dataset_identity(plain(measured.test.dataset))
    assert all(dataset_identity(record["test"]["config"]["dataset"]) == found for record in study)


def called_by_make(words, tmp_path):
    """What make calls Python with, by a Python that only writes it down."""
    python, calls = tmp_path / "python", tmp_path / "calls.txt"
    calls.unlink(missing_ok=True)
    python.write_text(
        '#!/bin/sh\n[ "$1" = scripts/require.py ] && exit\nprintf "%s\\0" "$@" >> "$CALLS"\necho >> "$CALLS"\n'
    )
    python.chmod(0o755)
    run_there(["make", *words, f"PYTHON={python}"], CALLS=str(calls))
    return [[word for word in call.split("\0")[:-1] if word] for call in calls.read_text().splitlines()]


def run_there(words, **environment):
    """In processes of their own; words: program and command line."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")  # of the make that runs these tests
    inherited = {key: value for key, value in os.environ.items() if key not in outer}
    environment = inherited | {"OMP_NUM_THREADS": "1"} | environment
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "\r" not in ended.stdout + ended.stderr
    return ended


def run_here(words, monkeypatch, status=0):
    """A script in this process; words: script, its command line."""
    monkeypatch.setattr(sys, "argv", words)
    code = None
    try:
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    assert (code or 0) == status


def check_prediction(command, tmp_path, monkeypatch, capsys):
    """scripts/predict.py on small photographs, in this process; where the shipped model is meant, by a small one."""
    for name in ("photo", "photos/a", "photos/b"):
        save(tmp_path / f"{name}.jpg", noise(40, 30, 3))
    for name in ("trimap", "mask", "trimaps/a", "trimaps/b", "masks/a", "masks/b"):
        save(tmp_path / f"{name}.png", (matte(40, 30) > 100) * np.uint8(255) if "mask" in name else half_known(40, 30))
    _, *words = shlex.split(command)
    weights = exported_untrained(tmp_path / "a2u.safetensors")
    words = [re.sub("^weights=.*", f"weights={weights}", word) for word in words]
    if not any(word.startswith(("weights=", "system=")) for word in words):
        words.append(f"weights={weights}")
    monkeypatch.chdir(tmp_path)
    run_here(words, monkeypatch)
    many = "photos" in command
    assert f"{1 + many} of {1 + many} done" in capsys.readouterr().out
    folder = tmp_path / ("mattes" if "folder=mattes" in command else "outputs/predict")
    kinds = ["alpha", "cutout"] if "cutout=false" not in command else ["alpha"]
    kinds += ["composite"] if "background" in command else []
    expected = {f"{name}_{kind}.png" for name in ("ab" if many else ["photo"]) for kind in kinds}
    assert {path.name for path in folder.iterdir()} == expected


def half_known(height, width):
    trimap = np.full((height, width), 128, np.uint8)
    trimap[:, :8], trimap[:, -8:] = 0, 255
    return trimap


def check_model_in_the_package(target, variables, tmp_path, monkeypatch, capsys, request):
    """make demo and make shipped with a small model in the place of the package's; the latter on two photographs."""
    given = f"weights='{exported_untrained(tmp_path / 'a2u.safetensors')}' runtime.outputs='{tmp_path}'"
    if target == "shipped":
        photographs = small_photographs(request.getfixturevalue("shared"), tmp_path / "photographs")
        variables = [f"PHOTOS={photographs}"]
    else:
        given += f" folder='{tmp_path}'"
    (words,) = called_by_make([target, *variables, f"ARGS={given}"], tmp_path)
    run_here(words, monkeypatch)
    printed = capsys.readouterr().out
    if target == "demo":
        assert re.search(r"photo: 600 x 800, .* sad \d+\.\d+, mse .* grad .* conn ", printed)
        assert f"files: {tmp_path}" in printed
        assert (tmp_path / "photo_composite.png").is_file()
    else:
        assert re.search(r"\na2u .*\nclosed_form .*\nknn ", printed)


def check_bench(tmp_path, monkeypatch, capsys):
    """A line that was measured before; tests/bench measures, and whether it is fast enough is not for tests to say."""
    line = Line("start-up", "scripts/train.py --help", "s", ours=2.5, target=3)
    monkeypatch.setattr("scripts.bench.report.measured", lambda part: [line])
    (words,) = called_by_make(["bench", f"BENCH=parts=[startup] outputs='{tmp_path}'"], tmp_path)
    run_here(words, monkeypatch)
    printed, said = capsys.readouterr()
    assert "measuring startup" in said
    assert "scripts/train.py --help" in printed
    assert json.loads((tmp_path / "bench" / "cpu.json").read_text())["lines"][0]["ours"] == 2.5


def check_export(tmp_path, monkeypatch, capsys):
    to = tmp_path / "a2u.safetensors"  # tests/engine/test_export.py has the other kinds
    run_here(["scripts/export.py", f"weights='{trained(tmp_path)}'", f"to='{to}'"], monkeypatch)
    assert sha256(to) in capsys.readouterr().out
    load_exported(to)


def check_unpack(folder, tmp_path, monkeypatch, capsys):
    archive = shutil.make_archive(str(tmp_path / "data"), "zip", folder)
    run_here(["scripts/data.py", "unpack", f"archive={archive}", f"into={tmp_path / 'into'}"], monkeypatch)
    assert f"{sum(path.is_file() for path in Path(folder).rglob('*'))} files" in capsys.readouterr().out


def check_data_command(words, tmp_path, monkeypatch, capsys):
    """scripts/data.py on a copy of the small data set, whose counts are not the released one's."""
    if words[0] == "unpack":
        (into,) = [word.removeprefix("into=") for word in words if word.startswith("into=")]
        check_unpack(into, tmp_path, monkeypatch, capsys)
        return
    copy = tmp_path / "data"
    (root,) = [word.partition("root=")[2] for word in words if "root=" in word]
    shutil.copytree(root, copy, copy_function=shutil.copyfile)
    words = [re.sub("root=.*", f"root={copy}", word) for word in words]
    if words[0] == "compose":
        shutil.rmtree(copy / "Test_set" / "merged")
        words = [re.sub("backgrounds=.*", f"backgrounds={copy / 'Test_set' / 'bg'}", word) for word in words]
    run_here(["scripts/data.py", *words], monkeypatch, status={"compose": 0, "verify": 1}[words[0]])
    assert ("20 made" if words[0] == "compose" else "431") in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page, block in blocks("python") if page not in (*OWN_TESTS, "onnx.md")],
)
def test_python_blocks(page, block):
    """Each makes the y that its comment says."""
    names = {}
    exec(compile(block, page, "exec"), names)
    *_, said = re.findall(r"^y = .*# \(([\d, ]+)\)", block, re.MULTILINE)
    assert str(tuple(names["y"].shape)) == f"({said})"


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
        shutil.copytree(ROOT / folder, copy / folder)
    for file in ("Makefile", "pyproject.toml", "tests/conftest.py", "tests/upsampling/test_contract.py"):
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, copy / file)
    file, config = re.findall(r"^\*\*\d\. .*?\*\*, `(.*?)`", NEW_OPERATOR, re.MULTILINE)
    (copy / file).write_text(new_operators("python"))
    (copy / config).write_text(new_operators("yaml"))
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    environment |= {"PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}

    def run(command):
        program, *words = shlex.split(command)
        if program == "make":
            words = ["make", *words, "SCALE=smoke", "LAUNCHER=inline", f"PYTHON={sys.executable}"]
        else:
            words = [sys.executable, *words, *(["-n", "0"] if "pytest" in words else ["scale=smoke"])]
        return subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True)

    return run


def test_the_documented_operator_is_short():
    assert len(new_operators("python").splitlines()) < 40
    assert len(new_operators("yaml").splitlines()) == 1


ITS_COMMANDS = [line for page, block in blocks("sh") if page == "new_operator.md" for line in block.splitlines()]


def test_the_documented_operator_is_a_row_beside_the_papers(with_the_new_operator):
    ended = with_the_new_operator(ITS_COMMANDS[0])
    assert ended.returncode == 0, ended.stderr
    rows = [
        line.split() for line in ended.stdout.splitlines() if line.startswith(("nearest", "a2u_dynamic_cs", "mine"))
    ]
    assert [row[0] for row in rows] == ["nearest", "a2u_dynamic_cs", "mine"]
    *_, nearest, _, mine = (row[-5:] for row in rows)
    assert nearest == ["37.51", "0.0096", "19.07", "35.72", "8.05M"]
    assert mine == ["—"] * 5
    assert "No row of the paper, so nothing is printed there: mine." in ended.stdout


@pytest.mark.parametrize(
    "command",
    [pytest.param(line, marks=[pytest.mark.slow] * line.startswith("make"), id=line) for line in ITS_COMMANDS[1:]],
)
def test_further_commands_with_the_documented_operator(with_the_new_operator, command):
    ended = with_the_new_operator(command)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    if "pytest" in command:
        assert "12 passed" in ended.stdout


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
