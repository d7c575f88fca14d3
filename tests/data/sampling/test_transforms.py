"""Each step of a training sample against a slow or independent implementation."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from a2u.data.sampling.affine import after, flip_map, inverse, random_affine, resize_map
from a2u.data.sampling.compose_batch import compose_batch
from a2u.data.sampling.crops import background_crop, crop_corner, crop_source_size, random_crop, resize_nearest
from a2u.data.sampling.lazy_layer import Placed, View, Window, combine, combined_alpha, look_up, opaque_together
from a2u.data.sampling.settings import SampleConfig
from a2u.data.sampling.transforms import make_sample
from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.sources.adobe import AdobeConfig
from a2u.data.types import Layer
from a2u.errors import DataError

SMALL = SampleConfig(crop=64, resize_to=80, trimap_max=9, rotation_min_side=128)
# Nothing happens but the flips.
PLAIN = SampleConfig(
    crop=64,
    resize_probability=0,
    rotation=0,
    scale_min=1,
    scale_max=1,
    shear=0,
    trimap_max=1,
    jitter=False,
)


def random_layer(rng: np.random.Generator, height: int, width: int) -> Layer:
    """Return random colours and a blotchy alpha with opaque, transparent and soft parts."""
    coarse = rng.integers(-300, 600, (5, 5)).astype(np.float32)
    alpha = np.clip(cv2.resize(coarse, (width, height)), 0, 255).astype(np.uint8)
    return Layer("noise", rng.integers(0, 256, (height, width, 3), dtype=np.uint8), alpha)


# Combining two foregrounds


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (37, 20)])
def test_combination_follows_the_formula(size):
    rng = np.random.default_rng(size[1])
    first, second = random_layer(rng, *size), random_layer(rng, *size)
    foreground, alpha = combine(first.foreground, first.alpha, second.foreground, second.alpha)

    a1, a2 = first.alpha / 255, second.alpha / 255
    expected_alpha = 1 - (1 - a1) * (1 - a2)
    weighted = first.foreground * a1[..., None] + second.foreground.astype(float) * ((1 - a1) * a2)[..., None]
    expected = weighted / (expected_alpha + 1e-5)[..., None]
    assert foreground.dtype == alpha.dtype == np.uint8
    assert np.abs(alpha - 255 * expected_alpha).max() <= 0.5 + 1e-3  # rounded, not cut
    assert np.abs(foreground - expected).max() <= 0.5 + 1e-3


def test_combined_alpha_of_every_pair():
    first, second = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2)
    expected = 255 * (1 - (1 - first / 255) * (1 - second / 255))
    np.testing.assert_array_equal(combined_alpha(first, second), np.rint(expected))


@pytest.mark.parametrize("size", [(20, 30), (300, 7)])
@pytest.mark.parametrize("second_size", [(20, 30), (150, 150), (1, 1)])
@pytest.mark.parametrize("value", [254, 255])
def test_opaque_together_against_all_pixels(size, second_size, value):
    rng = np.random.default_rng(0)
    for _ in range(20):
        alpha, second = (np.full(shape, 255, np.uint8) for shape in (size, second_size))
        alpha[rng.integers(size[0]), rng.integers(size[1])] = 100
        second[rng.integers(second_size[0]), rng.integers(second_size[1])] = value
        expected = combined_alpha(alpha, resize_nearest(second, *size)).min() == 255
        assert opaque_together(alpha, second) == expected


def test_combination_that_is_opaque_everywhere_is_dropped():
    rng = np.random.default_rng(0)
    first, second = random_layer(rng, 128, 128), random_layer(rng, 128, 128)
    second.alpha[:] = 255
    alone, both = (
        make_sample(first, other, first.foreground, np.random.default_rng(0), SMALL) for other in (None, second)
    )
    np.testing.assert_array_equal(both.foreground, alone.foreground)
    np.testing.assert_array_equal(both.alpha, alone.alpha)


# Maps of pixel coordinates


def test_each_pixel_of_a_window_comes_from_where_the_map_says():
    height, width = 90, 120
    source = np.zeros((height, width, 3), np.uint8)
    source[..., 0], source[..., 1] = np.arange(width), np.arange(height)[:, None]
    source[..., 2] = 255  # marks pixels from within
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = random_affine(height, width, rng, replace(SMALL, rotation_min_side=0))
        window = Window(int(rng.integers(50)), int(rng.integers(50)), 40, 70)
        warped = look_up(source, inverse(matrix), window)
        back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
        y, x = np.mgrid[:height, :width][:, *window.slices]
        from_x, from_y, _ = np.tensordot(back, np.stack([x, y, np.ones_like(x)]), axes=1)
        within = warped[..., 2] == 255
        nearest = 0.5 + 2e-3  # OpenCV's coordinates are fixed-point
        assert np.abs(warped[..., 0] - from_x)[within].max() <= nearest
        assert np.abs(warped[..., 1] - from_y)[within].max() <= nearest
        outside = (
            np.maximum(np.abs(from_x - (width - 1) / 2) - (width - 1) / 2, 0)
            + np.maximum(np.abs(from_y - (height - 1) / 2) - (height - 1) / 2, 0)
        )  # fmt: skip
        assert (warped[outside > 1.01] == 0).all()
        assert within[outside == 0].all()


def test_colours_and_alpha_move_together():
    rng = np.random.default_rng(0)
    alpha = random_layer(rng, 61, 47).alpha
    origin = inverse(random_affine(61, 47, rng, replace(SMALL, rotation_min_side=0)))
    window = Window(3, 5, 41, 52)
    colours = np.dstack([alpha] * 3)
    np.testing.assert_array_equal(look_up(colours, origin, window)[..., 1], look_up(alpha, origin, window))


@pytest.mark.parametrize("old", [(37, 20), (1, 1), (640, 481)])
@pytest.mark.parametrize("new", [(37, 20), (1, 9), (80, 80), (11, 53)])
def test_map_of_resizing_leads_where_opencv_does(old, new):
    pixels = np.arange(old[0] * old[1]).reshape(old).astype(np.uint16)
    found = look_up(pixels, resize_map(old, new), Window(0, 0, *new))
    np.testing.assert_array_equal(found, resize_nearest(pixels, *new))


def test_map_of_a_mirror():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 6), dtype=np.uint8)
    np.testing.assert_array_equal(look_up(pixels, flip_map(6), Window(0, 0, 7, 6)), pixels[:, ::-1])


def test_maps_one_after_the_other():
    rng = np.random.default_rng(0)
    first, second = (random_affine(30, 40, rng, SMALL) for _ in range(2))
    point = np.array([3.0, 8.0, 1.0])
    np.testing.assert_allclose(after(second, first) @ point, second @ [*(first @ point), 1])
    np.testing.assert_allclose(after(inverse(first), first), np.eye(2, 3), atol=1e-9)


@pytest.mark.parametrize(("longer_side", "reach"), [(1023, 0), (1024, 30)])
def test_flips_scales_and_rotation(longer_side, reach):
    rng = np.random.default_rng(1)
    angles, scales, flips = [], [], []
    for _ in range(2000):
        matrix = random_affine(longer_side, 300, rng, SampleConfig(shear=0))
        centre = np.array([149.5, (longer_side - 1) / 2])
        np.testing.assert_allclose(matrix @ [*centre, 1], centre, atol=1e-9)
        (a, b), (c, d) = matrix[:, :2]
        assert abs(a * b + c * d) < 1e-9  # the axes stay perpendicular
        angles.append(math.degrees(math.atan(c / a)))
        scales += [math.hypot(a, c), math.hypot(b, d)]
        flips.append((a > 0, d > 0))
    assert np.abs(angles).max() <= reach + 1e-9
    assert np.ptp(angles) >= 1.95 * reach
    assert 0.8 - 1e-9 <= min(scales) < 0.805
    assert 1.245 < max(scales) <= 1.25 + 1e-9
    shares = [flips.count((x, y)) / 2000 for x in (True, False) for y in (True, False)]
    np.testing.assert_allclose(shares, 0.25, atol=0.05)  # 5 standard deviations


def test_shear():
    rng = np.random.default_rng(1)
    shears = []
    for _ in range(2000):
        (a, b), (c, d) = random_affine(300, 200, rng, SampleConfig(scale_min=1, scale_max=1))[:, :2]
        assert c == 0  # without rotation lines along x stay so
        assert abs(d) == 1
        assert math.hypot(a, b) == pytest.approx(1)
        shears.append(math.degrees(math.atan(-b / d / abs(a))))
    assert 9.9 < max(shears) <= 10 + 1e-9
    assert -10 - 1e-9 <= min(shears) < -9.9


def test_shear_and_rotation_together():
    """The map is a rotation followed by a shear, up to one scale."""
    cfg = SampleConfig(scale_min=1, scale_max=1, rotation_min_side=0)
    for seed in range(50):
        linear = random_affine(300, 200, np.random.default_rng(seed), cfg)[:, :2]
        (a, b), (c, d) = linear * np.sign(np.diag(linear))  # flips undone
        rotation = math.atan2(c, d)
        shear = math.atan2(-b, a) - rotation
        assert abs(math.degrees(rotation)) <= 30
        assert abs(math.degrees(shear)) <= 10
        assert a * d - b * c == pytest.approx(math.cos(shear))


# The crop


def test_crop_centre_is_unknown_and_each_candidate_is_drawn_alike():
    trimap = np.zeros((100, 90), np.uint8)
    trimap[:, :31] = trimap[:32] = trimap[69:] = trimap[:, 59:] = 128  # too near to a border
    candidates = [(32, 32), (67, 57), *((50, x) for x in range(40, 48))]
    trimap[32:68, 32:58] = 0
    for candidate in candidates:
        trimap[candidate] = 128
    rng = np.random.default_rng(0)
    drawn = [crop_corner(trimap, 64, rng) for _ in range(2000)]
    centres = [(top + 32, left + 32) for top, left in drawn]
    assert set(centres) == set(candidates)
    counts = [centres.count(candidate) for candidate in candidates]
    assert min(counts) > 130  # 200 expected, standard deviation 13
    assert all(0 <= top <= 36 and 0 <= left <= 26 for top, left in drawn)


def test_with_nine_candidates_the_crop_lies_anywhere():
    trimap = np.zeros((68, 67), np.uint8)
    trimap[32:35, 32:35] = 128
    rng = np.random.default_rng(0)
    drawn = {crop_corner(trimap, 64, rng) for _ in range(1000)}
    assert drawn == {(top, left) for top in range(5) for left in range(4)}


def test_crop_of_its_own_size_has_one_place():
    trimap = np.full((64, 64), 128, np.uint8)
    assert crop_corner(trimap, 64, np.random.default_rng(0)) == (0, 0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((65, 200), (65, 200)),
        ((64, 200), (70, 220)),
        ((200, 64), (220, 70)),
        ((1, 2), (70, 141)),
        ((64, 64), (70, 70)),
    ],
)
def test_small_pictures_are_enlarged_in_proportion(size, expected):
    trimap = np.zeros(size, np.uint8)
    trimap[-1, -1] = 128
    assert crop_source_size(trimap, 64) == expected


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (300, 200)])
@pytest.mark.parametrize("value", [0, 255])
def test_picture_without_unknown_pixels_is_resized_to_the_crop(size, value):
    assert crop_source_size(np.full(size, value, np.uint8), 64) == (64, 64)


def still(alpha: np.ndarray) -> View:
    """Return an image of one grey layer that is not transformed."""
    layer = Layer("still", np.dstack([alpha] * 3), alpha)
    return View(*alpha.shape, Placed(layer, np.eye(2, 3)))


@pytest.mark.parametrize("size", [(300, 260), (80, 75)])  # tried by chance; listed
def test_crop_made_alone_is_that_of_the_whole_picture(size):
    rng = np.random.default_rng(0)
    view = still(random_layer(rng, *size).alpha)
    for _ in range(30):
        sizes = tuple(rng.integers(1, 12, size=2).tolist())
        crop = random_crop(view, sizes, 64, rng)
        there = crop.window.slices
        assert crop.size == size
        np.testing.assert_array_equal(crop.alpha, view.first.layer.alpha[there])
        np.testing.assert_array_equal(crop.foreground, view.first.layer.foreground[there])
        np.testing.assert_array_equal(crop.trimap, trimap_from_alpha(view.first.layer.alpha, *sizes)[there])
        assert crop.trimap[32, 32] == 128


@pytest.mark.parametrize("unknown", [12, 2000])  # hardly ever found by chance; as a rule
def test_crops_made_alone_lie_about_each_unknown_pixel_alike(unknown):
    alpha = np.zeros((300, 300), np.uint8)
    rng = np.random.default_rng(0)
    alpha[:, :32] = 100  # too near to the border
    rows, columns = np.divmod(rng.choice(200 * 200, unknown, replace=False), 200)
    rows, columns = rows + 40, columns + 40
    alpha[rows, columns] = 100
    draws = [random_crop(still(alpha), (1, 1), 64, rng).window for _ in range(600)]
    centres = np.array([(top + 32, left + 32) for top, left, *_ in draws])
    assert (alpha[tuple(centres.T)] == 100).all()
    if unknown == 12:
        counts = np.unique(centres, axis=0, return_counts=True)[1]
        assert len(counts) == 12
        assert counts.min() > 20  # 50 expected, standard deviation 7
    expected = np.array([rows.mean(), columns.mean()])
    errors = np.array([rows.std(), columns.std()]) / np.sqrt(600)
    assert (np.abs(centres.mean(axis=0) - expected) < 4.5 * errors).all()


def test_with_nine_unknown_pixels_crops_made_alone_lie_anywhere():
    alpha = np.zeros((300, 300), np.uint8)
    alpha[150:153, 150:153] = 100
    rng = np.random.default_rng(0)
    corners = np.array([random_crop(still(alpha), (1, 1), 64, rng).window[:2] for _ in range(200)])
    assert np.abs(corners.mean(axis=0) - 118).max() < 4.5 * 68.4 / np.sqrt(200)
    assert (np.ptp(corners, axis=0) > 220).all()


def test_a_large_picture_without_unknown_pixels_is_squeezed():
    alpha = np.zeros((300, 200), np.uint8)
    alpha[:, 100:] = 255
    crop = random_crop(still(alpha), (1, 1), 64, np.random.default_rng(0))
    assert crop.size == (64, 64)
    np.testing.assert_array_equal(crop.alpha, resize_nearest(alpha, 64, 64))


# The background


@pytest.mark.parametrize("old", [(20, 33), (50, 20), (1, 1), (33, 47)])
def test_background_is_enlarged_to_cover(old):
    """Against PyTorch's bicubic interpolation, which has the same kernel."""
    background = np.random.default_rng(0).integers(0, 256, (*old, 3), dtype=np.uint8)
    covering = background_crop(background, (60, 48), Window(0, 0, 60, 48))
    factor = max(60 / old[0], 48 / old[1])
    assert covering.shape == (60, 48, 3)
    size = [math.ceil(side * factor - 1e-9) for side in old]
    planes = torch.from_numpy(background).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(planes, size=size, mode="bicubic", align_corners=False)
    difference = expected[0].permute(1, 2, 0).clamp(0, 255).numpy()[:60, :48] - covering
    assert np.abs(difference).max() < 1.01


