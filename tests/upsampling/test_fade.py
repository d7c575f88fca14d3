"""FADE's gate and kernels."""

import pytest
import torch

from a2u.upsampling import build_upsampler


def made(**options):
    torch.manual_seed(0)
    return (
        build_upsampler("fade", 4, **options).double(),
        torch.randn(2, 4, 3, 5).double(),
        torch.randn(2, 4, 6, 10).double(),
    )


def test_an_open_gate_gives_the_guide_and_a_closed_one_what_there_is_without_gate():
    gated, x, guide = made()
    ungated, _, _ = made(gated=False)
    ungated.load_state_dict({key: value for key, value in gated.state_dict().items() if not key.startswith("gate")})
    torch.nn.init.zeros_(gated.gate.weight)
    for bias, expected in ((50.0, guide), (-50.0, ungated(x, guide))):
        torch.nn.init.constant_(gated.gate.bias, bias)
        torch.testing.assert_close(gated(x, guide), expected)


@pytest.mark.parametrize("lite", [False, True])
def test_kernels_sum_to_one_and_read_both_features(lite):
    operator, x, guide = made(lite=lite)
    kernel = operator.kernel(x, guide)
    torch.testing.assert_close(kernel.sum(dim=1), torch.ones(2, 4, 3, 5).double())
    assert not torch.allclose(operator.kernel(x + torch.randn_like(x), guide), kernel)
    assert not torch.allclose(operator.kernel(x, guide + torch.randn_like(guide)), kernel)


def test_the_shared_convolution_adds_its_bias_once_for_each_feature():
    operator, x, guide = made()
    for parameter in operator.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.normal_(operator.encode.bias)
    expected = (2 * operator.encode.bias).softmax(dim=0).view(1, 25, 1, 1, 1)
    torch.testing.assert_close(operator.kernel(x, guide), expected.expand(2, 25, 4, 3, 5))


def test_initial_values_are_xavier_uniform():
    operator, _, _ = made()
    weight = operator.encode.weight
    bound = (6 / (9 * (64 + 25))) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert not operator.encode.bias.any()
