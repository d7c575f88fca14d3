"""Jitter, composition and normalisation of a batch, against slow or independent versions."""

import colorsys

import numpy as np
import pytest
import torch

from a2u.data.sampling.compose_batch import compose_batch, jitter
from a2u.data.sampling.transforms import random_shifts
from a2u.network_input import network_input


def random_crops(count: int = 3, height: int = 12, width: int = 10) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    parts = {
        "foreground": rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8),
        "background": rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8),
        "alpha": np.clip(rng.integers(-200, 400, (count, height, width)), 0, 255).astype(np.uint8),
        "trimap": rng.choice(np.array([0, 128, 255], np.uint8), (count, height, width)),
        "shifts": np.stack([random_shifts(rng) for _ in range(count)]),
    }
    return {key: torch.from_numpy(part) for key, part in parts.items()}


def test_what_a_batch_holds():
    crops = random_crops()
    batch = compose_batch(crops)
    assert {key: tuple(part.shape) for key, part in batch.items()} == {
        "input": (3, 4, 12, 10),
        "alpha": (3, 1, 12, 10),
        "unknown": (3, 1, 12, 10),
        "fg": (3, 3, 12, 10),
        "bg": (3, 3, 12, 10),
        "image": (3, 3, 12, 10),
    }
    assert all(part.dtype == torch.float32 and part.is_contiguous() for part in batch.values())
    np.testing.assert_allclose(batch["alpha"][:, 0], crops["alpha"] / 255, atol=1e-7)
    np.testing.assert_allclose(batch["bg"].permute(0, 2, 3, 1), crops["background"] / 255, atol=1e-7)
    np.testing.assert_array_equal(batch["unknown"][:, 0], crops["trimap"] == 128)
    composed = batch["alpha"] * batch["fg"] + (1 - batch["alpha"]) * batch["bg"]
    torch.testing.assert_close(batch["image"], composed, atol=1e-6, rtol=0)
    for index in range(3):
        image = np.ascontiguousarray(batch["image"][index].permute(1, 2, 0))
        torch.testing.assert_close(batch["input"][index], network_input(image, crops["trimap"][index].numpy()))


def test_noise_is_seen_and_not_asked_for():
    crops = random_crops()
    noise = torch.randn(3, 12, 10, 3) * 100
    still, noisy = compose_batch(crops), compose_batch(crops | {"noise": noise})
    for index in range(3):
        image = still["image"][index].permute(1, 2, 0).numpy()
        expected = np.clip(255 * image + noise[index].numpy(), 0, 255) / 255
        torch.testing.assert_close(
            noisy["input"][index], network_input(expected.astype(np.float32), crops["trimap"][index].numpy())
        )
    for key in ("alpha", "unknown", "fg", "bg", "image"):  # what the loss compares with
        assert torch.equal(noisy[key], still[key])


def test_foregrounds_stay_as_they_are_without_shifts():
    crops = random_crops()
    del crops["shifts"]
    np.testing.assert_allclose(compose_batch(crops)["fg"].permute(0, 2, 3, 1), crops["foreground"] / 255, atol=1e-7)


def test_samples_of_a_batch_do_not_mix():
    crops = random_crops()
    together = compose_batch(crops)
    for index in range(3):
        alone = compose_batch({key: part[index : index + 1] for key, part in crops.items()})
        for key, part in alone.items():
            torch.testing.assert_close(together[key][index], part[0], atol=1e-6, rtol=0)


def test_an_invisible_foreground_shows_nothing():
    crops = random_crops()
    crops["alpha"][1] = 0
    batch = compose_batch(crops)
    torch.testing.assert_close(batch["image"][1], batch["bg"][1], atol=0, rtol=0)
    assert all(part.isfinite().all() for part in batch.values())


def expected_jitter(pixel, degrees: float, saturation: float, value: float):
    hue, s, v = colorsys.rgb_to_hsv(*(float(channel) for channel in pixel))
    reflected = []
    for shifted in (s + saturation, v + value):
        shifted = -shifted if shifted < 0 else shifted
        reflected.append(2 - shifted if shifted > 1 else shifted)
    return colorsys.hsv_to_rgb((hue + degrees / 360) % 1, *reflected)


@pytest.mark.parametrize("share", [-1.0, -0.4, 1.0])  # the lowest draw, one within, the highest
@pytest.mark.parametrize("degrees", [-40, 0, 39])
def test_jitter_against_colorsys(share, degrees):
    rng = np.random.default_rng(0)
    foreground = rng.random((12, 9, 3)).astype(np.float32)
    # Near both ends of saturation and value, where shifts are reflected, and every corner of the colours.
    foreground[0, :6] = [[0, 0, 0], [0.02, 0.01, 0.01], [1, 1, 1], [1, 0, 0], [0, 0.99, 0], [0.5] * 3]
    foreground[1, :6] = [[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 1], [0.2, 0.2, 0.9], [0.9, 0.2, 0.2]]
    visible = rng.random((12, 9)) < 0.6
    tensors = [torch.from_numpy(array.astype(np.float32)) for array in (foreground, visible)]
    shifts = torch.tensor([[degrees, share, -share]])
    jittered = jitter(tensors[0].permute(2, 0, 1)[None], tensors[1][None, None], shifts)

    hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in foreground.reshape(-1, 3)])
    means = hsv[visible.ravel(), 1:].mean(axis=0)
    reaches = (1.1 - means) / 10
    moved = np.array([share, -share]) * reaches
    expected = [expected_jitter(pixel, degrees, *moved) for pixel in foreground.reshape(-1, 3)]
    np.testing.assert_allclose(jittered[0].permute(1, 2, 0).reshape(-1, 3), expected, atol=2e-5)
    assert jittered.min() >= 0
    assert jittered.max() <= 1


def test_hue_shifts_by_whole_degrees_from_minus_40_to_39_the_others_by_shares():
    rng = np.random.default_rng(0)
    drawn = np.stack([random_shifts(rng) for _ in range(2000)])
    assert drawn.dtype == np.float32
    assert set(drawn[:, 0]) == set(range(-40, 40))
    for share in drawn[:, 1:].T:
        assert -1 <= share.min() < -0.99
        assert 0.99 < share.max() <= 1
        assert abs(share.mean()) < 5 / np.sqrt(3 * 2000)  # 5 standard errors
