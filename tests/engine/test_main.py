"""What --help prints."""

import sys

import pytest

from a2u.config import CONFIG_DIR, compose
from a2u.engine.main import help_text, main


def test_help_lists_every_choice_and_no_schema():
    lines = help_text("train", []).splitlines()
    listed = {line.split("=", 1)[0].strip(): line.split("=", 1)[1].split(" | ") for line in lines if " | " in line}
    for group in ("dataset", "metrics", "upsampler", "scale"):
        assert listed[group] == sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
    assert "schema" not in "".join(lines)
    for row in listed["experiment"]:
        assert (CONFIG_DIR / "experiment" / f"{row}.yaml").is_file()
    compose([f"experiment={listed['experiment'][0]}"])  # as it is written there


def test_help_shows_what_the_command_line_gives_and_runs_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "--help", "upsampler=a2u", "trainer.epochs=7"])
    main("train", lambda cfg: pytest.fail("ran"))
    printed = capsys.readouterr().out
    assert printed.startswith("train.py: ")
    assert "\n  name: a2u\n" in printed
    assert "\n  epochs: 7\n" in printed


def test_help_says_what_is_wrong_with_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py", "-h", "upsampler=nothing"])
    with pytest.raises(SystemExit) as stopped:
        main("train", lambda cfg: pytest.fail("ran"))
    assert stopped.value.code == 2
    assert "nothing" in capsys.readouterr().err
