"""The model in the package next to classic systems: measured, shown, published from a clean tree only."""

import json

import pytest
from helpers.matting_folders import small_photographs
from helpers.runs import change_manifest, exported_untrained

from a2u.config import compose, split_command_line
from a2u.data import build_data
from a2u.errors import ConfigError
from a2u.reproduce import pages, shipped
from a2u.reproduce.render import shipped_table
from a2u.reproduce.shipped import ShippedConfig
from a2u.reproduce.table import PublishError


def make(*words):
    shipped.make(*split_command_line(words, ShippedConfig, "shipped"))


def test_two_photographs_measured_then_published_where_they_are_those_of_the_published_table(
    tmp_path, shared, monkeypatch, capsys
):
    photographs = small_photographs(shared, tmp_path / "photographs")
    weights, outputs = exported_untrained(tmp_path / "a2u.safetensors"), tmp_path / "outputs"
    given = [f"photographs='{photographs}'", f"runtime.outputs='{outputs}'", "runtime.threads=1", "runtime.device=cpu"]
    monkeypatch.setattr(shipped, "shipped_weights", lambda: weights)
    monkeypatch.setattr(pages, "REPOSITORY", tmp_path)
    for module in (shipped, pages):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    marker = "<!-- results/shipped/table.md -->\n"
    (tmp_path / "README.md").write_text(f"{marker}old\n<!-- end -->\n")

    monkeypatch.setenv("HOME", str(tmp_path))
    make(*given, "weights='~/a2u.safetensors'")
    table = (outputs / "shipped" / "table.md").read_text()
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert rows == ["row", "---", "a2u", "closed_form", "knn"]
    assert "on 2 photographs of alphamatting.com with true alpha (Trimap1)" in table
    found = {path: json.loads(path.read_text()) for path in outputs.rglob("result.json")}
    assert {result["name"] for result in found.values()} == {"custom", "closed_form", "knn"}
    for result in found.values():
        assert [image["name"] for image in result["images"]] == ["GT01", "GT04"]
        assert f"{result['metrics']['sad']:.3f}" in table

    for path, result in found.items():
        path.write_text(json.dumps(result | {"provenance": result["provenance"] | {"dirty": True}}))
    with pytest.raises(PublishError, match=r"uncommitted changes.*: a2u, closed_form, knn\. Commit"):
        make(*given, "publish=true")
    assert not (tmp_path / "results").exists()

    for path, result in found.items():
        path.write_text(json.dumps(result | {"provenance": result["provenance"] | {"dirty": False}}))
    with pytest.raises(PublishError, match=r"a2u was measured on 2 photographs .* published is of 18, GT01 to GT18"):
        make(*given, "publish=true")
    assert not (tmp_path / "results").exists()
    monkeypatch.setattr(shipped, "PHOTOGRAPHS", 2)
    monkeypatch.setattr(shipped, "CHECKSUM", found.popitem()[1]["provenance"]["data_sha256"])
    make(*given, "publish=true")
    assert "published to results/shipped" in capsys.readouterr().out
    published = {row: json.loads((tmp_path / "results" / "shipped" / f"{row}.json").read_text()) for row in rows[2:]}
    assert published["a2u"]["trained"]["dataset"] == "synthetic"
    assert published["a2u"]["config"]["weights"] == "a2u.safetensors"
    for result in published.values():
        assert result["config"]["dataset"]["root"] == "photographs"
        assert str(tmp_path) not in json.dumps(result)
    page = (tmp_path / "results" / "shipped" / "table.md").read_text()
    assert page == shipped_table(published).markdown()
    assert "uncommitted" not in page
    assert (tmp_path / "README.md").read_text() == f"{marker}{page}<!-- end -->\n"


def test_what_is_published_is_of_all_photographs(shared):
    data = build_data(compose(["dataset=alphamatting", f"dataset.root='{shared}/data/alphamatting'"]).dataset)
    assert (len(data.test), data.checksum()) == (shipped.PHOTOGRAPHS, shipped.CHECKSUM)


def test_a_model_trained_with_uncommitted_changes_is_not_published(tmp_path, monkeypatch):
    weights = exported_untrained(tmp_path / "a2u.safetensors")
    change_manifest(weights, provenance={"commits": ["0123abcd", "4567cdef-dirty"]})
    monkeypatch.setattr(shipped, "shipped_weights", lambda: weights)
    with pytest.raises(PublishError, match=r"a2u\.safetensors was trained with uncommitted changes \(4567cdef-dirty"):
        make(f"photographs='{tmp_path}'", "publish=true")


@pytest.mark.parametrize(
    ("further", "error", "words"),
    [
        (["photographs=''"], ConfigError, r"\(make: PHOTOS=\) is missing"),
        (["photographs=p", "publish=true", "weights=w"], PublishError, "only the model in the package.*weights=w"),
        (["photographs=p", "publish=true", "dataset.limit_test=2"], PublishError, "leave out dataset.limit_test=2"),
    ],
)
def test_what_cannot_be_is_told(further, error, words):
    with pytest.raises(error, match=words):
        make(*further)
