"""Names that would be markup, formulas or commands where they are shown."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from a2u.cli.main import user_errors
from a2u.engine.identity import Places
from a2u.engine.log import RunLog
from a2u.errors import A2UError
from a2u.metrics import MattingMetrics
from a2u.reproduce.html_report import make
from a2u.reproduce.pages import RESULTS
from a2u.reproduce.render import Group
from a2u.reproduce.tables import Column, Table, words

NAME = "=1+2\"><img src=x onerror=alert(1)>'|[a](javascript:b)`$\\frac$&\x1b[31m"


class Shown(HTMLParser):
    """The tags of a page with their attributes' names, and all that is text or an attribute's value."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [key for key, _ in attributes]))
        self.texts += [value for _, value in attributes]

    def handle_data(self, data):
        self.texts.append(data)


def test_on_the_html_page(tmp_path, monkeypatch):
    """And in the curves on it: the page is the same, but for the name."""

    files = sorted(RESULTS.glob("table1/mnist/*/conv_nearest/seed0.json"))
    (run,) = [json.loads(path.read_text()) | {"path": str(path)} for path in files]

    def shown(name):
        group = Group("table1", "mnist", run["scale"])
        monkeypatch.setattr(make, "committed", lambda _: {group: {name: [run | {"row": name}]}})
        return Shown(make.make_page(make.ReportConfig(outputs=str(tmp_path))))

    hostile, harmless = shown(NAME), shown("own")
    assert hostile.tags == harmless.tags
    assert NAME in hostile.texts


def test_in_a_csv_file(tmp_path):
    metrics, picture = MattingMetrics(), np.full((3, 3), 128, np.uint8)
    names = {"+1": "'+1", "-1": "'-1", "@A1": "'@A1", "\t=1": "\\x09=1", "\r=1": "\\x0d=1", "a,b\n=c": "a,b\\x0a=c"}
    names[NAME] = "'" + NAME.replace("\x1b", "\\x1b")
    for name in names:
        metrics.update(name, picture, picture, picture)
    metrics.write_csv(tmp_path / "metrics.csv")
    with (tmp_path / "metrics.csv").open(newline="") as file:
        written = [line["name"] for line in csv.DictReader(file)]
    assert written == list(names.values())


def test_in_markdown():
    row = Table([Column("row"), Column("b")], [[words(NAME), words("1")]]).markdown().splitlines()[-1]
    left = re.sub(r"\\[|<`\]]", "", row)  # without what is escaped
    assert (left.count("|"), left.count("`"), left.count("<"), left.count("](")) == (3, 0, 0, 0)


def test_in_tensorboard(tmp_path):
    places = Places(tmp_path)
    log = RunLog(places, 1, 0, 1, terminal=False)
    log.strip(1, f"test/{NAME}", torch.zeros(3, 4, 4))
    log.close()
    (tag,) = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()["images"]
    assert tag == f"test/{NAME}".replace("\x1b", "\\x1b")


@pytest.mark.parametrize("control", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\b\b", "\u202e"])
def test_on_a_terminal(capsys, control):
    def work():
        print(f"name{control}")
        raise A2UError(f"name{control}: is damaged")

    with pytest.raises(SystemExit), user_errors():
        work()
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert text.replace("\n", "").isprintable()
        assert "name\\" in text
