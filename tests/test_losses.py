"""The loss against the released training program and its formula."""

import numpy as np
import pytest
import torch

from a2u.losses import matting_loss


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
