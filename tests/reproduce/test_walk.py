"""The walk of docs/architecture.md, followed: its steps in their order, one network, each result read once."""

import json
import re
import sys
from pathlib import Path

import pytest
from helpers.runs import table_words

from a2u.engine import prepare
from a2u.reproduce.table import command_line, make_table

ROOT = Path(__file__).parents[2]
STEPS = re.findall(r"^\d\. `(.*?)`, `(.*?)`", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)


@pytest.fixture
def make(tmp_path):
    """Make Table 2 of one row, in this process."""

    def called():
        assert make_table(*command_line(table_words(tmp_path, "rows=[nearest]"))) == 0

    return called


def test_the_steps_come_in_their_order(make):
    assert len(STEPS) == 8
    (makefile, target), *functions = STEPS
    assert re.search(rf"^{target}:", (ROOT / makefile).read_text(), re.MULTILINE)
    wanted, called = {(str(ROOT / file), name) for file, name in functions}, []

    def note(frame, event, argument):
        place = (frame.f_code.co_filename, frame.f_code.co_name)
        if event == "call" and place in wanted and place not in called:
            called.append(place)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        make()
    finally:
        sys.setprofile(before)
    assert called == [(str(ROOT / file), name) for file, name in functions]


def test_a_row_builds_one_network_and_each_result_is_read_once(make, tmp_path, monkeypatch):
    built, read, build, read_text = [], [], prepare.build_model, Path.read_text

    def build_and_note(cfg):
        model = build(cfg)
        if not any(parameter.is_meta for parameter in model.parameters()):
            built.append(cfg.row)
        return model

    def read_and_note(path, *given, **named):
        text = read_text(path, *given, **named)
        if path.name == "result.json":
            read.append(path)
        return text

    monkeypatch.setattr(prepare, "build_model", build_and_note)
    monkeypatch.setattr(Path, "read_text", read_and_note)
    make()
    (result,) = tmp_path.rglob("result.json")
    assert json.loads(result.read_bytes())["row"] == "nearest"
    assert built == ["nearest"]
    assert read == [result]

    make()  # a finished row
    assert built == ["nearest"]
    assert read == [result] * 2
