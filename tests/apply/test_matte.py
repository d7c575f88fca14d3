"""The door from Python, and torch.hub's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.matting_folders import noise, save
from helpers.runs import exported_untrained

import a2u
from a2u.apply.auto import BETTER
from a2u.data.files.images import read_srgb
from a2u.data.sampling.trimaps import trimap_from_mask
from a2u.engine.evaluate import predict
from a2u.errors import ConfigError, DataError
from a2u.models.shipped import shipped_weights
from a2u.models.weights.exported import load_exported
from a2u.upsampling import A2U

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "docs" / "demo"


def picture(height=40, width=50):
    trimap = np.full((height, width), 128, np.uint8)
    trimap[:10], trimap[-10:] = 0, 255
    return noise(height, width, 3), trimap


def eight_bits(alpha):
    return np.rint(alpha * 255).astype(np.uint8)


def test_checkpoint_is_the_model_in_the_package_and_the_alpha_is_that_of_predict():
    image, trimap = picture()
    alpha = a2u.matte(image, trimap, system="checkpoint")
    assert (alpha.dtype, alpha.shape) == (np.float32, (40, 50))
    np.testing.assert_array_equal(eight_bits(alpha), predict(load_exported(shipped_weights()), image, trimap))
    np.testing.assert_array_equal(alpha[trimap != 128] * 255, trimap[trimap != 128])
    assert len(np.unique(alpha)) > 256  # not rounded


def test_auto_is_the_best_system():
    image, trimap = picture()
    best = a2u.matte(image, trimap, system=next(iter(BETTER)).name)
    np.testing.assert_array_equal(a2u.matte(image, trimap), best)
    np.testing.assert_array_equal(a2u.matte(image, trimap, system=a2u.load()), best)


def test_a_system_is_a_name_a_file_or_a_network(tmp_path):
    image, trimap = picture()
    file = exported_untrained(tmp_path / "a2u.safetensors")
    network = a2u.load(file)
    expected = a2u.matte(image, trimap, system=network)
    np.testing.assert_array_equal(a2u.matte(image, trimap, system=str(file)), expected)
    np.testing.assert_array_equal(eight_bits(expected), predict(network, image, trimap))
    assert not network.training
    assert set(a2u.matte(image, trimap, system="trimap_only")[trimap == 128]) == {0.5}


def test_files_arrays_bytes_and_floats_say_the_same(tmp_path):
    image, trimap = picture()
    save(tmp_path / "image.png", image)
    save(tmp_path / "trimap.png", trimap)
    network = a2u.load()
    expected = a2u.matte(image, trimap, system=network)
    np.testing.assert_array_equal(
        a2u.matte(tmp_path / "image.png", str(tmp_path / "trimap.png"), None, network), expected
    )
    unit = np.float32([0, 0.5, 1])[trimap.astype(int) // 127]
    for kind in (np.float32, np.float64):
        given = a2u.matte(image.astype(kind) / 255, unit.astype(kind), system=network)
        np.testing.assert_allclose(given, expected, atol=1e-5)
    grey = a2u.matte(image[..., 0], trimap, system=network)
    np.testing.assert_array_equal(grey, a2u.matte(np.dstack([image[..., 0]] * 3), trimap, system=network))
    np.testing.assert_array_equal(a2u.matte(image[:, ::-1][:, ::-1], trimap, system=network), expected)


def test_masks_of_every_kind():
    image, _ = picture(60, 60)
    mask = np.zeros((60, 60), np.uint8)
    mask[10:50, 10:50] = 255
    expected = a2u.matte(image, trimap_from_mask(mask, 5, 3), system="trimap_only")
    for given in (mask, mask > 0, mask / 255, np.where(mask, 0.5, 0.49)):
        np.testing.assert_array_equal(a2u.matte(image, mask=given, erode=5, dilate=3, system="trimap_only"), expected)
    assert set(np.unique(expected)) == {0, 0.5, 1}


def test_a_large_photograph_is_computed_in_tiles(monkeypatch):
    from a2u.engine import evaluate

    sides = []
    monkeypatch.setattr(
        evaluate, "_run", lambda model, x, tile: sides.append(tile) or np.zeros(x.shape[1:], np.float32)
    )
    for height in (64, 2048):
        image = np.zeros((height, 1024, 3), np.uint8)
        a2u.matte(image, np.full(image.shape[:2], 128, np.uint8))
    assert sides == [None, 512]


def test_the_demo_in_three_lines():
    alpha = a2u.matte(DEMO / "photo.jpg", DEMO / "trimap.png", system="trimap_only")
    assert alpha.shape == read_srgb(DEMO / "photo.jpg").shape[:2]


IMAGE, TRIMAP = picture()


@pytest.mark.parametrize(
    ("image", "known", "sentence"),
    [
        (IMAGE.astype(int), {"trimap": TRIMAP}, "image has type int64; expected uint8 in 0..255 or float in 0..1"),
        (IMAGE.astype(np.float32), {"trimap": TRIMAP}, "image is float with values from 0 to 255; expected 0..1"),
        (np.full((40, 50), np.nan), {"trimap": TRIMAP}, "image is float with values from nan"),
        (noise(40, 50, 4), {"trimap": TRIMAP}, r"image has shape \(40, 50, 4\); expected \(H, W, 3\) RGB or"),
        (np.ma.masked_array(IMAGE), {"trimap": TRIMAP}, "image is a masked array, whose mask would be ignored"),
        (torch.zeros(3, 40, 50), {"trimap": TRIMAP}, "image is a Tensor; expected a file or a NumPy array"),
        (np.zeros((0, 50, 3), np.uint8), {"trimap": TRIMAP}, "no pixel"),
        (IMAGE, {"trimap": TRIMAP + 1}, r"the trimap holds the value\(s\) 1, 129"),
        (IMAGE, {"trimap": TRIMAP // 2 / 255}, r"the trimap holds the value\(s\) 64, 127"),
        (IMAGE, {"trimap": TRIMAP[:-1]}, "the image is 50 x 40, the trimap is 50 x 39"),
        (IMAGE, {"mask": IMAGE}, r"mask has shape \(40, 50, 3\); expected \(H, W\)"),
        (IMAGE, {"mask": np.ma.masked_array(TRIMAP > 0)}, "mask is a masked array"),
    ],
)
def test_arrays_of_other_kinds_are_refused(image, known, sentence):
    with pytest.raises(DataError, match=sentence):
        a2u.matte(image, **known)


def test_what_contradicts_itself_is_refused(tmp_path):
    for known in ({}, {"trimap": TRIMAP, "mask": TRIMAP}):
        with pytest.raises(ConfigError, match=r"give either trimap= .* or mask="):
            a2u.matte(IMAGE, **known)
    with pytest.raises(ConfigError, match="erode must be at least 0; got -1"):
        a2u.matte(IMAGE, mask=TRIMAP, erode=-1)
    with pytest.raises(ConfigError, match="reconstructs small pictures"):
        a2u.load(exported_untrained(tmp_path / "d.safetensors", "task=reconstruction", "dataset=mnist5k"))


def run_python(code, **options):
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); {code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def test_importing_a2u_imports_nothing_else():
    loaded = run_python("import a2u; print(*{name.split('.')[0] for name in sys.modules})").split()
    assert "a2u" in loaded
    assert not {"torch", "numpy", "cv2", "omegaconf", "hydra", "PIL"} & set(loaded)


def test_a_missing_package_is_named_with_its_extra():
    code = """
