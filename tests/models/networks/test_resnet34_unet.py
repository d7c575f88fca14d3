"""The matting network: the paper's parameter counts, the contract, the released program's values."""

import pytest
import torch
from torch import nn
from torch.nn.functional import max_pool2d

from a2u.config import compose
from a2u.engine.prepare import check, make_model
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.models.networks.trimap_only import TrimapOnly
from a2u.reproduce.published import rows_of
from a2u.reproduce.rows import paper_parameters
from a2u.upsampling import Upsampler, operators

BASE = 8_049_003
ADDED = {
    "nearest": 0,
    "bilinear": 0,
    "carafe": 263_824,
    "indexnet": 12_263_424,
    "a2u_static_pw_cw": 102_436,
    "a2u_static_cw": 25_744,
    "a2u_hybrid_cw": 44_176,
    "a2u_hybrid_cs": 18_776,
    "a2u_dynamic_cw": 199_824,
    "a2u_dynamic_cs": 19_608,
    "a2u_dynamic_cs_d": 38_184,
    "a2u_dynamic_cs_d_norm": 40_232,
    "constant_kernel": 144,
    "blur": 0,
}
SUCCESSORS = {
    "sapa_i": 0,
    "sapa_b": 35_072,
    "sapa_g": 52_100,
    "sapa_g_shared": 35_588,
    "sapa_d": 280_704,
    "fade": 124_008,
    "fade_lite": 27_216,
    "dysample": 16_512,
    "dysample_plus": 32_896,
    "dysample_s": 1_056,
    "lda_aqu": 58_376,
    "freqfusion": 144_520,
    "freqfusion_resample": 353_224,
    "resfu": 155_464,
    "jbu": 65_432,
    "bilinear_max_pool": 0,
    "a2u_dynamic_cs_max_pool": 19_608,
    "fade_as_released": 124_008,
    "fade_lite_as_released": 27_216,
}
TINY = {"width": 0.125, "encoder_blocks": (1, 1, 1), "decoder_blocks": 1}


@pytest.mark.parametrize(
    ("table", "row"),
    [("table2", row) for row in rows_of("table2")]
    + [("successors", row) for row in rows_of("successors") if row not in rows_of("table2")],
)
def test_every_row_can_be_built_and_has_exactly_the_papers_parameters(table, row):
    """Those of the papers' formulas, where they print a rounded number or none."""
    cfg = compose([f"experiment={table}/{row}"])
    check(cfg)
    assert (cfg.table, cfg.row) == (table, row)
    assert paper_parameters(cfg) == (0 if row == "trimap_only" else BASE + (ADDED | SUCCESSORS)[row])


def small(upsampler, **options):
    torch.manual_seed(0)
    return MattingUNet(upsampler, options, **TINY)


OPERATORS = sorted(name for name, operator in operators().items() if operator.__module__.startswith("a2u."))


@pytest.mark.parametrize("upsampler", OPERATORS)
def test_every_operator_fits_the_network(upsampler):
    model = small(upsampler)
    x = torch.randn(2, 4, 16, 48)  # at 1/16: 1 x 3
    y = model.train()(x)
    assert y.shape == (2, 1, 16, 48)
    y.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.eval()(x[:1]).shape == (1, 1, 16, 48)


def test_paired_downsampling_takes_the_place_of_strides_and_pool():
    model = small("a2u", paired=True)
    strides = {
        name: module.stride
        for name, module in model.encoder.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    }
    assert set(strides) == {"layer2.0.projection.0", "layer3.0.projection.0"}
    called = []
    for operator in model.upsamplers:
        operator.downsample = lambda x, operator=operator: (
            called.append(tuple(x.shape)) or type(operator).downsample(operator, x)
        )
    model.encoder.pool.register_forward_hook(lambda *_: pytest.fail("the max-pool ran"))
    model.eval()(torch.randn(1, 4, 32, 32))
    assert called == [(1, 8, 32, 32), (1, 8, 16, 16), (1, 16, 8, 8), (1, 32, 4, 4)]


def test_operators_read_the_shortcuts_output():
    model = small("a2u").eval()
    seen = []
    for stage, operator in zip(model.stages, model.upsamplers, strict=True):
        stage.shortcut.register_forward_hook(lambda module, args, output: seen.append(output))
        operator.register_forward_hook(lambda module, args, output: seen.append(args[1]))
    model(torch.randn(1, 4, 32, 32))
    for skipped, guide in zip(seen[::2], seen[1::2], strict=True):
        assert skipped is guide


