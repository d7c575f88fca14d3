"""The picture of `make demo`."""

from pathlib import Path

import cv2
import numpy as np

from a2u.data.files.images import read_colour, read_grey, read_trimap
from a2u.data.synthetic.demo import write_demo

DEMO = Path(__file__).parents[3] / "docs" / "demo"


def test_the_bundled_files_are_what_the_generator_draws(tmp_path):
    write_demo(tmp_path)
    np.testing.assert_array_equal(read_trimap(tmp_path / "trimap.png"), read_trimap(DEMO / "trimap.png"))
    np.testing.assert_array_equal(read_grey(tmp_path / "alpha.png"), read_grey(DEMO / "alpha.png"))
    photo = read_colour(DEMO / "photo.jpg")
    assert cv2.PSNR(read_colour(tmp_path / "photo.jpg"), photo) > 45  # encoders of JPEG differ by a few grey levels
    assert photo.shape == (800, 600, 3)
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 400_000


def test_known_pixels_are_known_and_hair_is_unknown():
    alpha, trimap = read_grey(DEMO / "alpha.png"), read_trimap(DEMO / "trimap.png")
    assert (alpha[trimap == 255] == 255).all()
    assert (alpha[trimap == 0] == 0).all()
    assert ((alpha > 0) & (alpha < 255)).mean() > 0.05
    assert {0, 128, 255} == set(np.unique(trimap))
