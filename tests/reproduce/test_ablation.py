"""Finished rows measured without content: what is printed, refused, published and shown."""

import json

import pytest

from a2u.reproduce import ablation as ablation_module
from a2u.reproduce.ablation import ablate_table, publish_ablation
from a2u.reproduce.changes import changes, conclusion
from a2u.reproduce.pages import committed
from a2u.reproduce.render import Group, ablation_table
from a2u.reproduce.table import PublishError, command_line, make_table

LITE = Group("table2", "synthetic", "lite")


def given(outputs, *further):
    fixed = ["table=table2", "launcher=inline", "scale=smoke", "runtime.threads=1", "runtime.device=cpu"]
    return command_line([*fixed, f"runtime.outputs='{outputs}'", f"dataset.cache='{outputs}/cache'", *further])


def record(sad, without, other):
    parts = {"mean_kernel": without, "other_guide": other}
    ablated = {kind: {"metrics": {"sad": value}} for kind, value in parts.items() if value is not None}
    return {"metrics": {"sad": sad}, "ablated": ablated}


RECORDS = {
    "indexnet": [record(4.0, 5.2, 6.0), record(4.0, 5.0, 6.0)],
    "a2u_dynamic_cs": [record(4.0, 4.01, 4.0), record(4.0, 4.2, 4.0)],
    "carafe": [record(4.0, 4.0, None)],
}


def test_changes_are_in_percent_and_a_row_needs_one_percent_in_every_seed():
    assert changes("table2", RECORDS["indexnet"], "mean_kernel") == pytest.approx([30, 25])
    assert changes("table2", RECORDS["carafe"], "other_guide") == []
    of_rows = {row: changes("table2", records, "mean_kernel") for row, records in RECORDS.items()}
    assert (
        "of 3 operators' content, that of indexnet (+27.5%) plays a part (1% or more in each of 2 seeds)"
        in conclusion("table2", of_rows)
    )
    assert "content, none plays a part" in conclusion("table2", {"carafe": of_rows["carafe"], "fade": [5, -5]})
    assert conclusion("probe", {"a2u_gate_blank": [0.0]}) == conclusion("table2", {}) == ""
    lines = [list(map(str, row)) for row in ablation_table(LITE, RECORDS).rows]
    assert lines[0] == ["indexnet", "4.000 ± 0.000", "5.100 ± 0.141", "+27.5 ± 3.5", "6.000 ± 0.000", "+50.0 ± 0.0"]
    assert lines[2][3:] == ["+0.0", "—", "—"]


def test_finished_rows_are_measured_published_and_shown(tmp_path, capsys, monkeypatch):
    outputs, results = tmp_path / "outputs", tmp_path / "results"
    assert make_table(*given(outputs, "rows=[constant_kernel]")) == 0
    capsys.readouterr()
    assert ablate_table(*given(outputs, "rows=[constant_kernel,carafe]")) == 1
    said = capsys.readouterr()
    line = next(line for line in said.out.splitlines() if line.startswith("constant_kernel (control)"))
    assert line.split()[2] == line.split()[3]
    assert line.split()[4] == "+0.0"
    assert "constant_kernel: ablate=other_guide: constant_kernel reads no guide." in said.out
    assert "carafe seed 0: it is not finished, so it has no checkpoint: make table2 trains it." in said.err
    assert ablate_table(*given(outputs, "rows=[constant_kernel]")) == 0
    assert "evaluated" not in capsys.readouterr().err  # measured before

    monkeypatch.setattr(ablation_module, "RESULTS", results)
    monkeypatch.setattr(ablation_module, "make_pages", lambda: None)
    monkeypatch.setattr(ablation_module, "is_whole", lambda *_: True)
    monkeypatch.setattr(ablation_module, "refuse_unfit", lambda parts: asked.extend(parts))
    asked: list[str] = []
    assert publish_ablation(*given(outputs, "rows=[constant_kernel]")) == 0
    assert asked == ["constant_kernel seed 0", "constant_kernel seed 0, mean_kernel"]
    (path,) = results.glob("table2/synthetic/smoke/ablation/constant_kernel/seed0.json")
    written = json.loads(path.read_text())
    assert written["ablated"]["mean_kernel"]["metrics"] == written["metrics"]
    trained = next(outputs.glob("table2/synthetic/smoke/constant_kernel/*/result.json"))
    (results / "table2/synthetic/smoke/constant_kernel").mkdir()
    (results / "table2/synthetic/smoke/constant_kernel/seed0.json").write_text(trained.read_text())
    (run,) = committed(results)[Group("table2", "synthetic", "smoke")]["constant_kernel"]
    assert run["ablation"]["ablated"] == written["ablated"]


def test_only_a_whole_and_measured_table_is_published(tmp_path, monkeypatch):
    with pytest.raises(PublishError, match="only a whole table"):
        publish_ablation(*given(tmp_path, "rows=[nearest]"))
    monkeypatch.setattr(ablation_module, "is_whole", lambda *_: True)
    with pytest.raises(PublishError, match=r"nothing is measured, .*: make ablate TABLE=table2"):
        publish_ablation(*given(tmp_path, "rows=[nearest]"))
