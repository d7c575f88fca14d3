"""Trimaps from alpha, against erosion by brute force."""

import cv2
import numpy as np
import pytest

from a2u.data.sampling.trimaps import TrimapValues, ValueRule, is_unknown, trimap_from_alpha, trimap_from_mask
from a2u.errors import ConfigError, DataError
from a2u.settings import validate


def eroded(mask: np.ndarray, size: int) -> np.ndarray:
    """Return the pixels whose ellipse, as far as it lies in the image, is in the mask."""
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    offsets = np.argwhere(ellipse) - size // 2
    result = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        around = offsets + np.array([y, x])
        inside = around[((around >= 0) & (around < mask.shape)).all(axis=1)]
        result[y, x] = mask[tuple(inside.T)].all()
    return result


@pytest.mark.parametrize("shape", [(23, 31), (1, 40), (40, 1), (1, 1)])
@pytest.mark.parametrize(("fg_size", "bg_size"), [(1, 1), (2, 5), (7, 4), (29, 3)])
def test_against_brute_force(shape, fg_size, bg_size):
    rng = np.random.default_rng(sum(shape) + fg_size)
    coarse = rng.integers(-300, 600, (4, 4)).astype(np.float32)
    alpha = np.clip(cv2.resize(coarse, shape[::-1]), 0, 255).astype(np.uint8)
    expected = np.full(shape, 128)
    expected[eroded(alpha == 255, fg_size)] = 255
    expected[eroded(alpha == 0, bg_size)] = 0
    trimap = trimap_from_alpha(alpha, fg_size, bg_size)
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap, expected)
    unknown = [[is_unknown(alpha, y, x, fg_size, bg_size) for x in range(shape[1])] for y in range(shape[0])]
    np.testing.assert_array_equal(unknown, expected == 128)


def test_the_foreground_size_erodes_the_foreground():
    alpha = np.zeros((5, 100), np.uint8)
    alpha[:, 50:] = 255
    trimap = trimap_from_alpha(alpha, fg_size=21, bg_size=5)
    assert (trimap[2] == 128).sum() == 10 + 2
    assert (trimap[2, :48] == 0).all()
    assert (trimap[2, 60:] == 255).all()


def test_almost_opaque_and_almost_clear_are_unknown():
    np.testing.assert_array_equal(trimap_from_alpha(np.array([[0, 1, 254, 255]], np.uint8), 1, 1), [[0, 128, 128, 255]])


@pytest.mark.parametrize("value", [0, 255])
def test_the_border_of_the_picture_does_not_erode(value):
    alpha = np.full((9, 12), value, np.uint8)
    np.testing.assert_array_equal(trimap_from_alpha(alpha, 29, 29), alpha)


def test_size_below_one():
    with pytest.raises(ValueError, match="diameter 0"):
        trimap_from_alpha(np.zeros((3, 3), np.uint8), 0, 1)


def distances(mask: np.ndarray) -> np.ndarray:
    """Return every pixel's squared distance to the nearest False; larger than any image if there is none."""
    zeros = np.argwhere(~mask)
    pixels = np.indices(mask.shape).reshape(2, -1, 1)
    squares = ((pixels - zeros.T[:, None]) ** 2).sum(axis=0)
    return squares.min(axis=1, initial=2**40).reshape(mask.shape)


@pytest.mark.parametrize("shape", [(29, 37), (1, 40), (40, 1), (1, 1)])
@pytest.mark.parametrize(("erode", "dilate"), [(0, 0), (3, 0), (0, 4), (2, 5), (13, 10), (1000, 1000)])
def test_a_mask_is_known_but_for_a_band_along_its_outline(shape, erode, dilate):
    """Against the distances of all pairs of pixels."""
    coarse = np.random.default_rng(erode).integers(0, 256, (3, 4)).astype(np.float32)
    mask = np.clip(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    mask[0, 0] = 255  # without any foreground a mask is refused
    expected = np.full(mask.shape, 128)
    expected[distances(mask >= 128) > erode**2] = 255
    expected[distances(mask < 128) > dilate**2] = 0
    trimap = trimap_from_mask(mask, erode, dilate)
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap, expected)


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_one_kind_is_known_everywhere(value):
    mask = np.full((9, 12), value, np.uint8)
    np.testing.assert_array_equal(trimap_from_mask(mask, 5, 5), mask)


def test_wide_bands_about_one_pixel_are_discs():
    """To the pixel, in a time that does not grow with their width."""
    mask = np.zeros((901, 1001), np.uint8)
    mask[450, 500] = 255
    y, x = np.indices(mask.shape)
    for dilate in (200, 325, 425):
        inside = (y - 450) ** 2 + (x - 500) ** 2 <= dilate**2
        np.testing.assert_array_equal(trimap_from_mask(mask, 1, dilate), np.where(inside, 128, 0))