def test_part_of_an_enlarged_background_lies_off_by_less_than_a_pixel():
    rows, columns = np.arange(30), np.arange(50)
    background = np.zeros((30, 50, 3), np.uint8)
    background[..., 0], background[..., 1] = 5 * columns, 8 * rows[:, None]
    size = 217, 300
    whole = cv2.resize(background, (362, 217), interpolation=cv2.INTER_CUBIC)
    steepest = np.array([5 * 50 / 362, 8 * 30 / 217, 0]) + 1.5  # values a pixel, and roundings
    rng = np.random.default_rng(0)
    for _ in range(100):
        window = Window(int(rng.integers(217 - 64 + 1)), int(rng.integers(300 - 64 + 1)), 64, 64)
        part = background_crop(background, size, window)
        assert part.shape == (64, 64, 3)
        difference = np.abs(part.astype(int) - whole[window.slices])
        # Cubic interpolation overshoots a little at the rim.
        assert (difference <= 1.4 * steepest).all()


@pytest.mark.parametrize("size", [(60, 48), (61, 48), (600, 480)])
def test_background_that_covers_is_left_alone(size):
    background = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    window = Window(5, 7, 50, 40)
    np.testing.assert_array_equal(background_crop(background, (60, 48), window), background[5:55, 7:47])


