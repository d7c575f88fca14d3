"""The reconstruction network of Table 1: its layers, the contract with the operator, its initial values."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from a2u.config import compose
from a2u.engine.prepare import check
from a2u.models import build_model
from a2u.models.networks.reconstruction import CHANNELS, ReconstructionNet
from a2u.reproduce.published import controls, printed, rows_of
from a2u.reproduce.rows import paper_parameters
from a2u.upsampling import Upsampler, operators

# C(32) C(64) C(128) C(256) C(128) C(64) C(32) C(1): 3x3 weights without bias, two affine values a channel.
WIDTHS = (1, 32, 64, 128, 256, 128, 64, 32, 1)
BASE = sum(9 * before * after + 2 * after for before, after in pairwise(WIDTHS))
STRIDED = sum(9 * c * c + c for c in (32, 64, 128))  # three 3x3 stride-2 convolutions with bias
ADDED = {
    "conv_nearest": STRIDED,
    "conv_bilinear": STRIDED,
    "conv_deconv": STRIDED + sum(16 * c * c + c for c in CHANNELS),
    "pixel_shuffle": STRIDED + sum(9 * c * 4 * c + 4 * c for c in CHANNELS),
    "maxpool_maxunpool": 0,
    "maxpool_carafe": sum(64 * c + 64 + 9 * 64 * 4 + 4 for c in CHANNELS),
    "maxpool_indexnet_hin": sum(16 * c * 4 for c in CHANNELS),
    "maxpool_a2u": sum(2 * 4 * 16 * c + 1 for c in CHANNELS),
    "maxpool_indexnet_din": sum(16 * c * 4 * c for c in CHANNELS),
    "maxpool_constant_kernel": 3 * 4,
    "maxpool_blur": 0,
}
OPERATORS = sorted(name for name, operator in operators().items() if operator.__module__.startswith("a2u."))


def test_the_rows_are_the_papers_and_two_controls():
    assert set(rows_of("table1")) == set(ADDED)
    assert [row for row in rows_of("table1") if not printed("table1", row)] == controls("table1")


@pytest.mark.parametrize("row", ADDED)
def test_every_row_can_be_built_and_has_the_papers_parameters(row):
    cfg = compose([f"experiment=table1/{row}"])
    check(cfg)
    assert (cfg.table, cfg.row) == ("table1", row)
    assert paper_parameters(cfg) == BASE + ADDED[row]


def test_a2u_has_fewer_parameters_than_the_depthwise_index_network():
    """Sec. 5: "A2U performs better than IndexNet with even fewer parameters"."""
    assert ADDED["maxpool_a2u"] < ADDED["maxpool_indexnet_din"]


@pytest.mark.parametrize("upsampler", OPERATORS)
def test_every_operator_fits_the_network(upsampler):
    model = ReconstructionNet(upsampler)
    x = torch.rand(2, 1, 8, 24)  # at 1/8: 1 x 3
    y = model.train()(x)
    assert y.shape == x.shape
    y.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.eval()(x[:1]).shape == (1, 1, 8, 24)


def test_the_layers_are_the_papers():
    """C(32)-D-C(64)-D-C(128)-D-C(256)-C(128)-U-C(64)-U-C(32)-U-C(1), seen at the outputs."""
    model = ReconstructionNet("nearest").eval()
    shapes = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | Upsampler):
            module.register_forward_hook(
                lambda module, args, out: shapes.append((type(module).__name__, *out.shape[1:]))
            )
    model(torch.rand(1, 1, 32, 32))
    assert shapes == [
        ("Conv2d", 32, 32, 32),
        ("MaxPool2d", 32, 16, 16),
        ("Conv2d", 64, 16, 16),
        ("MaxPool2d", 64, 8, 8),
        ("Conv2d", 128, 8, 8),
        ("MaxPool2d", 128, 4, 4),
        ("Conv2d", 256, 4, 4),
        ("Conv2d", 128, 4, 4),
        ("Nearest", 128, 8, 8),
        ("Conv2d", 64, 8, 8),
        ("Nearest", 64, 16, 16),
        ("Conv2d", 32, 16, 16),
        ("Nearest", 32, 32, 32),
        ("Conv2d", 1, 32, 32),
    ]


def test_operators_read_the_feature_just_before_each_pool():
    model = ReconstructionNet("a2u").eval()
    before, guides = [], []
    for pool, operator in zip(model.pools, model.upsamplers, strict=True):
        pool.register_forward_hook(lambda module, args, output: before.append(args[0]))
        operator.register_forward_hook(lambda module, args, output: guides.append(args[1]))
    model(torch.rand(1, 1, 32, 32))
    assert len(guides) == 3
    assert all(feature is guide for feature, guide in zip(before, reversed(guides), strict=True))


def test_a_paired_operator_takes_the_place_of_the_pools():
    model = ReconstructionNet("max_unpool").eval()
    assert not any(isinstance(module, nn.MaxPool2d) for module in model.modules())
    with pytest.raises(ValueError, match=r"max_unpool downsamples by itself, so model\.downsampling=conv"):
        ReconstructionNet("max_unpool", downsampling="conv")


def test_nothing_but_the_operator_passes_the_bottleneck():
    """With an operator that reads no guide, the output depends on the 1/8 map alone."""
    model = ReconstructionNet("nearest", last_activation=False).eval()
    bottleneck = torch.rand(1, 128, 4, 4)
    model.bottleneck.register_forward_hook(lambda *_: bottleneck)
    assert torch.equal(model(torch.rand(1, 1, 32, 32)), model(torch.rand(1, 1, 32, 32)))
    guided = ReconstructionNet("a2u", last_activation=False).eval()
    guided.bottleneck.register_forward_hook(lambda *_: bottleneck)
    assert not torch.equal(guided(torch.rand(1, 1, 32, 32)), guided(torch.rand(1, 1, 32, 32)))


def test_carafe_with_one_weight_is_nearest():
    """The paper's setting: a softmax over one weight is 1."""
    torch.manual_seed(0)
    carafe = ReconstructionNet("carafe", {"up_kernel_size": 1}).eval()
    nearest = ReconstructionNet("nearest").eval()
    nearest.load_state_dict({k: v for k, v in carafe.state_dict().items() if not k.startswith("upsamplers.")})
    x = torch.rand(2, 1, 16, 24)
    torch.testing.assert_close(carafe(x), nearest(x))


