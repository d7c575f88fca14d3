"""Coverage against areas computed in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2u.data.synthetic.raster import area, coverage, hole, mask, solid, strips
from a2u.data.synthetic.shapes import disc

SIZE = 40


def half_plane(offset: float, slope: float) -> np.ndarray:
    """Polygon of all points with x < offset + slope * y."""
    corners = [[-900, -10], [offset - 10 * slope, -10], [offset + 60 * slope, 60], [-900, 60]]
    return solid(np.array(corners))


def half_plane_area(offset: float, slope: float, lines: int = 2000) -> np.ndarray:
    """Exact overlap of the half plane with each pixel's row at 2,000 heights, averaged."""
    y = (np.arange(SIZE * lines) + 0.5) / lines
    overlap = np.clip((offset + slope * y)[:, None] - np.arange(SIZE), 0, 1)
    return overlap.reshape(SIZE, lines, SIZE).mean(axis=1)


@pytest.mark.parametrize(("offset", "slope"), [(7.3, 0.37), (20.1, -0.9), (5.77, 0.0), (-20, 3.3)])
def test_half_plane(offset: float, slope: float) -> None:
    found, expected = coverage([half_plane(offset, slope)], SIZE), half_plane_area(offset, slope)
    edge = (expected > 0) & (expected < 1)
    assert edge.any()
    assert np.abs(found - expected).mean() < 0.1 / 255
    assert np.abs(found - expected).max() < 1 / 32
    assert abs((found - expected)[edge].mean()) < 0.001  # neither thicker nor thinner
    np.testing.assert_array_equal(found[~edge], expected[~edge])


@pytest.mark.parametrize("radius", [0.4, 1.0, 5.3, 14.2])
def test_disc(radius: float) -> None:
    found = coverage([disc(np.array([20.3, 19.1]), radius, 2000)], SIZE)
    assert abs(found.sum() - np.pi * radius**2) / SIZE**2 < 0.05 / 255


@settings(deadline=None, max_examples=25)
@given(width=st.floats(0.1, 3), angle=st.floats(0, 2 * np.pi), length=st.floats(15, 30))
def test_thin_strip_keeps_its_area_on_average_over_places(width: float, angle: float, length: float) -> None:
    along = np.array([np.cos(angle), np.sin(angle)])
    path = SIZE / 2 + np.linspace(-0.5, 0.5, 9)[:, None] * length * along
    # Evenly over one sample spacing in both directions (a lattice): of places along a line few meet the samples.
    places = np.arange(64)[:, None] * [1 / 64, 27 / 64] % 1 / 8
    areas = [coverage([strips(path[None] + place, width)], SIZE).sum() for place in places]
    assert np.mean(areas) == pytest.approx(width * length, rel=0.03)
    assert np.ptp(areas) <= length / 8 + 1  # a level edge lies wrong by half a sample at most


def test_more_samples_are_closer() -> None:
    plane, expected = half_plane(7.3, 0.37), half_plane_area(7.3, 0.37)
    errors = [np.abs(coverage([plane], SIZE, samples) - expected).mean() for samples in (2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True)


def test_overlapping_polygons_unite() -> None:
    one, other = half_plane(20, 0.5), disc(np.array([22.0, 12.0]), 9)
    both = mask([one, other, other], SIZE)
    np.testing.assert_array_equal(both, mask([one], SIZE) | mask([other], SIZE))


def test_crossing_strips_unite() -> None:
    paths = np.array([[[5, 5], [20, 22], [35, 35]], [[35, 5], [21, 20], [5, 35]]], dtype=float)
    bands = strips(paths, 2.5)
    separate = mask([bands[:1]], SIZE) | mask([bands[1:]], SIZE)
    np.testing.assert_array_equal(mask([bands], SIZE), separate)


def test_hole_is_cut_whatever_the_order_of_its_corners() -> None:
    outer, inner = disc(np.array([20.0, 20.0]), 15), disc(np.array([22.0, 18.0]), 5)
    expected = mask([outer], SIZE) & ~mask([inner], SIZE)
    for corners in (inner, inner[::-1]):
        np.testing.assert_array_equal(mask([outer[::-1][::-1], hole(corners)], SIZE), expected)


def test_outside_is_cut_off() -> None:
    everything = solid(np.array([[-100.0, -100], [-100, 100], [100, 100], [100, -100]]))
    np.testing.assert_array_equal(coverage([everything], SIZE), 1)
    np.testing.assert_array_equal(coverage([everything + 1000], SIZE), 0)


def test_area_averages_samples() -> None:
    inside = np.zeros((4, 4), dtype=bool)
    inside[0, :3] = inside[3, 3] = True
    np.testing.assert_array_equal(area(inside, 2), np.array([[0.5, 0.25], [0, 0.25]], dtype=np.float32))