# Whole samples


def finished(sample) -> dict[str, np.ndarray]:
    """Compose one sample: colours (crop, crop, 3), maps (crop, crop)."""
    crops = {key: torch.from_numpy(part)[None] for key, part in sample.parts().items()}
    return {key: part[0].permute(1, 2, 0).squeeze(-1).numpy() for key, part in compose_batch(crops).items()}


def assert_is_sample(sample, crop: int) -> None:
    assert sample.foreground.shape == sample.background.shape == (crop, crop, 3)
    assert sample.alpha.shape == sample.trimap.shape == (crop, crop)
    assert {part.dtype.name for part in sample[:4]} == {"uint8"}
    assert set(np.unique(sample.trimap)) <= {0, 128, 255}
    # What the trimap calls known is so in alpha: the two are aligned.
    assert (sample.alpha[sample.trimap == 255] == 255).all()
    assert (sample.alpha[sample.trimap == 0] == 0).all()
    parts = finished(sample)
    for colours in (parts["image"], parts["fg"], parts["bg"]):
        assert colours.dtype == np.float32
        assert colours.min() >= 0
        assert colours.max() <= 1 + 1e-6


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("background", [(1, 1), (40, 300), (300, 300)])
@pytest.mark.parametrize("size", [(160, 160), (65, 65), (64, 64), (50, 200), (1, 30), (30, 1), (1, 1), (141, 77)])
def test_samples_of_any_size(size, background, second):
    rng = np.random.default_rng(0)
    layer = random_layer(rng, *size)
    other = random_layer(rng, 33, 71) if second else None
    picture = rng.integers(0, 256, (*background, 3), dtype=np.uint8)
    for seed in range(3):
        sample = make_sample(layer, other, picture, np.random.default_rng(seed), SMALL)
        assert_is_sample(sample, 64)


