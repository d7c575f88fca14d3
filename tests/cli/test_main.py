"""The output of --help, and the message of a stopped script."""

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.scripts import WORK, asked_of, script_file
from omegaconf import DictConfig

from a2u.cli.help import help_text
from a2u.cli.main import main
from a2u.config import CONFIG_DIR, compose

ROOT = Path(__file__).parents[2]
SCRIPTS = {name: script_file(name) for name in sorted(WORK)}


def values(printed):
    """Return the value printed for each key, and its help text."""
    unwrapped = re.sub(r"\n {40}", " ", printed)
    return {
        key: (value, words) for key, value, words in re.findall(r"^  ([\w.]+)=(\S*) *(.*)$", unwrapped, re.MULTILINE)
    }


def test_help_lists_every_choice_and_no_schema():
    printed = help_text("", "train", [])
    listed = values(printed)
    for group in ("dataset", "metrics", "model", "sample", "scale", "task", "trainer", "upsampler"):
        assert listed[group][1].split(" | ") == sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
    assert "schema" not in printed
    table, words = listed["experiment"]  # the last of the tables
    for row in words.split(" | "):
        assert (CONFIG_DIR / "experiment" / table / f"{row}.yaml").is_file()


def test_help_shows_every_key_of_the_configuration():
    def keys(node, path=""):
        for key in node:
            inner = node._get_node(key)
            yield from keys(inner, f"{path}{key}.") if isinstance(inner, DictConfig) else [f"{path}{key}"]

    names = ("model.name", "upsampler.name", "dataset.name")  # chosen as model=, upsampler=, dataset=
    assert set(keys(compose())) - set(names) <= values(help_text("", "train", [])).keys()


def test_help_says_of_a_key_what_is_declared_with_it_and_which_values_it_has():
    listed = values(help_text("", "train", ["scale=paper"]))
    assert listed["trainer.schedule"] == ("multistep", "multistep | one_cycle | constant")
    assert listed["trainer.lr"] == ("0.01", "of new layers")
    assert listed["trainer.milestones"] == ("[20,26]", "epochs after which lr is multiplied by gamma")
    assert listed["dataset.root"][0] == "null"


def test_help_shows_what_the_command_line_gives_and_runs_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "--help", "upsampler=a2u", "trainer.epochs=7"])
    main("train", lambda cfg: pytest.fail("ran"))
    printed = capsys.readouterr().out
    assert printed.startswith(__doc__)
    assert values(printed)["upsampler"][0] == "a2u"
    assert values(printed)["trainer.epochs"][0] == "7"


def test_help_says_what_is_wrong_with_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "-h", "upsampler=nothing"])
    with pytest.raises(SystemExit) as stopped:
        main("train", lambda cfg: pytest.fail("ran"))
    assert stopped.value.code == 2
    assert "nothing" in capsys.readouterr().err


def test_a_scripts_help_has_its_examples_and_ends_well(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts" / "table.py"), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(sys.argv[0], run_name="__main__")
    assert not stopped.value.code
    printed = capsys.readouterr().out
    assert printed.count("\n    python scripts/table.py ") == 5
    assert values(printed)["rows"][0] == "[]"


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_examples_of_a_script_are_of_itself(script, monkeypatch):
    """And it reads them."""
    command = ROOT / "src" / "a2u" / "commands" / f"{script}.py"
    described = command if command.is_file() else SCRIPTS[script]
    examples = re.findall(r"^    python (.*)$", described.read_text(), re.MULTILINE)
    assert examples
    for example in examples:
        path, *words = example.removeprefix("-m ").split()
        assert path in (f"scripts/{script}.py", f"scripts.{script}")
        asked_of(script, words, monkeypatch)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("train", ["scale=smoke"]),
        ("table", ["table=table2"]),
        ("figures", []),
        ("evaluate", ["system=trimap_only"]),
        ("predict", ["image=a.png", "trimap=b.png"]),
        ("export", ["weights=a", "to=b"]),
        ("report", []),
        ("shipped", ["photographs=a"]),
        ("bench", []),
    ],
)
def test_only_scripts_that_go_on_say_so_where_they_are_stopped(monkeypatch, tmp_path, script, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(WORK[script], lambda *_: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(sys, "argv", [str(SCRIPTS[script]), *words])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(sys.argv[0], run_name="__main__")
    goes_on = script in ("train", "table", "figures")
    assert stopped.value.code == (
        "stopped; the same command resumes from the last checkpoint" if goes_on else "stopped"
    )


@pytest.mark.parametrize("script", ["predict", "table"])
def test_an_interrupt_during_the_imports_is_one_word(tmp_path, script):
    (tmp_path / "omegaconf.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "stopped\n")


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cp1252", "latin-1"))]
)
def test_characters_that_cannot_be_printed_are_replaced(encoding):
    code = "from a2u.cli.main import user_errors\nfrom a2u.errors import A2UError\nwith user_errors():\n"
    code += "    print('3.5 \\u00b1 0.2 \\u2014 \\u4e2d')\n    raise A2UError('no \\u4e2d')"
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert ended.returncode == 2
    assert ended.stdout.startswith(b"3.5 ")
    assert ended.stdout.endswith(b" ?\n")
    assert ended.stderr == b"error: no ?\n"
