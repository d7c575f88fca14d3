"""What every operator promises (base.py), asked of every operator and option in use."""

import itertools

import pytest
import torch

from a2u.upsampling import Upsampler, build_upsampler, operators, option_names
from a2u.upsampling.global_layers import Average, GroupNorm, Tile

A2U_ROWS = {
    "static_pw_cw": {"mode": "static", "sharing": "channel_wise", "pointwise": True},
    "static_cw": {"mode": "static", "sharing": "channel_wise"},
    "hybrid_cw": {"mode": "hybrid", "sharing": "channel_wise"},
    "hybrid_cs": {"mode": "hybrid"},
    "dynamic_cw": {"sharing": "channel_wise"},
    "dynamic_cs": {},
    "dynamic_cs_d": {"paired": True},
    "dynamic_cs_d_norm": {"paired": True, "normalise_uv": True},
    "partly_shared_rank2": {"sharing": "partly_shared", "sharing_groups": 2, "rank": 2},
    "pw_rank2_dynamic_paired": {"pointwise": True, "rank": 2, "paired": True},
    "k1": {
        "up_kernel_size": 1,
        "kernel_norm": "sigmoid",
        "mode": "static",
        "p_init": "ones",
        "sigmoid_u": True,
    },
    "k5_even_encoder": {"up_kernel_size": 5, "encoder_kernel_size": 4, "kernel_norm": "softmax"},
    "released": {"encoder_kernel_size": 6, "paired": True, "normalise_uv": True},
}
INDEXNET = {
    f"indexnet_{block}_{context}_{nonlinear}_{paired}": {
        "block": block, "context": context, "nonlinear": nonlinear, "paired": paired,
    }
    for block, context, nonlinear, paired in itertools.product(
        ("holistic", "depthwise_one_to_one", "depthwise_many_to_one"), (False, True), (False, True), (False, True)
    )
}  # fmt: skip
# Further options of the operators that came after A2U
SUCCESSORS = {
    "carafe_groups_dilation": ("carafe", {"groups": 2, "dilation": 2, "up_kernel_size": 3}),
    "dysample_one_group_scope": ("dysample", {"groups": 1, "dynamic_scope": True}),
    "dysample_pl": ("dysample", {"style": "pl"}),
    "dysample_pl_scope": ("dysample", {"style": "pl", "groups": 2, "dynamic_scope": True}),
    "sapa_i": ("sapa", {"variant": "i"}),
    "sapa_b_k3": ("sapa", {"kernel_size": 3, "embedding": 3}),
    "sapa_g": ("sapa", {"variant": "g"}),
    "sapa_g_shared": ("sapa", {"variant": "g", "shared_embedding": True}),
    "sapa_cat": ("sapa", {"variant": "cat"}),
    "sapa_d_low": ("sapa_d", {"high_offset": False, "points": 2, "groups": 2, "embedding": 3}),
    "fade_ungated_lite": ("fade", {"kernel_size": 3, "gated": False, "lite": True}),
    "lda_aqu_heads": ("lda_aqu", {"reduction": 1, "heads": 2, "groups": 1, "relative_position_bias": False}),
    "freqfusion_reflect": ("freqfusion", {"compressed_channels": 2, "padding": "reflect"}),
    "freqfusion_resample": ("freqfusion", {"compressed_channels": 8, "resample": True}),
    "constant_kernel_k1": ("constant_kernel", {"up_kernel_size": 1, "kernel_norm": "sigmoid"}),
    "blur_k5": ("blur", {"kernel_size": 5}),
    "jbu_radius1": ("jbu", {"radius": 1, "key_channels": 3}),
    "resfu_embedding8": ("resfu", {"embedding": 8}),
}
NARROW = {"lda_aqu": {"reduction": 1}}  # options of operators whose defaults need more channels than there are here
PAPERS = {
    "nearest", "bilinear", "bicubic", "deconv", "pixel_shuffle", "max_unpool", "carafe", "indexnet", "a2u",
}  # fmt: skip
# The others may read the whole map
LOCAL = {
    "nearest", "bilinear", "bicubic", "blur", "constant_kernel", "deconv", "pixel_shuffle", "a2u", "carafe", "fade",
    "indexnet", "jbu", "sapa",
}  # fmt: skip
DOUBLING = {"fade", "freqfusion"}  # ratio 2 alone, though they have the option
# Of the others, one that somebody has just put into the folder too: as they are by default.
OTHERS = [
    name
    for name, operator in operators().items()
    if operator.__module__.startswith("a2u.") and name not in ("a2u", "indexnet")
]
CASES = [
    *((name, NARROW.get(name, {})) for name in OTHERS),
    *(("a2u", options) for options in A2U_ROWS.values()),
    *(("indexnet", options) for options in INDEXNET.values()),
    *SUCCESSORS.values(),
]
IDS = [*OTHERS, *A2U_ROWS, *INDEXNET, *SUCCESSORS]
every_operator = pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)


