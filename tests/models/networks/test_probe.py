"""The probe's network: alpha reaches it at 1/8 alone, the picture through the operator's guide alone."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from a2u.models.build import count_parameters
from a2u.models.networks.probe import ProbeNet

TABLE_1 = {
    "mode": "static",
    "sharing": "channel_wise",
    "pointwise": True,
    "up_kernel_size": 1,
    "encoder_kernel_size": 4,
}
TABLE_1 |= {"kernel_norm": "sigmoid", "sigmoid_u": True, "scale_affinity": False, "p_init": "ones"}
PYRAMID = (9 * 3 + 1) * 16 + 2 * (9 * 16 + 1) * 16


def shuffled(x, channels):
    """The same with the pixels of every 8 x 8 block turned by 180 degrees in some channels: the average stays."""
    blocks = x.unfold(2, 8, 8).unfold(3, 8, 8).flip(4, 5).permute(0, 1, 2, 4, 3, 5).reshape(x.shape)
    return torch.cat(
        [blocks[:, each : each + 1] if each in channels else x[:, each : each + 1] for each in range(4)], 1
    )


@pytest.mark.parametrize("upsampler", ["indexnet", "a2u"])
def test_alpha_is_seen_at_an_eighth_and_the_picture_through_the_guide_alone(upsampler):
    torch.manual_seed(0)
    model, x = ProbeNet(upsampler, channels=4).eval(), torch.rand(1, 4, 16, 24)
    y = model(x)
    other_alpha, other_picture = shuffled(x, {3}), shuffled(x, {0, 1, 2})
    torch.testing.assert_close(avg_pool2d(other_picture, 8), avg_pool2d(x, 8))
    torch.testing.assert_close(model(other_alpha), y)
    assert (model(other_picture) - y).abs().max() > 1e-3 * y.abs().max()
    model.blank_guide = True
    torch.testing.assert_close(model(other_picture), model(x))


def test_what_operators_add_to_nearest():
    base = count_parameters(ProbeNet())
    assert count_parameters(ProbeNet("indexnet")) - base == PYRAMID + 105_216
    assert count_parameters(ProbeNet("a2u", TABLE_1)) - base == PYRAMID + 3 * (2 * 4 * 16 * 16 + 1)
    assert count_parameters(ProbeNet("carafe")) - base == 3 * (16 * 64 + 64 + 9 * 64 * 100 + 100)


def test_the_network_around_the_operator_starts_the_same_for_all():
    states = []
    for upsampler in ("nearest", "a2u"):
        torch.manual_seed(3)
        states.append(ProbeNet(upsampler).state_dict())
    nearest, a2u = states
    assert all(torch.equal(value, a2u[key]) for key, value in nearest.items())


def test_a_paired_operator_halves_the_pyramid_itself():
    model = ProbeNet("a2u", {"paired": True}, channels=4)
    model(torch.rand(2, 4, 16, 16)).square().mean().backward()
    untrained = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert {name.rpartition(".")[0] for name in untrained} == {"upsamplers.0.p_down.conv"}  # nothing lies below it
