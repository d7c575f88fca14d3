"""The controls are what they stand for: A2U where nothing depends on the guide."""

import torch

from a2u.upsampling import build_upsampler


def test_a_constant_kernel_is_a2u_with_q_1():
    torch.manual_seed(0)
    operator = build_upsampler("constant_kernel", 4)
    affinity = build_upsampler("a2u", 4, mode="static")
    affinity.p_up.load_state_dict(operator.p.state_dict())
    affinity.affinity = lambda guide: torch.ones(2, 1, 3, 5)
    x, guide = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 6, 10)
    torch.testing.assert_close(operator(x), affinity(x, guide))


def test_a_blur_is_a2u_with_equal_weights():
    affinity = build_upsampler("a2u", 4, mode="static")
    torch.nn.init.zeros_(affinity.p_up.weight)
    x, guide = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 6, 10)
    torch.testing.assert_close(build_upsampler("blur", 4)(x), affinity(x, guide))
