"""One table as text, Markdown and HTML."""

from html.parser import HTMLParser

import pytest

from a2u.reproduce.tables import DASH, Cell, Column, Table, count, number, words

TABLE = Table(
    [Column("row", is_number=False), Column("SAD"), Column("params", "printed")],
    [
        [words("nearest"), number([1.0, 2.0, 3.0], 2, source="record-1"), Cell("+20K", key=8_070_000)],
        [words("a < b"), DASH, count(38_871)],
    ],
    "Some words.",
    "A & B",
)


def test_text_is_aligned_under_heads_of_two_lines():
    over, heads, rule, *rows = TABLE.text().splitlines()
    assert over.split() == ["printed"]
    assert heads.split() == ["row", "SAD", "params"]
    assert set(rule) == {"-"}
    assert rows == ["nearest  2.00 ± 1.00     +20K", "a < b              —   38,871", "", "Some words."]
    assert {len(line) for line in (over, heads, rule, *rows[:2])} == {29}


def test_markdown_has_numbers_to_the_right_and_the_caption_below():
    assert TABLE.markdown() == (
        "| row | SAD | printed params |\n| --- | ---: | ---: |\n"
        "| nearest | 2.00 ± 1.00 | +20K |\n| a < b | — | 38,871 |\n\nSome words.\n"
    )


class Cells(HTMLParser):
    """Tags and their attributes in order, and texts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []


def test_html_has_keys_to_sort_by_and_opens_records():
    html = Cells(TABLE.html())
    keys = [given.get("data-key") for tag, given in html.tags if tag == "td"]
    assert keys == ["2.0", "8070000", None, "38871"]
    assert [given["popovertarget"] for tag, given in html.tags if given.get("class") == "value"] == ["record-1"]
    assert [("data-number" in given) for tag, given in html.tags if given.get("scope") == "col"] == [False, True, True]
    assert html.texts == [
        "A & B",
        *("row", "SAD", "printed", "params"),
        *("nearest", "2.00", "± 1.00", "+20K", "a < b", "—", "38,871"),
    ]
    assert "a < b" not in TABLE.html()  # escaped


@pytest.mark.parametrize(
    ("cell", "text", "key"),
    [
        (number([1.25], 1), "1.2", 1.25),
        (number([], 2), "—", None),
        (number([-3.456], 2, "+"), "-3.46", -3.456),
        (number([1234.5, 1235.5], 1, ","), "1,235.0 ± 0.7", 1235.0),
        (count(None), "—", None),
        (words(None), "—", None),
    ],
)
def test_cells_know_their_text_and_their_key(cell, text, key):
    assert (str(cell), cell.key) == (text, key)