def test_max_pooling_gives_operators_the_features_before_it():
    """The encoder of FADE's released network: that of "d", 2x2 max-pooling in the operator's place."""
    torch.manual_seed(0)
    model = MattingUNet("fade", downsampling="max_pool", **TINY).eval()
    made, guides = {}, []
    for name in ("stem", "layer2.0.conv1", "layer3.0.conv1"):
        part = model.encoder.get_submodule(name)
        part.register_forward_hook(lambda module, args, output, name=name: made.update({name: output}))
    for operator in model.upsamplers:
        operator.register_forward_hook(lambda module, args, output: guides.append(args[1]))
    model.encoder.pool.register_forward_hook(lambda *_: pytest.fail("the 3x3 max-pool ran"))
    model(torch.randn(1, 4, 32, 32))
    expected = [made["layer3.0.conv1"], made["layer2.0.conv1"], max_pool2d(made["stem"], 2), made["stem"]]
    assert all(torch.equal(*pair) for pair in zip(guides, expected, strict=True))


def test_max_pooling_with_paired_downsampling_is_refused():
    with pytest.raises(ValueError, match=r"a2u downsamples by itself, so model\.downsampling=max_pool would have no"):
        MattingUNet("a2u", {"paired": True}, downsampling="max_pool")


def test_one_seed_gives_every_operator_the_same_shared_weights():
    shared = None
    for upsampler in ("nearest", "carafe", "indexnet", "a2u"):
        state = {
            key: value for key, value in small(upsampler).state_dict().items() if not key.startswith("upsamplers.")
        }
        if shared is None:
            shared = state
        assert state.keys() == shared.keys()
        assert all(torch.equal(state[key], shared[key]) for key in state)


def test_another_seed_gives_other_weights():
    cfg = compose(["scale=smoke", "upsampler=a2u"])
    first = make_model(cfg).state_dict()
    again = make_model(cfg).state_dict()
    cfg.seed = 1
    other = make_model(cfg).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["encoder.stem.0.weight"], other["encoder.stem.0.weight"])
    assert not torch.equal(first["upsamplers.0.u.conv.weight"], other["upsamplers.0.u.conv.weight"])


@pytest.mark.parametrize("shape", [(1, 4, 24, 32), (1, 3, 32, 32), (4, 32, 32)])
def test_a_wrong_input_is_named(shape):
    with pytest.raises(ValueError, match="multiples of 16; got"):
        small("nearest")(torch.zeros(shape))


def test_one_training_sample_is_refused_where_the_norm_sees_one_value():
    with pytest.raises(ValueError, match="at least 2 samples a process"):
        small("nearest").train()(torch.zeros(1, 4, 32, 32))
    MattingUNet("nearest", aspp=False, **TINY).train()(torch.zeros(1, 4, 32, 32))


def test_inplace_abn_without_the_package_says_what_to_do():
    with pytest.raises(ValueError, match=r"set model\.norm=batch"):
        MattingUNet(norm="inplace_abn", **TINY)


class Borrowed(Upsampler):
    """An operator the network has never heard of; paired or not."""

    name = "borrowed_for_a_test"

    def __init__(self, channels: int, paired: bool = False) -> None:
        super().__init__(channels, paired=paired)

    def upsample(self, x, guide):
        return nn.functional.interpolate(x, scale_factor=2) + guide

    def downsample(self, feature):
        return nn.functional.avg_pool2d(feature, 2), feature


@pytest.mark.parametrize("paired", [False, True])
def test_the_network_takes_any_operator_that_keeps_the_contract(paired):
    assert small("borrowed_for_a_test", paired=paired).eval()(torch.randn(1, 4, 32, 16)).shape == (1, 1, 32, 16)


def test_trimap_only_says_what_the_trimap_says():
    x = torch.zeros(1, 4, 2, 2)
    x[0, 3] = torch.tensor([[0.0, 128 / 255], [1.0, 128 / 255]])
    assert TrimapOnly()(x).flatten().tolist() == [0.0, 0.5, 1.0, 0.5]
