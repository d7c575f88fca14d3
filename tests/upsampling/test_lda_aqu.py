"""Where LDA-AQU's points lie, and what attending to them costs."""

import pytest
import torch
import torch.nn.functional as F
from helpers.memory import peak_mb

from a2u.upsampling import build_upsampler
from a2u.upsampling.ops.attention import point_weights, weighted_sum


def made(**options):
    torch.manual_seed(0)
    return build_upsampler("lda_aqu", 8, **options).double(), torch.randn(2, 8, 4, 5).double()


@pytest.mark.parametrize("ratio", [2, 3])
def test_at_first_a_single_point_is_bilinear_upsampling_with_corners_aligned(ratio):
    operator, x = made(kernel_size=1, ratio=ratio)
    size = 4 * ratio, 5 * ratio
    torch.testing.assert_close(operator(x), F.interpolate(x, size, mode="bilinear", align_corners=True))


def test_at_first_points_are_the_neighbours_on_the_large_map():
    operator, x = made()
    torch.nn.init.zeros_(operator.query.weight)  # all points of equal weight
    enlarged = F.interpolate(x, (8, 10), mode="bilinear", align_corners=True)
    inside = operator(x)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, F.avg_pool2d(enlarged, 3, stride=1))


def test_groups_move_their_points_by_shared_weights():
    operator, x = made(groups=2)
    torch.nn.init.normal_(operator.offset[-1].weight)
    torch.nn.init.normal_(operator.offset[-1].bias)
    half = torch.randn(2, 1, 8, 10).double()
    px, py = operator.points(torch.cat([half, half], dim=1))
    assert px.shape == py.shape == (2, 2, 9, 8, 10)
    torch.testing.assert_close(px[:, 0], px[:, 1])
    assert not torch.allclose(px[:, :, 0], px[:, :, 1] - 4 / 9)  # each point has an offset of its own


def test_the_bias_of_a_point_is_added_to_its_key():
    operator, x = made(heads=2, groups=1)
    torch.nn.init.constant_(operator.query.weight, 1.0)
    torch.nn.init.zeros_(operator.position_bias)
    plain = operator(x)
    operator.position_bias.data[:, 1, 0, 4] = 1.0  # of the second head
    changed = (operator(x) != plain).any(dim=(0, 2, 3))
    assert changed.tolist() == [False] * 4 + [True] * 4


def test_attention_keeps_no_map_for_each_point():
    """What is kept for gradients, by points: positions, similarities and weights, one number each."""
    channels, points, size = 32, 16, (32, 32)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, channels, *size, generator=generator).requires_grad_() for _ in range(3))
    px, py = (32 * torch.rand(1, 1, points, *size, generator=generator) for _ in range(2))
    one_map = value.numel() * value.element_size() / 2**20

    def forward_and_backward():
        weighted_sum(value, point_weights(query, key, px, py), px, py).sum().backward()

    assert peak_mb(forward_and_backward) < points * one_map  # at once they would be 16 of keys and 16 of values
