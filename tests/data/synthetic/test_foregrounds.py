"""Families of foregrounds: exact alpha, colours defined everywhere, fine structure."""

import numpy as np
import pytest
from scipy import ndimage

from a2u.data.synthetic.foregrounds import FAMILIES
from a2u.data.synthetic.foregrounds.blurred import filtered
from a2u.data.synthetic.textures import background_palette, foreground_palette

SHARP = ("hair", "net", "leaf", "fur", "lace", "feather")


def drawn(family: str, size: int = 96, seed: int = 3, samples: int = 8) -> tuple[np.ndarray, np.ndarray]:
    return FAMILIES[family](np.random.default_rng(seed), size, samples)


@pytest.mark.parametrize("family", FAMILIES)
def test_alpha_agrees_with_sixteen_times_as_many_samples(family: str) -> None:
    coarse, fine = drawn(family)[1], drawn(family, samples=32)[1]
    edge = (fine > 0) & (fine < 1)
    assert np.abs(coarse - fine).mean() < 1.5 / 255
    assert np.abs(coarse - fine)[edge].mean() < 0.02
    assert abs((coarse - fine).mean()) < 0.1 / 255  # no bias: strands are not thickened


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [32, 33, 97])
def test_any_size(family: str, size: int) -> None:
    colours, alpha = drawn(family, size)
    assert colours.shape == (size, size, 3)
    assert alpha.shape == (size, size)
    assert np.isfinite(colours).all()
    assert colours.min() >= 0
    assert colours.max() <= 255.01
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha.max() > 0.3


@pytest.mark.parametrize("family", SHARP)
def test_colours_run_on_where_alpha_is_small(family: str) -> None:
    for seed in range(3):
        colours, alpha = drawn(family, 128, seed)
        brightness, body = colours.max(axis=2), (alpha > 0.5).astype(np.float64)
        near = ndimage.uniform_filter(body, 7)
        expected = ndimage.uniform_filter(body * brightness, 7) / np.maximum(near, 1e-9)
        for rim in ((alpha > 0) & (alpha < 0.2), alpha == 0):
            ratio = (brightness / np.maximum(expected, 1))[rim & (near > 0.02)]
            assert len(ratio) > 50
            assert np.median(ratio) > 0.75  # no dark fringe
            assert np.quantile(ratio, 0.02) > 0.3


@pytest.mark.parametrize("family", SHARP)
def test_sharp_families_have_known_regions_and_fine_structure(family: str) -> None:
    for seed in range(3):
        alpha = np.rint(255 * drawn(family, 160, seed)[1])
        assert (alpha == 255).mean() > 0.04
        assert (alpha == 0).mean() > 0.1
        assert (alpha == 0).mean() + (alpha == 255).mean() > 0.5
        between = alpha[(alpha > 0) & (alpha < 255)]
        assert between.size > 0.02 * alpha.size
        levels = np.histogram(between, bins=8, range=(0, 256))[0] / between.size
        assert levels.min() > 0.02  # values of every size


@pytest.mark.parametrize("family", ["smoke", "glass"])
def test_translucent_families_are_half_transparent_over_large_regions(family: str) -> None:
    for seed in range(3):
        alpha = drawn(family, 160, seed)[1]
        assert ((alpha > 0.05) & (alpha < 0.95)).mean() > 0.1


def test_blur_is_the_mean_of_composites_of_the_moving_layer() -> None:
    rng = np.random.default_rng(1)
    colours = rng.uniform(90, 200, (40, 40, 3)).astype(np.float32)
    alpha = rng.uniform(0, 1, (40, 40)).astype(np.float32) * (rng.random((40, 40)) < 0.6)
    still = rng.uniform(0, 255, (40, 40, 3))
    kernel = rng.random((5, 7)).astype(np.float32)
    kernel /= kernel.sum()
    expected = np.zeros((40, 40, 3))
    for (row, column), weight in np.ndenumerate(kernel):
        moved = [np.roll(a, (2 - row, 3 - column), axis=(0, 1)).astype(np.float64) for a in (colours, alpha)]
        expected += weight * (moved[1][..., None] * moved[0] + (1 - moved[1][..., None]) * still)
    blurred, share = filtered(colours, alpha, kernel)
    found = share[..., None] * blurred + (1 - share[..., None]) * still
    np.testing.assert_allclose(found[4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-3)
    assert blurred.min() > 89.9  # no dark fringe, no light one
    assert blurred.max() < 200.1


def test_palettes_differ_on_average_and_overlap() -> None:
    rng = np.random.default_rng(0)
    fore = np.array([foreground_palette(rng).mean(axis=0) for _ in range(400)])
    back = np.array([background_palette(rng).mean(axis=0) for _ in range(400)])
    warmth = [(p[:, 0] - p[:, 2]) / p.max(axis=1) for p in (fore, back)]
    correct = np.mean(warmth[0][:, None] > warmth[1])  # how well one threshold on red against blue parts them
    assert 0.6 < correct < 0.9
