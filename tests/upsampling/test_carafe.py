"""CARAFE against a loop; the fixed operators against their formulas."""

import numpy as np
import torch

from a2u.upsampling import build_upsampler


def conv(x, weight, bias):
    """Plain convolution with zero padding, one position at a time: (C, H, W) -> (O, H, W)."""
    size = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    y = np.zeros((weight.shape[0], *x.shape[1:]))
    for i, j in np.ndindex(*x.shape[1:]):
        patch = padded[:, i : i + size, j : j + size]
        y[:, i, j] = (weight * patch).sum((1, 2, 3)) + bias
    return y


def test_carafe_equals_a_loop():
    torch.manual_seed(0)
    operator = build_upsampler("carafe", 3, compressed_channels=4).double()
    x = torch.randn(1, 3, 4, 5).double()
    tensors = {key: value.numpy() for key, value in operator.state_dict().items()}
    compressed = conv(x[0].numpy(), tensors["compress.weight"], tensors["compress.bias"])
    logits = conv(compressed, tensors["encode.weight"], tensors["encode.bias"])  # (100, 4, 5)
    padded = np.pad(x[0].numpy(), ((0, 0), (2, 2), (2, 2)))
    expected = np.zeros((3, 8, 10))
    for i, j in np.ndindex(8, 10):
        values = logits[np.arange(25) * 4 + 2 * (i % 2) + j % 2, i // 2, j // 2]
        weights = np.exp(values) / np.exp(values).sum()
        patch = padded[:, i // 2 : i // 2 + 5, j // 2 : j // 2 + 5]
        expected[:, i, j] = patch.reshape(3, 25) @ weights
    np.testing.assert_allclose(operator(x).detach()[0], expected, rtol=1e-10)


def test_carafe_with_one_weight_is_nearest():
    x = torch.randn(2, 3, 4, 5)
    carafe, nearest = build_upsampler("carafe", 3, up_kernel_size=1), build_upsampler("nearest", 3)
    torch.testing.assert_close(carafe(x), nearest(x))


def test_bilinear_weights_are_products_of_distances():
    """Sec. 3: w1 = (x1-x)(y1-y) and so on; at ratio 2 a target lies a quarter of a pixel from its source."""
    x = torch.randn(1, 1, 3, 3).double()
    y = build_upsampler("bilinear", 1)(x)
    near, far = 0.75, 0.25
    a, b, c, d = x[0, 0, 0, 0], x[0, 0, 0, 1], x[0, 0, 1, 0], x[0, 0, 1, 1]
    expected = near * near * a + near * far * b + far * near * c + far * far * d
    torch.testing.assert_close(y[0, 0, 1, 1], expected)


def test_max_unpool_puts_values_back():
    operator = build_upsampler("max_unpool", 2)
    feature = torch.randn(1, 2, 4, 6)
    down, indices = operator.downsample(feature)
    back = operator(down, indices)
    assert ((back == feature) | (back == 0)).all()
    assert (back != 0).sum() == down.numel()