def build(name, options, channels=4, dtype=torch.float64):
    torch.manual_seed(0)
    return build_upsampler(name, channels, **options).to(dtype).eval()


def run(operator: Upsampler, x, feature):
    """Upsample x, with the guide the operator wants from the high-resolution feature."""
    guide = operator.downsample(feature)[1] if operator.paired else feature
    return operator(x, guide)


def test_all_operators_of_the_paper_are_there():
    assert set(operators()) >= PAPERS


@every_operator
def test_doubles_any_size(name, options):
    operator = build(name, options)
    for h, w in ((4, 4), (3, 5), (1, 1), (7, 2)):
        x, feature = torch.randn(2, 4, h, w).double(), torch.randn(2, 4, 2 * h, 2 * w).double()
        y = run(operator, x, feature)
        assert y.shape == (2, 4, 2 * h, 2 * w)
        assert y.isfinite().all()
        if operator.paired:
            assert operator.downsample(feature)[0].shape == x.shape


@every_operator
def test_batch_of_three_is_three_batches_of_one(name, options):
    operator = build(name, options)
    x, feature = torch.randn(3, 4, 3, 5).double(), torch.randn(3, 4, 6, 10).double()
    together = run(operator, x, feature)
    one_by_one = torch.cat([run(operator, x[i : i + 1], feature[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, one_by_one, rtol=1e-12, atol=1e-12)


@every_operator
def test_a_batch_of_none_gives_none(name, options):
    operator = build(name, options)
    y = run(operator, torch.randn(0, 4, 3, 5).double(), torch.randn(0, 4, 6, 10).double())
    assert y.shape == (0, 4, 6, 10)


@every_operator
def test_bfloat16_is_close(name, options):
    """Under autocast, as `trainer.precision=bfloat16` computes: results and gradients."""
    operator = build(name, options, dtype=torch.float32)
    x, feature = torch.randn(2, 4, 4, 6).requires_grad_(), torch.randn(2, 4, 8, 12)
    expected = run(operator, x, feature).detach()
    with torch.autocast("cpu", torch.bfloat16):
        y = run(operator, x, feature)
    torch.testing.assert_close(y.detach().float(), expected, rtol=0.1, atol=0.1)
    y.float().square().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("ratio", [3, 4])
@pytest.mark.parametrize("name", OTHERS)
def test_other_ratios_are_computed_or_refused(name, ratio):
    if "ratio" not in option_names(operators()[name]):
        return
    if name in DOUBLING:
        with pytest.raises(ValueError, match="ratio must be 2"):
            build(name, {"ratio": ratio})
        return
    operator = build(name, {"ratio": ratio}, channels=16)
    x, guide = torch.randn(2, 16, 3, 5).double(), torch.randn(2, 16, 3 * ratio, 5 * ratio).double()
    assert operator(x, guide).shape == guide.shape


@every_operator
def test_a_change_goes_no_further_than_the_operator_says(name, options):
    """Once averages and norms of the whole map are known, which tiles of a large image rely on."""
    operator = build(name, options)
    reach = operator.reach
    if reach is None:
        assert name not in LOCAL
        pytest.skip(f"{name} does not say how far its output reaches")
    x, feature = torch.randn(1, 4, 15, 15).double(), torch.randn(1, 4, 30, 30).double()
    area = slice(0, 30), slice(0, 30)
    whole = Tile((30, 30), area, area)
    for kind in (Average, GroupNorm):
        parts = [part for part in operator.modules() if isinstance(part, kind)]
        hooks = [part.register_forward_pre_hook(lambda part, given: keep(part, given[0], whole)) for part in parts]
        run(operator, x, feature)
        for hook in hooks:
            hook.remove()
    before = both(operator, x, feature)
    x[..., 7, 7] += 1
    feature[..., 14:16, 14:16] += 1
    for map_before, map_after in zip(before, both(operator, x, feature), strict=True):
        ratio = map_before.shape[-1] // 15
        changed = (map_before != map_after).any(dim=1)[0].nonzero() // ratio  # in pixels of the small map
        assert len(changed) > 0
        assert (changed - 7).abs().max() <= reach


def keep(part, x, whole):
    part.total = part.partial_sum(x, whole)


def both(operator, x, feature):
    """The upsampled map, and the downsampled one of a paired operator."""
    return [run(operator, x, feature), *([operator.downsample(feature)[0]] if operator.paired else [])]


@every_operator
def test_gradients(name, options):
    c = 4 if "sharing_groups" in options or name not in ("a2u", "indexnet") else 2
    operator = build(name, options, channels=c)
    x = torch.randn(2, c, 2, 3).double().requires_grad_()
    feature = torch.randn(2, c, 4, 6).double().requires_grad_()

    def both_ways(x, feature):
        if not operator.paired:
            return operator(x, feature)
        down, guide = operator.downsample(feature)
        return operator(x, guide), down

    # Entry by entry for the operators of the paper. Those of the others take a minute, and are compared with the
    # authors' programs (test_released.py): here one random projection.
    assert torch.autograd.gradcheck(both_ways, (x, feature), fast_mode=name not in PAPERS)


@every_operator
def test_gradients_reach_every_parameter(name, options):
    operator = build(name, options).train()
    x, feature = torch.randn(2, 4, 4, 4).double(), torch.randn(2, 4, 8, 8).double()
    if operator.paired:
        down, guide = operator.downsample(feature)
        loss = operator(x, guide).square().sum() + down.square().sum()
    else:
        loss = operator(x, feature).square().sum()
    if list(operator.parameters()):
        loss.backward()
    for key, parameter in operator.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", ["indexnet", "a2u"])
def test_wrong_guide_is_named(name):
    with pytest.raises(ValueError, match=r"guide must be \(1, 4, 6, 6\); got \(1, 4, 5, 6\)"):
        build_upsampler(name, 4)(torch.zeros(1, 4, 3, 3), torch.zeros(1, 4, 5, 6))


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r"nearest upsamples \(N, 4, h, w\); got \(1, 3, 3, 3\)"):
        build_upsampler("nearest", 4)(torch.zeros(1, 3, 3, 3))


def test_paired_operator_wants_even_features():
    with pytest.raises(ValueError, match="multiples of 2"):
        build_upsampler("a2u", 4, paired=True).downsample(torch.zeros(1, 4, 5, 4))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("neerest", {}, "known: a2u, bicubic"),
        ("a2u", {"ranks": 2}, "a2u has no option ranks; it has: mode, sharing"),
        ("a2u", {"mode": "dinamic"}, "mode must be one of static, hybrid, dynamic; got 'dinamic'"),
        ("a2u", {"up_kernel_size": 4}, "up_kernel_size must be odd"),
        ("a2u", {"up_kernel_size": 1}, "set kernel_norm=sigmoid"),
        ("a2u", {"rank": 0}, "rank must be at least 1"),
        (
            "a2u",
            {"sharing": "partly_shared", "sharing_groups": 3},
            "sharing_groups must divide the 4 channels",
        ),
        ("a2u", {"p_init": "ones"}, "p_init=ones is for a static P"),
        ("indexnet", {"block": "deep"}, "block must be holistic"),
        ("carafe", {"up_kernel_size": 2}, "carafe: up_kernel_size must be odd"),
        ("carafe", {"groups": 3}, "carafe: groups must divide the 4 channels; got 3"),
        ("carafe", {"dilation": 0}, "carafe: dilation must be at least 1"),
        ("dysample", {"style": "lq"}, "dysample: style must be lp or pl; got 'lq'"),
        ("dysample", {"groups": 3}, "dysample: groups must divide the 4 channels; got 3"),
        ("dysample", {"style": "pl", "ratio": 3}, "style=pl needs channels that 9"),
        ("sapa", {"variant": "d"}, "sapa: variant must be one of i, b, g, cat; got 'd'"),
        ("sapa", {"norm": "batch"}, "sapa: norm must be layer or group; got 'batch'"),
        ("sapa", {"norm": "group"}, "norm=group needs channels that 32 divides; got 4"),
        ("sapa", {"kernel_size": 4}, "sapa: kernel_size must be odd"),
        ("sapa", {"embedding": 0}, "sapa: embedding must be at least 1"),
        ("sapa", {"shared_embedding": True}, "shared_embedding is for variant=g"),
        ("sapa_d", {"points": 0}, "sapa_d: points must be at least 1"),
        ("sapa_d", {"embedding": 0}, "sapa_d: embedding must be at least 1"),
        ("sapa_d", {"groups": 3}, "sapa_d: groups must divide the 4 channels; got 3"),
        ("sapa_d", {"norm": True}, "norm=true needs channels that 32 divides; got 4"),
        ("fade", {"kernel_size": 4}, "fade: kernel_size must be odd"),
        ("lda_aqu", {"reduction": 3}, "lda_aqu: reduction must divide the 4 channels; got 3"),
        ("lda_aqu", {}, "lda_aqu: groups must divide the 1 channels / reduction; got 2"),
        ("lda_aqu", {"reduction": 1, "heads": 0}, "lda_aqu: heads must divide the 4 channels / reduction; got 0"),
        ("lda_aqu", {"reduction": 1, "kernel_size": 2}, "lda_aqu: kernel_size must be odd"),
        ("lda_aqu", {"reduction": 1, "offset_range": -1.0}, "lda_aqu: offset_range must be at least 0"),
        ("freqfusion", {"padding": "same"}, "freqfusion: padding must be zeros or reflect; got 'same'"),
        ("freqfusion", {"compressed_channels": 0}, "freqfusion: compressed_channels must be at least 1"),
        ("freqfusion", {"compressed_channels": 4, "resample": True}, "compressed_channels that 8 divides; got 4"),
        ("resfu", {"embedding": 12}, "resfu: embedding must be a multiple of 8; got 12"),
        ("jbu", {"radius": 0}, "jbu: radius must be at least 1"),
        ("jbu", {"key_channels": 0}, "jbu: key_channels must be at least 1"),
        ("constant_kernel", {"up_kernel_size": 2}, "constant_kernel: up_kernel_size must be odd"),
        ("constant_kernel", {"up_kernel_size": 1}, "set kernel_norm=sigmoid"),
        ("constant_kernel", {"kernel_norm": "sum"}, "constant_kernel: kernel_norm must be one of softmax"),
        ("blur", {"kernel_size": 4}, "blur: kernel_size must be odd"),
        ("nearest", {"ratio": 1}, "ratio must be at least 2"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_upsampler(name, 4, **options)


def test_a_new_operator_needs_no_registration():
    class Zero(Upsampler):
        name = "zero_for_a_test"
        reads_guide = False

        def __init__(self, channels: int, value: float = 0.0) -> None:
            super().__init__(channels)
            self.value = value

        def upsample(self, x, guide):
            return self.value * x.repeat_interleave(2, -1).repeat_interleave(2, -2)

    assert option_names(Zero) == ["value"]
    assert build_upsampler("zero_for_a_test", 2, value=1.0)(torch.ones(1, 2, 1, 1)).sum() == 8
