"""SAPA's and SAPA-D's kernels: what they sum to, what changes them, where they come from."""

import pytest
import torch
import torch.nn.functional as F

from a2u.upsampling import build_upsampler
from a2u.upsampling.ops.attention import near_points, point_weights, weighted_sum

VARIANTS = ["i", "b", "g", "cat"]


def made(variant, **options):
    torch.manual_seed(0)
    operator = build_upsampler("sapa", 8, variant=variant, **options).double()
    for parameter in operator.parameters():
        torch.nn.init.normal_(parameter)
    return operator, torch.randn(2, 8, 4, 5).double(), torch.randn(2, 8, 8, 10).double()


@pytest.mark.parametrize("variant", VARIANTS)
def test_kernels_sum_to_one_and_lose_weight_at_borders(variant):
    operator, x, guide = made(variant)
    kernel = operator.kernel(x, guide)
    torch.testing.assert_close(kernel.sum(dim=1), torch.ones(2, 4, 4, 5).double())
    assert (operator(torch.ones_like(x), guide) < 1).any()


def test_of_a_constant_map_a_corner_sees_nine_of_25_taps():
    operator = build_upsampler("sapa", 8, variant="i")
    y = operator(torch.ones(1, 8, 5, 5), torch.randn(1, 8, 10, 10))
    torch.testing.assert_close(y[0, 0, 0, 0], torch.tensor(9 / 25))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_constant_added_to_all_channels_of_a_guide_pixel_changes_nothing(variant):
    operator, x, guide = made(variant)
    shifted = guide.clone()
    shifted[:, :, 3, 4] += 2
    torch.testing.assert_close(operator(x, shifted), operator(x, guide))


@pytest.mark.parametrize("shared", [False, True])
def test_the_gate_mixes_queries_of_both_features(shared):
    operator, x, guide = made("g", shared_embedding=shared)
    assert (operator.query_x is operator.key) == shared
    layer_norm = F.layer_norm(x.permute(0, 2, 3, 1), (8,), operator.norm_x.weight, operator.norm_x.bias)
    normalised = layer_norm.permute(0, 3, 1, 2)
    gate = operator.gate(normalised).sigmoid().repeat_interleave(2, 2).repeat_interleave(2, 3)
    enlarged = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = gate * operator.query_guide(guide) + (1 - gate) * operator.query_x(enlarged)
    torch.testing.assert_close(operator.queries(x, normalised, guide), expected)


@pytest.mark.parametrize("high_offset", [True, False])
def test_sapa_d_without_offsets_is_nearest(high_offset):
    operator = build_upsampler("sapa_d", 8, high_offset=high_offset)
    torch.nn.init.zeros_(operator.offset.weight)
    x, guide = torch.randn(2, 8, 4, 5), torch.randn(2, 8, 8, 10)
    torch.testing.assert_close(operator(x, guide), build_upsampler("nearest", 8)(x))


@pytest.mark.parametrize("radius", [1, 3])
def test_attention_to_near_points_is_the_same_through_windows(radius):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 6, 10), torch.randn(2, 4, 3, 5), torch.randn(2, 6, 3, 5)
    offsets = (torch.rand(2, 2, 2, 3, 6, 10) * 2 - 1) * radius  # some points outside the map
    inputs = [part.double().requires_grad_() for part in (query, key, value, *offsets)]
    columns, rows = torch.arange(10) // 2, (torch.arange(6) // 2)[:, None]
    points = columns + inputs[3], rows + inputs[4]
    sampled = weighted_sum(inputs[2], point_weights(*inputs[:2], *points, heads=2), *points)
    points = near_points(*inputs[3:], ratio=2)
    assert points.size == 2 * radius + 1
    near = points.weighted_sum(inputs[2], points.weights(*inputs[:2]))
    torch.testing.assert_close(near, sampled, rtol=1e-9, atol=1e-12)
    weights = torch.randn_like(near)
    for ours, expected in zip(*(torch.autograd.grad(y, inputs, weights) for y in (near, sampled)), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)


def test_points_far_away_are_sampled():
    assert near_points(torch.zeros(1, 1, 1, 2, 2), torch.full((1, 1, 1, 2, 2), -3.0), 2) is None
    assert near_points(torch.zeros(1, 1, 1, 2, 2), torch.full((1, 1, 1, 2, 2), torch.nan), 2) is None


@pytest.mark.parametrize(("name", "norm"), [("sapa", "group"), ("sapa_d", True)])
def test_a_group_norm_reads_the_whole_map(name, norm):
    operator = build_upsampler(name, 32, norm=norm)
    assert operator.reach is None
    x, guide = torch.randn(1, 32, 4, 40), torch.randn(1, 32, 8, 80)
    before = operator(x, guide)
    x[..., -1] += 10
    assert (operator(x, guide)[..., :10] != before[..., :10]).any()