@pytest.mark.parametrize("size", [(1, 1), (40, 100), (160, 160)])
@pytest.mark.parametrize("value", [0, 255])
def test_layers_that_are_clear_or_opaque_everywhere(size, value):
    rng = np.random.default_rng(0)
    layer = random_layer(rng, *size)
    layer.alpha[:] = value
    background = rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    for seed in range(5):
        sample = make_sample(layer, None, background, np.random.default_rng(seed), SMALL)
        assert_is_sample(sample, 64)
        if value == 0:
            assert (sample.trimap == 0).all()
            parts = finished(sample)
            np.testing.assert_array_equal(parts["image"], parts["bg"])
    sample = make_sample(layer, None, background, np.random.default_rng(0), PLAIN)
    assert (sample.trimap == value).all()
    assert (sample.alpha == value).all()


def test_crop_of_a_sample_is_centred_on_an_unknown_pixel():
    rng = np.random.default_rng(0)
    layer = random_layer(rng, 200, 230)
    background = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for seed in range(50):
        sample = make_sample(layer, None, background, np.random.default_rng(seed), SMALL)
        assert sample.trimap[32, 32] == 128


def coordinate_layer(side: int) -> Layer:
    """Return a layer whose colours encode the position, red = column, green = row, and whose alpha is 100."""
    foreground = np.zeros((side, side, 3), np.uint8)
    foreground[..., 0], foreground[..., 1] = np.arange(side), np.arange(side)[:, None]
    return Layer("coordinates", foreground, np.full((side, side), 100, np.uint8))


