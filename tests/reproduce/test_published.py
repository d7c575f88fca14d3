"""The printed numbers, as the paper relates them."""

from a2u.reproduce import rows
from a2u.reproduce.published import controls, named_rows, printed, published, rows_of
from a2u.reproduce.settings import TableConfig
from a2u.reproduce.table import is_whole


def test_rows_stand_in_the_papers_order():
    assert rows_of("table2")[:4] == ["trimap_only", "nearest", "bilinear", "carafe"]
    assert printed("table2", "trimap_only") == {}
    assert rows_of("table1") == [*published()["table1"]["mnist"], *controls("table1")]
    assert named_rows("table2") == []


def test_rows_of_table_1_that_the_paper_lacks_run_when_named(monkeypatch):
    assert "maxpool_fade" in named_rows("table1")
    monkeypatch.setattr(rows, "rows_of", lambda table: ["conv_nearest"])
    monkeypatch.setattr(rows, "named_rows", lambda table: ["maxpool_fade"])
    expected = {(): ["conv_nearest"], ("maxpool_fade",): ["maxpool_fade"], ("all",): ["conv_nearest", "maxpool_fade"]}
    for asked, found in expected.items():
        table = TableConfig(table="table1", rows=list(asked))
        assert [run.row for run in rows.row_runs(table, ["scale=smoke"])] == found
        assert is_whole(table, []) == (asked != ("maxpool_fade",))


def test_the_gain_the_abstract_claims():
    """Abstract: "14% relative improvement in the SAD metric against a strong baseline"."""
    best, baseline = printed("table2", "a2u_dynamic_cs_d_norm")["sad"], printed("table2", "nearest")["sad"]
    assert round(100 * (1 - best / baseline)) == 14


def test_shared_rows_agree_between_tables():
    assert published()["table3"]["a2u_hybrid_cw_k3"] == published()["table2"]["a2u_hybrid_cw"][:4]
    assert published()["table4"]["a2u_dynamic_cs_sigmoid_softmax"] == published()["table2"]["a2u_dynamic_cs"][:4]


def test_psnr_and_rmse_of_table_1_agree():
    """The "MSE" column is the root: PSNR = -20 log10 RMSE."""
    from math import log10

    for dataset in ("mnist", "fashion_mnist"):
        for psnr, _, rmse, _ in published()["table1"][dataset].values():
            assert abs(-20 * log10(rmse) - psnr) < (0.1 if rmse < 0.01 else 0.02)