def test_the_widths_of_the_band_are_pixels():
    mask = np.zeros((5, 100), np.uint8)
    mask[:, 50:] = 255
    trimap = trimap_from_mask(mask, erode=7, dilate=3)
    np.testing.assert_array_equal(np.flatnonzero(trimap[2] == 128), np.arange(47, 57))


def disc(radius, x, y, value=255):
    rows, columns = np.mgrid[:100, :200]
    return np.where((rows - y) ** 2 + (columns - x) ** 2 <= radius**2, value, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (disc(30, 50, 50, 1), "1"),
        (disc(30, 50, 50, 1) + disc(20, 150, 50, 15), "1, 15"),
        (disc(30, 50, 50, 100), "100"),
        (np.arange(128, dtype=np.uint8).reshape(8, 16), r"1, 2, 3, 4, 5, 6, 7, 8, \.\.\."),
    ],
)
def test_a_mask_of_which_nothing_is_foreground_is_refused(mask, values):
    """Labels, and a faint soft mask; mask_threshold takes them."""
    with pytest.raises(
        DataError, match=rf"m\.png holds the value\(s\) {values}, all below 128.* give mask_threshold=1"
    ):
        trimap_from_mask(mask, 2, 2, what="m.png")
    expected = trimap_from_mask(np.where(mask, 255, 0).astype(np.uint8), 2, 2)
    np.testing.assert_array_equal(trimap_from_mask(mask, 2, 2, threshold=1), expected)


def test_parts_of_a_mask_that_erosion_loses_are_reported_with_place_and_size(caplog):
    mask = disc(30, 50, 50) + disc(4, 110, 20) + disc(6, 130, 60) + disc(8, 170, 80)
    trimap_from_mask(mask, 3, 10)
    assert not caplog.records
    trimap_from_mask(mask, 10, 10, what="m.png")
    assert [record.getMessage() for record in caplog.records] == [
        "m.png: erode=10 leaves no known foreground in 3 of its 4 part(s) (17 x 17 pixels at x=162, y=72; "
        "13 x 13 pixels at x=124, y=54; 9 x 9 pixels at x=106, y=16), which may be lost: erode less."
    ]


def test_a_mask_without_known_foreground_is_reported(caplog):
    trimap_from_mask(disc(8, 50, 50), 10, 10)
    trimap_from_mask(disc(8, 50, 50, 0), 10, 10)
    whole, empty = (record.getMessage() for record in caplog.records)
    assert "no known foreground in 1 of its 1 part(s) (17 x 17 pixels at x=42, y=42)" in whole
    assert empty == "the mask has no foreground."


NEAR = np.uint8([0, 1, 63, 64, 127, 128, 129, 191, 192, 254, 255])[None]


@pytest.mark.parametrize(
    ("values", "rule", "expected"),
    [
        (NEAR, (ValueRule.nearest,), [0, 0, 0, 128, 128, 128, 128, 128, 255, 255, 255]),
        (NEAR, (ValueRule.threshold, 1, 254), [0, 0, *[128] * 7, 255, 255]),
        (np.uint8([[0, 1, 2]]), (ValueRule.nearest,), [0, 128, 255]),
        (np.uint8([[0, 1, 1]]), (ValueRule.nearest,), [0, 128, 128]),
        (np.uint8([[0, 0, 2]]), (ValueRule.nearest,), [0, 0, 255]),
    ],
)
def test_other_values_of_a_trimap_on_request(values, rule, expected, caplog):
    with pytest.raises(DataError, match="a trimap holds 0"):
        TrimapValues().read(values, "t.png")
    assert TrimapValues(*rule).read(values, "t.png").tolist() == [expected]
    changed = sum(one != other for one, other in zip(values[0], expected, strict=True))
    warned = f"t.png: trimap_values={rule[0].name} changed {changed} of {values.size} pixels."
    assert [record.getMessage() for record in caplog.records] == [warned]


def test_a_trimap_as_it_should_be_is_not_changed(caplog):
    values = np.uint8([[0, 128, 255]])
    for rule in (TrimapValues(), TrimapValues(ValueRule.nearest), TrimapValues(ValueRule.threshold, 0, 255)):
        np.testing.assert_array_equal(rule.read(values, "t.png"), values)
    assert not caplog.records


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ((ValueRule.exact, 1, 254), "need trimap_values=threshold"),
        ((ValueRule.nearest, None, 254), "need trimap_values=threshold"),
        ((ValueRule.threshold,), "needs low= below high=.* got None and None"),
        ((ValueRule.threshold, 200, 100), "needs low= below high=.* got 200 and 100"),
        ((ValueRule.threshold, -1, 100), "low must be at least 0"),
    ],
)
def test_thresholds_that_do_not_go_together_are_refused(rule, sentence):
    with pytest.raises(ConfigError, match=sentence):
        validate(TrimapValues(*rule))
