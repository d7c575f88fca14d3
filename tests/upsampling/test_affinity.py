"""A2U against the released kernel generator and against the paper's equations, position by position."""

import itertools
import math

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_tensor
from torch.nn.functional import pixel_shuffle

from a2u.models.released.a2u import OPERATOR
from a2u.upsampling import build_upsampler


@pytest.mark.parametrize(("file", "sharing"), [("adobe", "channel_shared"), ("adobe_unshare", "channel_wise")])
def test_equals_the_released_kernel_generator(reference, file, sharing):
    data = np.load(reference / "a2u" / f"kernelgen_{file}.npz")
    operator = build_upsampler(
        "a2u", 64, sharing=sharing, encoder_kernel_size=6, normalise_uv=True, paired=True
    ).double()
    state = {}
    for key, value in operator.state_dict().items():
        prefix, tensor = key.rsplit(".", 1)
        state[key] = reference_tensor(f"{OPERATOR[prefix]}.{tensor}", tuple(value.shape), seed=20217)
    operator.load_state_dict(state)
    x = torch.from_numpy(data["x"])
    with torch.no_grad():
        q = operator.affinity(x)
        down, up = operator.down_kernel(x, q), enlarged(operator.up_kernel(x, q))
    for found, expected in ((down, data["down"]), (up, data["up"])):
        error = (found - torch.from_numpy(expected)).abs().max() / np.abs(expected).max()
        assert error < 1e-9


def enlarged(kernel, ratio=2):
    """By sub-position -> at the target resolution."""
    return pixel_shuffle(kernel.flatten(1, 2), ratio)


def window(guide, b, channel, i, j, e, ratio=2):
    """The e x e window that U and V see at low-resolution position (i, j), zeros outside: vector of e*e."""
    top, left = ratio * i - (e - 1) // 2, ratio * j - (e - 1) // 2
    values = []
    for row, column in itertools.product(range(top, top + e), range(left, left + e)):
        inside = 0 <= row < guide.shape[2] and 0 <= column < guide.shape[3]
        values.append(guide[b, channel, row, column] if inside else guide.new_zeros(()))
    return torch.stack(values)


