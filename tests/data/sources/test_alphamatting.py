"""The alphamatting.com layout."""

import cv2
import numpy as np
import pytest

from a2u.data.sources.alphamatting import AlphamattingConfig
from a2u.errors import DataError


@pytest.fixture
def root(tmp_path):
    """Two photographs with two trimaps each; alpha stored as RGB."""
    for folder, value in (
        ("input_training_lowres", 50),
        ("gt_training_lowres", 200),
        ("trimap_training_lowres/Trimap1", 128),
        ("trimap_training_lowres/Trimap2", 255),
    ):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("GT01", "GT02"):
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.full((4, 5, 3), value, np.uint8))
    return tmp_path


def build(root, **options):
    return AlphamattingConfig(root=str(root), **options).build()


@pytest.mark.parametrize(("trimap", "value"), [("Trimap1", 128), ("Trimap2", 255)])
def test_layout(root, trimap, value):
    data = build(root, trimap=trimap)
    assert data.layers is None
    assert data.backgrounds is None
    assert data.test_names == ["GT01", "GT02"]
    case = data.test[1]
    assert case.name == "GT02"
    np.testing.assert_array_equal(case.image, np.full((4, 5, 3), 50))
    np.testing.assert_array_equal(case.alpha, np.full((4, 5), 200))
    np.testing.assert_array_equal(case.trimap, np.full((4, 5), value))


def test_the_trimap_is_part_of_the_checksum(root):
    assert build(root).checksum() != build(root, trimap="Trimap2").checksum()


def test_limit(root):
    assert build(root, limit_test=1).test_names == ["GT01"]


def test_unknown_trimap_names_those_that_are_there(root):
    with pytest.raises(DataError, match=r"no folder .*Trimap3; .* holds Trimap1, Trimap2"):
        build(root, trimap="Trimap3")


def test_wrong_root(root):
    with pytest.raises(DataError, match=r"no folder .*input_training_lowres; .* holds GT01.png, GT02"):
        build(root / "gt_training_lowres")


@pytest.mark.parametrize("folder", ["gt_training_lowres", "trimap_training_lowres/Trimap1"])
def test_names_that_do_not_match(root, folder):
    (root / folder / "GT02.png").unlink()
    with pytest.raises(DataError, match=rf"{folder} has no image for 1 .*: GT02; it holds GT01"):
        build(root)


def test_sizes_that_differ(root):
    cv2.imwrite(str(root / "gt_training_lowres/GT02.png"), np.zeros((5, 4), np.uint8))
    with pytest.raises(DataError, match=r"GT02.png is 5 x 4, .*gt_training_lowres/GT02.png is 4 x 5"):
        build(root)


def test_coloured_alpha_is_refused(root):
    pixels = np.full((4, 5, 3), 200, np.uint8)
    pixels[2, 2, 0] = 198
    cv2.imwrite(str(root / "gt_training_lowres/GT01.png"), pixels)
    with pytest.raises(DataError, match=r"gt_training_lowres/GT01.png is coloured"):
        build(root).test[0]


@pytest.mark.parametrize("trimap", ["Trimap1", "Trimap2"])
def test_photographs(shared, trimap):
    data = build(shared / "data" / "alphamatting", trimap=trimap)
    assert data.test_names == [f"GT{number:02d}" for number in range(1, 19)]
    agree = []
    for index in range(0, 18, 6):
        case = data.test[index]
        assert case.image.shape == (*case.alpha.shape, 3)
        # The trimap was drawn around the true alpha: what it calls known is known.
        known = case.trimap != 128
        agree.append((case.alpha[known] == case.trimap[known]).mean())
    assert min(agree) > 0.98