def test_background_is_cropped_at_the_same_corner():
    layer = coordinate_layer(128)
    background = coordinate_layer(200).foreground
    flips = set()
    for seed in range(40):
        sample = make_sample(layer, None, background, np.random.default_rng(seed), PLAIN)
        from_layer = sample.foreground[..., :2].astype(int)
        corner = sample.background[0, 0, :2].astype(int)
        steps = from_layer[0, 1] - from_layer[0, 0] + from_layer[1, 0] - from_layer[0, 0]
        # Undo the flips of the foreground, which the background does not share.
        unflipped = np.where(steps > 0, from_layer[0, 0], 127 - from_layer[0, 0])
        np.testing.assert_array_equal(unflipped, corner)
        flips.add(tuple(steps))
    assert flips == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


@pytest.mark.parametrize(("probability", "span"), [(0, 63), (1, 125)])
def test_resizing_comes_with_its_probability(probability, span):
    cfg = replace(PLAIN, resize_probability=probability, resize_to=65)
    sample = make_sample(coordinate_layer(128), None, np.zeros((9, 9, 3), np.uint8), np.random.default_rng(0), cfg)
    columns = sample.foreground[..., 0].astype(int)
    assert abs(np.ptp(columns) - span) <= 1


def test_widths_of_the_unknown_band():
    """A straight edge: the band is as wide as the two ellipses reach, 0..4 pixels on either side."""
    alpha = np.zeros((200, 200), np.uint8)
    alpha[:, 100:] = 255
    layer = Layer("edge", np.zeros((200, 200, 3), np.uint8), alpha)
    background = np.zeros((200, 200, 3), np.uint8)
    cfg = replace(PLAIN, trimap_max=9)
    bands = set()
    for seed in range(600):
        sample = make_sample(layer, None, background, np.random.default_rng(seed), cfg)
        row_trimap, row_alpha = sample.trimap[0], sample.alpha[0]
        unknown = row_trimap == 128
        bands.add((int((unknown & (row_alpha == 255)).sum()), int((unknown & (row_alpha == 0)).sum())))
    assert bands >= {(fg, bg) for fg in range(1, 4) for bg in range(1, 4)}
    assert {fg for fg, _ in bands} == {bg for _, bg in bands} == set(range(5))


