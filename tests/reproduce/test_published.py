"""The printed numbers, as the paper relates them."""

from a2u.reproduce.published import printed, published, rows_of


def test_rows_stand_in_the_papers_order():
    assert rows_of("table2")[:4] == ["trimap_only", "nearest", "bilinear", "carafe"]
    assert printed("table2", "trimap_only") == {}


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
