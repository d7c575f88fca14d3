"""Generated items depend on the seed alone; test cases have the promised properties."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from a2u.data.synthetic.foregrounds import FAMILIES
from a2u.data.synthetic.generate import (
    GENERATOR_VERSION,
    generate_background,
    generate_composite,
    generate_layer,
    layer_family,
    layer_name,
)
from a2u.data.types import Composite

KINDS = [
    {"hair", "fur", "feather"},
    {"net", "lace"},
    {"leaf", "feather"},
    {"defocus", "motion"},
    {"glass", "smoke"},
]

# Of seed 2021, size 96: alpha, red, green, blue of each family's first layer; red, green, blue of backgrounds.
LAYER_MEANS = [
    [123.7, 146.8, 97.6, 59.2],  # hair
    [114.7, 181.6, 85.2, 36.7],  # net
    [44.2, 149.3, 99.6, 83.8],  # leaf
    [37.4, 148.1, 131.8, 73.6],  # defocus
    [55.1, 244.6, 233.0, 216.4],  # smoke
    [101.8, 143.4, 43.9, 62.8],  # fur
    [86.2, 168.0, 160.9, 59.7],  # lace
    [46.6, 213.1, 112.7, 124.4],  # feather
    [61.9, 165.4, 79.5, 134.5],  # motion
    [55.9, 140.3, 150.5, 80.0],  # glass
]
BACKGROUND_MEANS = [
    [131.7, 128.7, 133.4],
    [84.1, 119.6, 102.7],
    [131.1, 154.5, 122.9],
    [131.0, 171.1, 156.7],
    [158.9, 180.7, 181.1],
    [84.6, 114.4, 93.0],
    [107.8, 119.3, 133.7],
]

PROGRAM = """
import hashlib
from a2u.data.synthetic.generate import generate_background, generate_composite, generate_layer
for index in reversed(range(10)):
    arrays = [*generate_layer(5, index, 48, "train")[1:], generate_background(5, index, 48, "train")]
    arrays += generate_composite(5, index, 48)[1:]
    print(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
"""


def digest(index: int) -> str:
    arrays = [*generate_layer(5, index, 48, "train")[1:], generate_background(5, index, 48, "train")]
    arrays += generate_composite(5, index, 48)[1:]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.fixture(scope="module")
def cases() -> list[Composite]:
    return [generate_composite(2021, index, 128) for index in range(40)]


def test_another_process_in_another_order_gives_the_same_bytes() -> None:
    there = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert there.stdout.split() == [digest(index) for index in reversed(range(10))]


def test_seeds_indices_splits_and_kinds_are_independent() -> None:
    pictures = {
        generate_layer(*arguments).alpha.tobytes()
        for arguments in [(1, 0, 32, "train"), (2, 0, 32, "train"), (1, 10, 32, "train"), (1, 0, 32, "test")]
    }
    pictures.add(generate_layer(1, 0, 32, "validation").alpha.tobytes())
    assert len(pictures) == 5
    backgrounds = {generate_background(1, 0, 32, split).tobytes() for split in ("train", "test", "validation")}
    assert len(backgrounds) == 3


def test_global_random_state_is_untouched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    digest(0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_layers_and_backgrounds() -> None:
    for index in range(14):
        layer, background = generate_layer(7, index, 33, "train"), generate_background(7, index, 33, "train")
        assert layer.name == layer_name(index, "train")
        assert (layer.foreground.shape, layer.alpha.shape, background.shape) == ((33, 33, 3), (33, 33), (33, 33, 3))
        assert {layer.foreground.dtype, layer.alpha.dtype, background.dtype} == {np.dtype(np.uint8)}
        assert background.std() > 1


def test_any_five_in_a_row_hold_every_kind() -> None:
    assert layer_name(0, "train") == "train_hair_0000"
    assert layer_name(17, "test") == "test_feather_0017"
    families = [layer_family(index) for index in range(2 * len(FAMILIES))]
    for start in range(len(FAMILIES)):
        assert all(kind & set(families[start : start + 5]) for kind in KINDS)


def test_size_too_small() -> None:
    with pytest.raises(ValueError, match="at least 32 pixels"):
        generate_layer(1, 0, 31, "train")


@pytest.mark.parametrize("index", range(16))
def test_composite_is_the_compositing_equation(index: int) -> None:
    case = generate_composite(3, index, 64)
    height, width = (45, 58) if index in (7, 15) else (64, 64)
    layer = generate_layer(3, index, 64, "test")
    background = generate_background(3, index, 64, "test")[:height, :width].astype(np.float64)
    alpha = layer.alpha[:height, :width, None] / 255.0
    expected = np.round(alpha * layer.foreground[:height, :width] + (1 - alpha) * background)
    assert case.name == layer.name
    assert case.image.dtype == case.trimap.dtype == case.alpha.dtype == np.uint8
    np.testing.assert_array_equal(case.image, expected)
    np.testing.assert_array_equal(case.alpha, layer.alpha[:height, :width])
    assert case.trimap.shape == (height, width)


def test_trimaps(cases: list[Composite]) -> None:
    for case in cases:
        assert set(np.unique(case.trimap)) <= {0, 128, 255}
        assert (case.alpha[case.trimap == 255] == 255).all()
        assert (case.alpha[case.trimap == 0] == 0).all()
        shares = {value: np.mean(case.trimap == value) for value in (0, 128, 255)}
        assert shares[128] > 0.03, case.name
        assert shares[0] > 0.02, case.name
        assert shares[255] > 0.002 or "smoke" in case.name, case.name


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 256])
def test_trimaps_of_many_seeds_hold_known_and_unknown_regions(size: int) -> None:
    for seed in range(4):
        for index in range(40):
            case = generate_composite(seed, index, size)
            expected = {0, 128} if "smoke" in case.name else {0, 128, 255}
            assert set(np.unique(case.trimap)) >= expected, (seed, case.name)


def test_cases_can_be_solved_but_not_by_one_brightness_threshold(cases: list[Composite]) -> None:
    contrasts, separations = [], []
    for index, case in enumerate(cases):
        unknown = case.trimap == 128
        height, width = unknown.shape
        foreground = generate_layer(2021, index, 128, "test").foreground[:height, :width].astype(float)
        background = generate_background(2021, index, 128, "test")[:height, :width]
        contrasts.append(np.median(np.linalg.norm(foreground - background, axis=2)[unknown]))
        brightness = case.image.mean(axis=2)
        inside, outside = (brightness[(case.alpha > 127) == side] for side in (True, False))
        if len(inside) > 100:
            separations.append(np.median(inside) > np.median(outside))
    assert np.median(contrasts) > 60  # of 441: foreground and background differ where alpha is sought
    assert np.quantile(contrasts, 0.1) > 20
    assert 0.2 < np.mean(separations) < 0.8  # the brighter side is now the one, now the other


def test_version_names_the_output() -> None:
    """Means of alpha and colour over each family's first layer: a change raises GENERATOR_VERSION."""
    assert GENERATOR_VERSION == 1
    layers = [generate_layer(2021, index, 96, "train") for index in range(len(FAMILIES))]
    means = [[layer.alpha.mean(), *layer.foreground.mean(axis=(0, 1))] for layer in layers]
    backgrounds = [generate_background(2021, index, 96, "train").mean(axis=(0, 1)) for index in range(7)]
    np.testing.assert_allclose(means, LAYER_MEANS, atol=1)
    np.testing.assert_allclose(backgrounds, BACKGROUND_MEANS, atol=1)
