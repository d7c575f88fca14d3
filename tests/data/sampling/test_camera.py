"""Composites as a camera sees them."""

import numpy as np

from a2u.data.sampling.camera import composed, compressed, demosaiced, photographed, residual
from a2u.data.sampling.trimaps import brushed_trimap


def ramps(size: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    alpha = np.tile(np.linspace(0, 255, size).astype(np.uint8), (size, 1))
    return np.full((size, size, 3), (200, 40, 90), np.uint8), np.full((size, size, 3), (20, 160, 90), np.uint8), alpha


def test_light_adds_up_in_linear_composites_alone() -> None:
    one, other = np.full((2, 2, 3), 30, np.uint8), np.full((2, 2, 3), 40, np.uint8)
    half = np.full((2, 2), 51, np.uint8)  # alpha 1/5
    np.testing.assert_allclose(composed(one, other, half, linear=False), 38)
    np.testing.assert_allclose(composed(one, other, half, linear=True), np.sqrt(0.2 * 900 + 0.8 * 1600), rtol=1e-6)


def test_mosaic_and_jpeg_keep_a_plain_colour() -> None:
    plain = np.full((8, 10, 3), (200, 90, 40), np.uint8)
    assert np.array_equal(demosaiced(plain), plain)
    assert np.abs(compressed(plain, 90).astype(int) - plain).max() <= 3
    noisy = np.random.default_rng(0).integers(0, 256, (8, 10, 3)).astype(np.uint8)
    kept = demosaiced(noisy)
    assert np.array_equal(kept[2:-2:2, 2:-2:2, 0], noisy[2:-2:2, 2:-2:2, 0])  # red where the pattern has red
    assert np.array_equal(kept[3:-2:2, 3:-2:2, 2], noisy[3:-2:2, 3:-2:2, 2])


def test_the_residual_makes_the_composite_the_photograph() -> None:
    layers = ramps()
    for seed in range(5):
        seen = photographed(*layers, np.random.default_rng(seed))
        added = residual(*layers, np.random.default_rng(seed)) + composed(*layers, linear=False)
        assert seen.dtype == np.uint8
        np.testing.assert_allclose(added, seen, atol=1e-3)


def test_a_brushed_trimap_is_right_where_it_is_known() -> None:
    alpha = np.zeros((60, 60), np.uint8)
    alpha[20:40, 20:40] = 255
    alpha[10:50, 44] = 90
    shares = []
    for seed in range(8):
        trimap = brushed_trimap(alpha, 20, np.random.default_rng(seed))
        assert set(np.unique(trimap)) <= {0, 128, 255}
        assert (alpha[trimap == 255] == 255).all()
        assert (alpha[trimap == 0] == 0).all()
        assert (trimap[alpha == 90] == 128).all()
        shares.append(float((trimap == 128).mean()))
    assert max(shares) > 1.5 * min(shares)  # narrow and wide
