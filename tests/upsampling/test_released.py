"""Operators with their authors' weights compute what the authors' programs compute.

The fixtures hold inputs, weights, outputs and all gradients of the released programs in float64. The smallest are
committed; the others lie in the folder `shared`.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from a2u.upsampling.released import load_operator

COMMITTED = Path(__file__).parents[1] / "reference" / "operators"
# File name without ".npz" -> operator, its options
FIXTURES = {
    "dysample_lp_scope0_g1_r2_c8_3x5": ("dysample", {"groups": 1}),
    "dysample_lp_scope0_g4_r2_c16_5x7": ("dysample", {}),
    "dysample_lp_scope1_g4_r2_c16_5x7": ("dysample", {"dynamic_scope": True}),
    "dysample_lp_scope1_g8_r3_c16_5x7": ("dysample", {"groups": 8, "dynamic_scope": True, "ratio": 3}),
    "dysample_pl_scope0_g4_r2_c16_5x7": ("dysample", {"style": "pl"}),
    "dysample_pl_scope1_g4_r2_c16_5x7": ("dysample", {"style": "pl", "dynamic_scope": True}),
    "dysample_pl_scope1_g4_r4_c16_3x5": ("dysample", {"style": "pl", "dynamic_scope": True, "ratio": 4}),
    "sapa_i_k3_r2_c8_3x5": ("sapa", {"variant": "i", "kernel_size": 3}),
    "sapa_i_k5_r2_c16_5x7": ("sapa", {"variant": "i"}),
    "sapa_b_layernorm_k3_d4_r2_c8_3x5": ("sapa", {"kernel_size": 3, "embedding": 4}),
    "sapa_b_layernorm_k5_d4_r3_c8_5x7": ("sapa", {"embedding": 4, "ratio": 3}),
    "sapa_b_layernorm_k5_d8_r2_c16_5x7": ("sapa", {"embedding": 8}),
    "sapa_b_groupnorm_k5_d8_r2_c32_5x7": ("sapa", {"embedding": 8, "norm": "group"}),
    "sapa_g_released_k5_d4_r3_c8_5x7": ("sapa", {"variant": "g", "embedding": 4, "ratio": 3}),
    "sapa_g_released_k5_d8_r2_c16_5x7": ("sapa", {"variant": "g", "embedding": 8}),
    "sapa_cat_released_k5_d8_r2_c16_5x7": ("sapa", {"variant": "cat", "embedding": 8}),
    "sapa_d_offsethigh_p9_g4_d4_r2_c16_5x7": ("sapa_d", {"embedding": 4}),
    "sapa_d_offsetlow_p9_g4_d4_r2_c16_5x7": ("sapa_d", {"embedding": 4, "high_offset": False}),
    "carafe_k3_g2_m4_r3_c8_5x7": (
        "carafe",
        {"up_kernel_size": 3, "compressed_channels": 4, "groups": 2, "ratio": 3},
    ),
    "carafe_k5_g1_dil2_m8_r2_c16_5x7": ("carafe", {"compressed_channels": 8, "dilation": 2}),
    "carafe_k5_g1_m8_r2_c16_5x7": ("carafe", {"compressed_channels": 8}),
    "fade_k3_r2_c8_3x5": ("fade", {"kernel_size": 3}),
    "fade_k5_r2_c16_5x7": ("fade", {}),
    "fade_ungated_k5_r2_c16_5x7": ("fade", {"gated": False}),
    "fade_lite_k3_r2_c8_3x5": ("fade", {"kernel_size": 3, "lite": True}),
    "fade_lite_k5_r2_c16_5x7": ("fade", {"lite": True}),
    "jbu_rad2_key8_r2_c8_3x5": ("jbu", {"radius": 2, "key_channels": 8}),
    "jbu_rad3_key8_r2_c8_5x7": ("jbu", {"key_channels": 8}),
    "lda_aqu_red2_k3_g2_heads2_range3_r2_c16_4x5": ("lda_aqu", {"reduction": 2, "heads": 2, "offset_range": 3}),
    "lda_aqu_red4_k3_g2_range11_r2_c16_5x7": ("lda_aqu", {}),
    "lda_aqu_red4_k5_g1_norpb_r3_c16_5x7": (
        "lda_aqu",
        {"kernel_size": 5, "groups": 1, "relative_position_bias": False, "ratio": 3},
    ),
    "freqfusion_zeropad_r2_c8_m16_5x7": ("freqfusion", {"compressed_channels": 16}),
    "freqfusion_zeropad_resample_r2_c8_m16_5x7": ("freqfusion", {"compressed_channels": 16, "resample": True}),
    "freqfusion_reflectpad_r2_c8_m16_5x7": ("freqfusion", {"compressed_channels": 16, "padding": "reflect"}),
    "resfu_r2_c32_5x7": ("resfu", {}),
    "resfu_r2_d16_c16_6x5": ("resfu", {"embedding": 16}),
}


def read(request, file):
    """A fixture's arrays, from the checkout or from `shared`."""
    committed = COMMITTED / f"{file}.npz"
    folder = COMMITTED if committed.is_file() else request.getfixturevalue("shared") / "fixtures" / "operators"
    return dict(np.load(folder / f"{file}.npz"))


