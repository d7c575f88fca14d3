"""What is published names no folder of a machine, and nothing else is lost."""

import pytest

from a2u.reproduce.study.records import without_folders


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/home/a/outputs/last.pt", "last.pt"),
        ("/data", "data"),
        ("weights=/home/a/last.pt", "weights=last.pt"),
        ("photographs='/home/a/photos'", "photographs='photos'"),
        ("outputs=/home/a/o,/home/b/x", "outputs=o,x"),
        ("[/home/a/b,/home/c/d]", "[b,d]"),
        ("~/a/y.pt", "y.pt"),
        ("it broke (whole log: /home/a/log.txt)", "it broke (whole log: log.txt)"),
        ("outputs/table2/nearest/last.pt", "outputs/table2/nearest/last.pt"),
        ("https://example.org/a/b.pt", "https://example.org/a/b.pt"),
        ("SAD /1,000 is 1 /2", "SAD /1,000 is 1 /2"),
    ],
)
def test_folders_of_absolute_paths_are_left_out(text, published):
    assert without_folders(text) == published
    assert without_folders({"key": [text, 1, None]}) == {"key": [published, 1, None]}