sys.modules["omegaconf"] = None
import a2u
try:
    a2u.matte
except ImportError as error:
    print(error)
"""
    said = 'a2u.matte needs the package omegaconf; install it with `pip install -e ".[experiments]"`\n'
    assert run_python(code) == said
    with pytest.raises(AttributeError, match="has no attribute 'mate'"):
        a2u.mate  # noqa: B018


def test_torch_hub(monkeypatch):
    """In this process; the entry points bring the checkout's package themselves."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    network = torch.hub.load(str(ROOT), "matting", source="local")
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, 64, 64)).shape == (1, 1, 64, 64)
    operator = torch.hub.load(str(ROOT), "upsampler", "a2u", channels=8, mode="hybrid", source="local")
    assert type(operator) is A2U


def test_other_values_of_trimaps_and_masks_on_request():
    image, trimap = picture()
    network = a2u.load("trimap_only")
    expected = a2u.matte(image, trimap, system=network)
    labels = np.uint8([0, 1, 2])[trimap // 127]
    np.testing.assert_array_equal(a2u.matte(image, labels, system=network, trimap_values="nearest"), expected)
    mask = np.where(trimap == 0, 0, 1).astype(np.uint8)
    with pytest.raises(DataError, match="the mask holds the value"):
        a2u.matte(image, mask=mask, system=network)
    given = a2u.matte(image, mask=mask, system=network, mask_threshold=1)
    np.testing.assert_array_equal(given, a2u.matte(image, mask=mask > 0, system=network))
    with pytest.raises(ConfigError, match="trimap_values must be one of exact, nearest, threshold; got 'near'"):
        a2u.matte(image, trimap, trimap_values="near")