def uv_of(part, guide, b):
    """U or V for sample b: (S*d, G, e*e), generated as Sec. 4 iv says where it is."""
    if hasattr(part, "weight"):
        return part.weight[0].flatten(2)
    _, shared, e, _ = part.shape
    n, c, height, width = guide.shape
    pooled = torch.zeros(c, e, e, dtype=guide.dtype)
    for i, j in itertools.product(range(e), range(e)):  # adaptive average pooling, by its definition
        rows = slice(i * height // e, -(-(i + 1) * height // e))
        columns = slice(j * width // e, -(-(j + 1) * width // e))
        pooled[:, i, j] = guide[b, :, rows, columns].mean((1, 2))
    weight, bias = part.conv.weight[:, :, 0, 0], part.conv.bias
    return (torch.einsum("oc,cij->oij", weight, pooled) + bias[:, None, None]).reshape(-1, shared, e * e)


def p_of(part, guide, b):
    """P for sample b: (outputs, d)."""
    if hasattr(part, "weight"):
        return part.weight[0]
    return (part.conv.weight[:, :, 0, 0] @ guide[b].mean((1, 2)) + part.conv.bias).reshape(part.shape)


def normalise(kernel, how):
    if how in ("sigmoid", "sigmoid_softmax"):
        kernel = 1 / (1 + torch.exp(-kernel))
    if how in ("softmax", "sigmoid_softmax"):
        kernel = torch.exp(kernel) / torch.exp(kernel).sum()
    return kernel


def kernels_by_equation_2(operator, guide, k, e, how, pointwise):
    """w at every target position from x^T A y with A = U V^T, and the down-kernel where there is one."""
    n, c, height, width = guide.shape
    h, w = height // 2, width // 2
    rank, sets = operator.rank, 4 if pointwise else 1
    scale = operator.scale
    up = torch.zeros(n, k * k, height, width, dtype=guide.dtype)
    down = torch.zeros(n, (2 * k) ** 2, h, w, dtype=guide.dtype)
    for b, i, j in np.ndindex(n, h, w):
        u, v = uv_of(operator.u, guide, b), uv_of(operator.v, guide, b)
        shared = u.shape[1]
        q = torch.zeros(sets, rank, dtype=guide.dtype)
        for s, r, channel in np.ndindex(sets, rank, c):
            x = window(guide, b, channel, i, j, e)
            group = channel // (c // shared)
            affinity_matrix = torch.outer(u[s * rank + r, group], v[s * rank + r, group])  # A_k, Eq. 2
            q[s, r] += scale * (x @ affinity_matrix @ x)
        p = p_of(operator.p_up, guide, b)
        for row, column in np.ndindex(2, 2):
            sub = 2 * row + column
            rows = p if pointwise else p[torch.arange(k * k) * 4 + sub]  # k*k x d
            value = rows @ q[sub if pointwise else 0]
            up[b, :, 2 * i + row, 2 * j + column] = normalise(value, how)
        if operator.paired:
            value = p_of(operator.p_down, guide, b) @ q.flatten()
            down[b, :, i, j] = normalise(value, "softmax")
    return up, down


CHOICES = [
    {"mode": mode, "sharing": sharing, "pointwise": pointwise, "rank": rank}
    for mode, sharing, pointwise, rank in itertools.product(
        ("static", "hybrid", "dynamic"),
        ("channel_shared", "channel_wise", "partly_shared"),
        (False, True),
        (1, 3),
    )
] + [
    {"mode": "static", "scale_affinity": False},
    {"mode": "dynamic", "kernel_norm": "softmax", "up_kernel_size": 5, "encoder_kernel_size": 3},
    {"mode": "hybrid", "kernel_norm": "sigmoid", "up_kernel_size": 1, "encoder_kernel_size": 4},
    {"mode": "dynamic", "kernel_norm": "none", "encoder_kernel_size": 6, "paired": True},
    {"mode": "static", "pointwise": True, "paired": True, "rank": 2},
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(str(v) for v in choice.values()))
def test_every_choice_equals_the_equations(choice):
    torch.manual_seed(1)
    options = {
        "sharing_groups": 2,
        "up_kernel_size": 3,
        "encoder_kernel_size": 5,
        "kernel_norm": "sigmoid_softmax",
    }
    options |= choice
    c = 4
    operator = build_upsampler("a2u", c, **options).double()
    guide = torch.randn(2, c, 4, 6).double()
    with torch.no_grad():
        q = operator.affinity(guide)
        up = enlarged(operator.up_kernel(guide, q))
        expected_up, expected_down = kernels_by_equation_2(
            operator,
            guide,
            options["up_kernel_size"],
            options["encoder_kernel_size"],
            options["kernel_norm"],
            options.get("pointwise", False),
        )
        torch.testing.assert_close(up, expected_up, rtol=1e-10, atol=1e-12)
        if operator.paired:
            torch.testing.assert_close(operator.down_kernel(guide, q), expected_down, rtol=1e-10, atol=1e-12)


def test_scale_is_the_released_one():
    assert build_upsampler("a2u", 64).scale == 1 / math.sqrt(64)
    assert build_upsampler("a2u", 64, scale_affinity=False).scale == 1


def test_saturated_u_is_holistic_indexnet():
    """Sec. 5: with U*X = 1 (after the sigmoid) and P = 1, static-pw-cw with k = 1 is holistic IndexNet."""
    torch.manual_seed(0)
    c = 6
    index = build_upsampler("indexnet", c, block="holistic", context=True, nonlinear=False).double()
    a2u = build_upsampler(
        "a2u", c, mode="static", sharing="channel_wise", pointwise=True, up_kernel_size=1, encoder_kernel_size=4,
        kernel_norm="sigmoid", sigmoid_u=True, scale_affinity=False, p_init="ones",
    ).double()  # fmt: skip
    x, guide = torch.randn(2, c, 3, 5).double(), torch.randn(2, c, 6, 10).double().abs() + 0.1
    with torch.no_grad():
        a2u.u.weight.fill_(1e4)  # sigmoid(U*X) = 1 on a positive guide
        a2u.v.weight.copy_(index.index[0].weight[None])  # the index convolution, one output a sub-position
        torch.testing.assert_close(a2u(x, guide), index(x, guide), rtol=1e-12, atol=1e-12)


def test_larger_ratio():
    torch.manual_seed(0)
    operator = build_upsampler("a2u", 4, ratio=3, paired=True)
    feature = torch.randn(2, 4, 9, 6)
    down, guide = operator.downsample(feature)
    assert down.shape == (2, 4, 3, 2)
    assert operator(down, guide).shape == feature.shape


def test_kernels_sum_to_one_under_a_softmax():
    operator = build_upsampler("a2u", 4, paired=True)
    guide = torch.randn(2, 4, 6, 8)
    q = operator.affinity(guide)
    for kernel in (operator.up_kernel(guide, q), operator.down_kernel(guide, q)):
        torch.testing.assert_close(kernel.sum(1), torch.ones_like(kernel[:, 0]))


def computed(dtype, autocast, operator, *maps):
    """Upsample with a module of that type, or under autocast to it."""
    if not autocast:
        operator, maps = operator.to(dtype), [each.to(dtype) for each in maps]
    with torch.autocast("cpu", dtype, enabled=autocast), torch.no_grad():
        x, guide = maps
        return operator(x, operator.downsample(guide)[1] if operator.paired else guide).float()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "options", [{"mode": "static"}, {"mode": "hybrid"}, {"mode": "dynamic"}, {"normalise_uv": True}, {"paired": True}]
)
def test_a_large_guide_in_16_bits_gives_what_it_gives_in_float32(options, dtype, autocast):
    """A kernel has two to five factors linear in the guide, whose product float16 does not hold."""
    torch.manual_seed(0)
    x, guide = torch.randn(1, 8, 4, 5), torch.randn(1, 8, 8, 10)
    for size in (1, 100, 3000):  # up to 1e4
        operator = build_upsampler("a2u", 8, **options)
        expected = computed(torch.float32, False, operator, x, size * guide)
        found = computed(dtype, autocast, operator, x, size * guide)
        assert found.isfinite().all()
        if dtype == torch.float16 or size == 1:  # eight bits of U may turn the sign of a large q
            torch.testing.assert_close(found, expected, rtol=0.03, atol=0.03)


@pytest.mark.parametrize(("mode", "size"), [("static", 1e15), ("hybrid", 1e10), ("dynamic", 1e6)])
def test_the_range_of_a_guide_in_float32(mode, size):
    torch.manual_seed(0)
    operator = build_upsampler("a2u", 256, mode=mode, kernel_norm="softmax")
    guide = size * torch.randn(1, 256, 4, 6).clamp(-1, 1)
    assert computed(torch.float32, False, operator, torch.randn(1, 256, 2, 3), guide).isfinite().all()


@pytest.mark.parametrize("paired", [False, True])
def test_calibrated_the_first_training_batch_has_a_mean_size_of_1_and_sets_it_for_good(paired):
    torch.manual_seed(0)
    operator = build_upsampler("a2u", 4, kernel_norm="none", calibrate=True, paired=paired)
    plain = build_upsampler("a2u", 4, kernel_norm="none", paired=paired)
    plain.load_state_dict(operator.state_dict(), strict=False)
    first, later = 100 * torch.randn(2, 4, 8, 12), torch.randn(1, 4, 8, 12)

    def kernel(each, guide):
        return each.up_kernel(guide, each.affinity(guide))

    torch.testing.assert_close(kernel(operator.eval(), first), kernel(plain, first))
    assert kernel(plain, first).abs().mean() > 100
    assert kernel(operator.train(), first).abs().mean().item() == pytest.approx(1)
    size = kernel(plain, first).abs().mean()
    torch.testing.assert_close(kernel(operator, later), kernel(plain, later) / size)
    torch.testing.assert_close(kernel(operator.eval(), later), kernel(plain, later) / size)
    operator.reset_parameters()
    assert operator.calibrate_up.size == 0
