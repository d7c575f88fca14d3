"""The loss against the released training program and its formula."""

import numpy as np
import pytest
import torch

from a2u.losses import adaptation_loss, gradient_loss, laplacian_loss, laplacian_pyramid, matting_loss


def test_equals_the_released_program(reference):
    data = np.load(reference / "loss" / "loss.npz")
    tensors = {name: torch.from_numpy(data[name]) for name in data.files if name != "loss"}
    assert abs(float(matting_loss(**tensors)) - float(data["loss"])) < 1e-9


def tensors(n=2, size=5, unknown=1.0):
    generator = torch.Generator().manual_seed(0)
    maps = {name: torch.rand(n, 1, size, size, generator=generator).double() for name in ("pred", "alpha")}
    colours = {name: torch.rand(n, 3, size, size, generator=generator).double() for name in ("fg", "bg", "image")}
    return maps | colours | {"unknown": torch.full((n, 1, size, size), unknown).double()}


def test_equals_a_loop_over_pixels():
    given = tensors()
    given["unknown"][0, 0, :2] = 0
    total = 0.0
    for b in range(2):
        alpha_sum = composition_sum = 0.0
        for i, j in np.ndindex(5, 5):
            p, a, u = (float(given[name][b, 0, i, j]) for name in ("pred", "alpha", "unknown"))
            alpha_sum += ((u * (p - a)) ** 2 + 1e-12) ** 0.5
            for c in range(3):
                fg, bg, image = (float(given[name][b, c, i, j]) for name in ("fg", "bg", "image"))
                composition_sum += ((u * (p * fg + (1 - p) * bg - image)) ** 2 + 1e-12) ** 0.5
        total += 0.5 * (alpha_sum + composition_sum) / (float(given["unknown"][b].sum()) + 1)
    assert float(matting_loss(**given)) == pytest.approx(total / 2, rel=1e-12)


def test_without_unknown_pixels_the_loss_is_almost_zero_and_not_nan():
    given = tensors(unknown=0.0)
    given["pred"].requires_grad_()
    loss = matting_loss(**given)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(25 * 0.5 * 4e-6)  # one alpha and three colours a pixel, 1e-6 each
    assert torch.equal(given["pred"].grad, torch.zeros_like(given["pred"]))


def test_gradient():
    given = tensors(n=1, size=3)
    pred = given.pop("pred").requires_grad_()
    assert torch.autograd.gradcheck(lambda p: matting_loss(p, **given), (pred,))


def test_shapes_that_do_not_match_are_named():
    given = tensors()
    given["alpha"] = given["alpha"][:, :, :4]
    with pytest.raises(ValueError, match=r"alpha \(2, 1, 4, 5\)"):
        matting_loss(**given)


