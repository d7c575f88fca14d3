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
    return np.abs(found.detach().numpy() - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("file", FIXTURES)
def test_equals_the_released_program(request, file):
    data, (name, options) = read(request, file), FIXTURES[file]
    operator = load_operator(name, weights(data), data["x"].shape[1], **options)
    x, guide = (torch.from_numpy(data[key]).requires_grad_() if key in data else None for key in ("x", "guide"))
    y = operator(x, guide)
    assert relative_error(y, data["y"]) < 1e-9
    y.backward(torch.from_numpy(data["grad_y"]))
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