def test_one_seed_gives_every_operator_the_same_shared_weights():
    shared = None
    for upsampler in ("nearest", "carafe", "indexnet", "a2u", "max_unpool"):
        torch.manual_seed(3)
        state = ReconstructionNet(upsampler).state_dict()
        state = {key: value for key, value in state.items() if not key.startswith("upsamplers.")}
        shared = shared or state
        assert state.keys() == shared.keys()
        assert all(torch.equal(state[key], shared[key]) for key in state)


@pytest.mark.parametrize("upsampler", ["deconv", "indexnet"])
def test_initial_values_are_pytorchs(upsampler):
    """Uniform in ± 1 / sqrt(fan-in), in the network and in the operator."""
    torch.manual_seed(0)
    model = ReconstructionNet(upsampler)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            reach = 1 / math.sqrt(module.weight[0].numel())
            assert 0.9 * reach < module.weight.abs().max() <= reach


def test_initial_values_of_the_free_kernels():
    a2u = {"mode": "static", "sharing": "channel_wise", "pointwise": True, "p_init": "ones"}
    torch.manual_seed(0)
    kernels = ReconstructionNet("a2u", {**a2u, "encoder_kernel_size": 4}).upsamplers[0]
    assert 0.9 * 0.25 < kernels.u.weight.abs().max() <= 0.25  # fan-in 16
    assert not torch.equal(kernels.u.weight, kernels.v.weight)
    assert torch.equal(kernels.p_up.weight, torch.ones_like(kernels.p_up.weight))
    torch.manual_seed(0)
    xavier = ReconstructionNet("a2u", a2u, initial_values="xavier").upsamplers[0]
    assert xavier.u.weight.abs().max() > 4 * xavier.u.weight.std() * 0.7  # normal, no sharp edge


def test_the_last_activation_is_an_option():
    x = torch.rand(4, 1, 16, 16)
    assert ReconstructionNet("nearest").train()(x).min() >= 0
    bare = ReconstructionNet("nearest", last_activation=False).train()
    assert isinstance(bare.decoder[-1], nn.Conv2d)
    assert bare(x).min() < 0


@pytest.mark.parametrize("shape", [(1, 1, 28, 32), (1, 3, 32, 32), (1, 32, 32)])
def test_a_wrong_input_is_named(shape):
    with pytest.raises(ValueError, match=r"takes \(N, 1, H, W\) with H and W multiples of 8; got"):
        ReconstructionNet("nearest")(torch.zeros(shape))


def test_a_ratio_other_than_two_is_refused():
    with pytest.raises(ValueError, match=r"upsampler\.ratio must be 2; got 4"):
        ReconstructionNet("nearest", {"ratio": 4})


def test_the_a2u_row_with_saturated_u_is_the_holistic_indexnet_row():
    """Sec. 5: "the same as Holistic IndexNet if letting convolution results of U to be all ones"; whole networks."""
    torch.manual_seed(0)
    a2u, hin = (build_model(compose([f"experiment=table1/maxpool_{row}"])).double() for row in ("a2u", "indexnet_hin"))
    state = {key: value for key, value in hin.state_dict().items() if not key.startswith("upsamplers.")}
    a2u.load_state_dict(state, strict=False)
    with torch.no_grad():
        for ours, theirs in zip(a2u.upsamplers, hin.upsamplers, strict=True):
            ours.u.weight.fill_(1e6)  # sigmoid(U*X) = 1 wherever a feature is positive; where it is 0, so is V*X
            ours.v.weight.copy_(theirs.index[0].weight[None])
        x = torch.rand(2, 1, 32, 32, dtype=torch.double)
        torch.testing.assert_close(a2u.train()(x), hin.train()(x), rtol=1e-6, atol=1e-9)
        before = hin(x)
        hin.upsamplers[2].index[0].weight.neg_()
        assert not torch.allclose(hin(x), before)  # the operator does reach the output