def slow_pyramid(image, levels=5):
    """By sums over pixels, of a matrix."""
    weights = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]
    bands = []
    for _ in range(levels - 1):
        height, width = image.shape
        half = np.zeros(((height + 1) // 2, (width + 1) // 2))
        for i, j in np.ndindex(half.shape):
            for a, b in np.ndindex(5, 5):
                row, column = np.clip(2 * i + a - 2, 0, height - 1), np.clip(2 * j + b - 2, 0, width - 1)
                half[i, j] += weights[a] * weights[b] * image[row, column]
        large = np.zeros(image.shape)
        for i, j in np.ndindex(image.shape):
            for a, b in np.ndindex(5, 5):
                if (i + a) % 2 == 0 and (j + b) % 2 == 0:  # zeros stand between the pixels of the half
                    row, column = (i + a - 2) // 2, (j + b - 2) // 2
                    row, column = np.clip(row, 0, half.shape[0] - 1), np.clip(column, 0, half.shape[1] - 1)
                    large[i, j] += 4 * weights[a] * weights[b] * half[row, column]
        bands.append(image - large)
        image = half
    return [*bands, image]


@pytest.mark.parametrize("size", [(16, 16), (9, 14), (1, 3), (21, 32)])
def test_laplacian_pyramid_equals_sums_over_pixels(size):
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for band, expected in zip(laplacian_pyramid(image), slow_pyramid(image[0, 0].numpy()), strict=True):
        np.testing.assert_allclose(band[0, 0].numpy(), expected, atol=1e-12)


def test_laplacian_pyramid_of_a_constant_is_empty_but_for_the_rest():
    *bands, rest = laplacian_pyramid(torch.full((1, 1, 37, 50), 0.7, dtype=torch.float64))
    assert all(band.abs().max() < 1e-12 for band in bands)
    assert (rest - 0.7).abs().max() < 1e-12


def test_laplacian_loss_equals_a_loop():
    given = tensors(size=19)
    pred, alpha, unknown = (given[name] for name in ("pred", "alpha", "unknown"))
    unknown[0, 0, :7] = 0
    total = 0.0
    for b in range(2):
        # Known pixels of the prediction are those of the truth.
        pasted = torch.where(unknown[b, 0] == 1, pred[b, 0], alpha[b, 0])
        pairs = zip(slow_pyramid(pasted.numpy()), slow_pyramid(alpha[b, 0].numpy()), strict=True)
        distance = sum(2**i * np.abs(ours - true).sum() for i, (ours, true) in enumerate(pairs))
        total += distance / (float(unknown[b].sum()) + 1)
    assert float(laplacian_loss(pred, alpha, unknown)) == pytest.approx(total / 2, rel=1e-10)
    assert float(laplacian_loss(alpha, alpha, unknown)) == 0


def test_shapes_that_do_not_fit_the_laplacian_loss_are_named():
    given = tensors()
    with pytest.raises(ValueError, match=r"laplacian_loss .* alpha \(2, 1, 4, 5\)"):
        laplacian_loss(given["pred"], given["alpha"][:, :, :4], given["unknown"])


def test_gradient_loss_of_a_step():
    alpha = torch.zeros(1, 1, 4, 6)
    step = alpha.clone()
    step[..., 3:] = 0.5  # differs from alpha across one line of 4 pixels
    unknown = torch.ones_like(alpha)
    assert float(gradient_loss(step, alpha, unknown)) == pytest.approx(4 * 0.5 / 25)
    assert float(gradient_loss(step, step + 0.25, unknown)) == 0
    unknown[..., 3:] = 0  # known pixels count as right
    assert float(gradient_loss(step, alpha, unknown)) == 0


def adaptation(n=2, size=4):
    given = tensors(n, size)
    alpha = (3 * given["alpha"] - 1).clamp(0, 1)  # has zeros and ones
    trimap = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1)).double()
    return {
        "pred": given["pred"],
        "trimap": trimap,
        "log_deviations": torch.tensor([0.3, -0.7]).double(),
        "alpha": alpha,
    }


def test_adaptation_loss_equals_a_loop():
    given = adaptation()
    trimap_loss = alpha_loss = 0.0
    seen = set()
    for b in range(2):
        distance = count = 0
        for i, j in np.ndindex(4, 4):
            alpha, logits = float(given["alpha"][b, 0, i, j]), given["trimap"][b, :, i, j].numpy()
            kind = 0 if alpha == 0 else 2 if alpha == 1 else 1
            seen.add(kind)
            trimap_loss += (np.log(np.exp(logits).sum()) - logits[kind]) / 32
            if logits.argmax() == 1:
                distance, count = distance + abs(float(given["pred"][b, 0, i, j]) - alpha), count + 1
        alpha_loss += distance / (count + 1) / 2
    assert seen == {0, 1, 2}
    s, t = np.exp(0.3), np.exp(-0.7)
    expected = trimap_loss / (2 * s**2) + alpha_loss / t + np.log(2 * s * t)
    assert float(adaptation_loss(**given)) == pytest.approx(expected, rel=1e-6)


def test_shapes_that_do_not_fit_the_adaptation_loss_are_named():
    given = adaptation()
    with pytest.raises(ValueError, match=r"adaptation_loss .* trimap with 3 channels; got .* trimap \(2, 2, 4, 4\)"):
        adaptation_loss(**given | {"trimap": given["trimap"][:, :2]})
