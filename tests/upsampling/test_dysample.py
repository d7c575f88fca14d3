"""DySample against bilinear upsampling and against the offsets of the released program."""

import numpy as np
import pytest
import torch

from a2u.models.networks.reconstruction import ReconstructionNet
from a2u.upsampling import build_upsampler
from a2u.upsampling.released import load_operator


@pytest.mark.parametrize("ratio", [2, 3])
@pytest.mark.parametrize("style", ["lp", "pl"])
def test_without_offsets_it_is_bilinear(style, ratio):
    operator = build_upsampler("dysample", 36, style=style, ratio=ratio).double()
    torch.nn.init.zeros_(operator.offset.weight)
    x = torch.randn(2, 36, 3, 5).double()
    torch.testing.assert_close(operator(x), build_upsampler("bilinear", 36, ratio=ratio)(x))


def test_offsets_are_the_released_programs(reference):
    """In pixels of the small map, from the centre of the coarse pixel."""
    data = np.load(reference / "operators" / "dysample_lp_scope1_g4_r2_c16_5x7.npz")
    weights = {key.removeprefix("w:"): data[key] for key in data.files if key.startswith("w:")}
    px, py = load_operator("dysample", weights, 16, dynamic_scope=True).positions(torch.from_numpy(data["x"]))
    offset = torch.stack([px - torch.arange(14) // 2, py - torch.arange(10)[:, None] // 2], dim=1)
    torch.testing.assert_close(offset.detach().numpy(), data["offset"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("initial_values", ["pytorch", "xavier"])
def test_a_network_that_initialises_itself_leaves_the_offsets_near_zero(initial_values):
    network = ReconstructionNet("dysample", {"dynamic_scope": True}, initial_values=initial_values)
    for operator in network.upsamplers:
        assert 0.0005 < operator.offset.weight.std() < 0.0015
        assert not operator.offset.bias.any()
        assert not operator.scope.weight.any()