def test_second_foreground_lies_under_the_first():
    """A half-transparent red layer over a green one leaves a quarter of the background."""
    red, green = np.zeros((2, 160, 160, 3), np.uint8)
    red[..., 0] = green[..., 1] = 255
    half = np.full((160, 160), 128, np.uint8)
    background = np.full((160, 160, 3), 255, np.uint8)
    layers = Layer("red", red, half), Layer("green", green, half)
    sample = make_sample(*layers, background, np.random.default_rng(0), PLAIN)
    parts = finished(sample)
    np.testing.assert_allclose(parts["alpha"], 0.75, atol=0.01)
    np.testing.assert_allclose(parts["fg"][5, 5], [2 / 3, 1 / 3, 0], atol=0.01)
    np.testing.assert_allclose(parts["image"][5, 5], [0.75, 0.5, 0.25], atol=0.01)


def test_same_generator_same_sample():
    rng = np.random.default_rng(0)
    layer, other = random_layer(rng, 160, 160), random_layer(rng, 160, 160)
    background = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
    samples = [make_sample(layer, other, background, np.random.default_rng(seed), SMALL) for seed in (1, 1, 2)]
    for first, same, different in zip(*(sample.parts().values() for sample in samples), strict=True):
        np.testing.assert_array_equal(first, same)
        assert (first != different).any()


def test_layers_are_not_changed():
    rng = np.random.default_rng(0)
    layer, other = random_layer(rng, 100, 100), random_layer(rng, 100, 100)
    background = rng.integers(0, 256, (100, 100, 3), dtype=np.uint8)
    arrays = [*layer[1:], *other[1:], background]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    for seed in range(5):
        make_sample(layer, other, background, np.random.default_rng(seed), SMALL)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("position", [0, 1])
def test_layer_of_two_sizes_is_refused(position):
    good = random_layer(np.random.default_rng(0), 20, 30)
    bad = Layer("duck", good.foreground, good.alpha[:, 1:])
    layers = [bad, good] if position == 0 else [good, bad]
    with pytest.raises(DataError, match=r"layer duck: .*differ in size"):
        make_sample(*layers, good.foreground, np.random.default_rng(0), SMALL)


def test_nearest_resizing_keeps_values_and_channels():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    resized = resize_nearest(pixels, 13, 11)
    np.testing.assert_array_equal(resized, pixels[(np.arange(13) * 7) // 13][:, (np.arange(11) * 5) // 11])


def test_photographs_at_the_papers_size(shared):
    data = AdobeConfig(root=str(shared / "data" / "adobe-mini")).build()
    for index in range(4):
        rng = np.random.default_rng(index)
        second = data.layers[index + 5] if index % 2 else None
        sample = make_sample(data.layers[index], second, data.backgrounds[index], rng, SampleConfig())
        assert_is_sample(sample, 512)
        assert (sample.trimap == 128).any()
        assert np.ptp(finished(sample)["image"]) > 0.5