def weights(data):
    return {key.removeprefix("w:"): value for key, value in data.items() if key.startswith("w:")}


def relative_error(found, expected):
    assert found.dtype == torch.float64
    size = np.abs(expected).max()
    if size < 1e-13:  # rounding: the exact value is 0, as of shifts that both sides of a difference have (ReSFU)
        size = 1
    return np.abs(found.detach().numpy() - expected).max() / size


@pytest.mark.parametrize("file", FIXTURES)
def test_equals_the_released_program(request, file):
    data, (name, options) = read(request, file), FIXTURES[file]
    operator = load_operator(name, weights(data), data["x"].shape[1], **options)
    x, guide = (torch.from_numpy(data[key]).requires_grad_() if key in data else None for key in ("x", "guide"))
    made = {"y": operator(x, guide)}
    if "guide_out" in data:  # the program returns a changed guide, too, and our operator the sum of both changes
        whole, (made["y"], made["guide_out"]) = made["y"], operator.fuse(x, guide)
        assert relative_error(whole, data["y"] + data["guide_out"] - data["guide"]) < 1e-9
    for key, found in made.items():
        assert relative_error(found, data[key]) < 1e-9
    if "kernel" in data:
        assert relative_error(operator.kernel(x, guide), data["kernel"]) < 1e-9
    torch.autograd.backward(list(made.values()), [torch.from_numpy(data[f"grad_{key}"]) for key in made])
    assert relative_error(x.grad, data["grad_x"]) < 1e-9
    if guide is not None:
        assert relative_error(guide.grad, data["grad_guide"]) < 1e-9
    # the gradients, by the same names: what load_operator does to weights it does to these
    given = {key.removeprefix("grad_w:"): value for key, value in data.items() if key.startswith("grad_w:")}
    assert given.keys() == weights(data).keys()
    expected = load_operator(name, given, data["x"].shape[1], **options)
    for (key, found), other in zip(operator.named_parameters(), expected.parameters(), strict=True):
        assert relative_error(found.grad, other.detach().numpy()) < 1e-9, key


def test_what_differs_is_listed():
    found = {
        "channel_compressor.weight": torch.zeros(8, 4),  # a linear map is a 1x1 convolution
        "channel_compressor.bias": torch.zeros(7),
        "content_encoder.weight": torch.zeros(100, 8, 3, 3),
        "content_encoder.scale": torch.zeros(100),
    }
    expected = (
        "these are not the released weights of carafe with these options: content_encoder.bias is missing; "
        "content_encoder.scale is unknown; channel_compressor.bias is (7,) instead of (8,)."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        load_operator("carafe", found, 4, compressed_channels=8)


def test_an_operator_without_released_program_says_so():
    with pytest.raises(ValueError, match="no released program of the operator 'deconv' is known"):
        load_operator("deconv", {}, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_of_the_weights_is_kept(dtype):
    given = {
        "channel_compressor.weight": torch.ones(1, 2, 1, 1),
        "channel_compressor.bias": torch.zeros(1),
        "content_encoder.weight": torch.zeros(100, 1, 3, 3),
        "content_encoder.bias": torch.zeros(100),
    }
    operator = load_operator("carafe", {k: v.to(dtype) for k, v in given.items()}, 2, compressed_channels=1)
    assert {parameter.dtype for parameter in operator.parameters()} == {dtype}
    assert not operator.training


@pytest.mark.parametrize(
    ("cast", "words"),
    [
        (lambda value: value.long(), "content_encoder.bias is of torch.int64, not floating-point"),
        (lambda value: value.to(torch.complex64), "content_encoder.bias is of torch.complex64, not floating-point"),
        (lambda value: np.ma.masked_array(value.numpy()), "content_encoder.bias is a masked array"),
    ],
)
def test_weights_of_another_kind_are_refused(cast, words):
    shapes = {"channel_compressor.weight": (1, 2, 1, 1), "channel_compressor.bias": (1,)}
    shapes |= {"content_encoder.weight": (100, 1, 3, 3), "content_encoder.bias": (100,)}
    given = {name: cast(torch.ones(shape)) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=re.escape(words)):
        load_operator("carafe", given, 2, compressed_channels=1)
