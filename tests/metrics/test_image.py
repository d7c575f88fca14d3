"""Metrics of image reconstruction against scikit-image and slow implementations."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from a2u.errors import DataError
from a2u.metrics import image as module
from a2u.metrics.image import NAMES, ImageMetrics, mae, psnr, rmse, ssim

FUNCTIONS = [psnr, ssim, rmse, mae]
SHAPES = [(1, 11, 11), (1, 11, 17), (2, 13, 17), (3, 32, 32), (5, 40, 12)]


def noise(seed: int, shape: tuple[int, int, int], dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    """(prediction, target), (N, 1, H, W): unlike images, the prediction leaving 0..1."""
    generator = torch.Generator().manual_seed(seed)
    images, height, width = shape
    target, other = torch.rand((2, images, 1, height, width), generator=generator, dtype=torch.float64)
    strength = torch.linspace(0.1, 0.9, images, dtype=torch.float64).view(-1, 1, 1, 1)
    return (target + strength * (2 * other - 0.8)).to(dtype), target.to(dtype)


def skimage_metrics(pred: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """PSNR of the stack and mean SSIM of its images, by scikit-image."""
    p, t = pred.double().numpy()[:, 0], target.double().numpy()[:, 0]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return {
        "psnr": float(peak_signal_noise_ratio(t, p, data_range=1.0)),
        "ssim": float(np.mean([structural_similarity(a, b, **options) for a, b in zip(t, p, strict=True)])),
    }


def slow_ssim(pred: torch.Tensor, target: torch.Tensor) -> float:
    """SSIM of one image (H, W), window by window, with the variances about each window's mean."""
    p, t = pred.double().tolist(), target.double().tolist()
    bell = [[math.exp(-(y * y + x * x) / 4.5) for x in range(-5, 6)] for y in range(-5, 6)]
    total = math.fsum(map(math.fsum, bell))
    found = []
    for top in range(len(p) - 10):
        for left in range(len(p[0]) - 10):
            window = [
                (bell[y][x] / total, p[top + y][left + x], t[top + y][left + x]) for y in range(11) for x in range(11)
            ]
            p_mean = math.fsum(w * a for w, a, _ in window)
            t_mean = math.fsum(w * b for w, _, b in window)
            p_variance = math.fsum(w * (a - p_mean) ** 2 for w, a, _ in window)
            t_variance = math.fsum(w * (b - t_mean) ** 2 for w, _, b in window)
            covariance = math.fsum(w * (a - p_mean) * (b - t_mean) for w, a, b in window)
            above = (2 * p_mean * t_mean + 0.0001) * (2 * covariance + 0.0009)
            below = (p_mean**2 + t_mean**2 + 0.0001) * (p_variance + t_variance + 0.0009)
            found.append(above / below)
    return math.fsum(found) / len(found)


def slow_metrics(pred: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    differences = [a - b for a, b in zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True)]
    mean_square = math.fsum(d * d for d in differences) / len(differences)
    similarities = [slow_ssim(a[0], b[0]) for a, b in zip(pred, target, strict=True)]
    return {
        "psnr": 10 * math.log10(1 / mean_square),
        "ssim": math.fsum(similarities) / len(similarities),
        "rmse": mean_square**0.5,
        "mae": math.fsum(map(abs, differences)) / len(differences),
    }


def measured(pred: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    return {function.__name__: function(pred, target) for function in FUNCTIONS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_scikit_image(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    pred, target = noise(3, shape, dtype)
    found = measured(pred, target)
    assert {name: found[name] for name in ("psnr", "ssim")} == pytest.approx(skimage_metrics(pred, target), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_slow_version(shape: tuple[int, int, int]) -> None:
    pred, target = noise(5, shape)
    assert measured(pred, target) == pytest.approx(slow_metrics(pred, target), rel=1e-10)


def test_psnr_and_rmse_are_of_all_pixels_together() -> None:
    target = torch.zeros(2, 1, 11, 11, dtype=torch.float64)
    pred = target.clone()
    pred[1] = 0.2
    assert rmse(pred, target) == pytest.approx(0.02**0.5, rel=1e-12)  # the mean of the images' own is 0.1
    assert psnr(pred, target) == pytest.approx(10 * math.log10(50), rel=1e-12)  # that would be infinite


def test_constant_images() -> None:
    target = torch.full((3, 1, 12, 15), 0.5, dtype=torch.float64)
    found = measured(target + 0.3, target)
    luminance = (2 * 0.5 * 0.8 + 0.0001) / (0.25 + 0.64 + 0.0001)
    expected = {"psnr": -20 * math.log10(0.3), "ssim": luminance, "rmse": 0.3, "mae": 0.3}
    assert found == pytest.approx(expected, rel=1e-9)


def test_signs_of_the_differences_do_not_cancel() -> None:
    target = torch.full((1, 1, 11, 12), 0.5, dtype=torch.float64)
    pred = target + 0.25 * (-1) ** torch.arange(12)
    assert mae(pred, target) == rmse(pred, target) == 0.25


def test_a_prediction_beyond_the_range_is_not_clipped() -> None:
    target = torch.ones(1, 1, 11, 11)
    assert mae(target + 0.5, target) == 0.5
    assert mae(target - 1.5, target) == 1.5


@pytest.mark.parametrize("shape", SHAPES)
def test_perfect_prediction(shape: tuple[int, int, int]) -> None:
    _, target = noise(7, shape)
    found = measured(target, target)
    assert (found["psnr"], found["rmse"], found["mae"]) == (math.inf, 0, 0)
    assert found["ssim"] == pytest.approx(1, abs=1e-12)


def test_an_inverted_image_is_unlike() -> None:
    _, target = noise(9, (2, 20, 20))
    assert ssim(1 - target, target) < -0.8


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float16, 2e-2), (torch.bfloat16, 1e-1)])
def test_floating_types(dtype: torch.dtype, tolerance: float) -> None:
    pred, target = noise(11, (4, 16, 19))
    rounded = pred.to(dtype), target.to(dtype)
    found = measured(*rounded)
    # Only the rounding of the values counts: all that follows is in double precision.
    assert found == measured(*(images.double() for images in rounded))
    assert found == pytest.approx(measured(pred, target), rel=tolerance)
    assert found == measured(rounded[0].double(), rounded[1])


def test_memory_layout_does_not_matter() -> None:
    pred, target = noise(13, (3, 24, 31))
    transposed = [images.transpose(2, 3) for images in (pred, target)]
    assert measured(*transposed) == pytest.approx(measured(*(images.contiguous() for images in transposed)), rel=1e-12)
    assert measured(*transposed) == pytest.approx(measured(pred, target), rel=1e-12)


def test_inputs_are_left_alone() -> None:
    images = noise(15, (2, 16, 16))
    before = [image.clone() for image in images]
    measured(*images)
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True))


def test_a_prediction_with_a_gradient_is_measured_and_nothing_kept_of_it() -> None:
    pred, target = noise(17, (2, 16, 16))
    expected, kept = measured(pred, target), []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
        found = measured(pred.clone().requires_grad_(), target)
    assert found == expected
    assert not kept


@pytest.mark.parametrize("chunk", [1, 13 * 17, 2 * 13 * 17, 3 * 13 * 17 + 5, 7 * 13 * 17, 10**6])
def test_chunks_do_not_show(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(19, (7, 13, 17))
    expected = slow_metrics(*images)
    monkeypatch.setattr(module, "CHUNK", chunk)
    assert measured(*images) == pytest.approx(expected, rel=1e-10)


def test_more_images_than_a_chunk_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    pred, target = noise(21, (2 * module.CHUNK // 32**2 + 1, 32, 32), torch.float32)
    assert len(target) > 2
    filtered, conv2d = [], module.conv2d
    monkeypatch.setattr(module, "conv2d", lambda maps, weights: filtered.append(maps.numel()) or conv2d(maps, weights))
    found = measured(pred, target)
    assert max(filtered) <= 4 * module.CHUNK  # four maps of the images: memory does not grow with their number
    assert {name: found[name] for name in ("psnr", "ssim")} == pytest.approx(skimage_metrics(pred, target), abs=1e-6)


class TestAccumulator:
    @pytest.mark.parametrize("sizes", [[9], [1] * 9, [4, 4, 1], [1, 6, 2]])
    def test_division_into_batches_does_not_matter(self, sizes: list[int]) -> None:
        pred, target = noise(23, (9, 21, 14))
        metrics = ImageMetrics()
        for some_pred, some_target in zip(pred.split(sizes), target.split(sizes), strict=True):
            metrics.update(some_pred, some_target)
        assert metrics.count == 9
        assert metrics.mean() == pytest.approx(measured(pred, target), rel=1e-12)

    def test_mean_has_the_names_in_order_and_plain_numbers(self) -> None:
        metrics = ImageMetrics()
        metrics.update(*noise(25, (2, 11, 11), torch.float32))
        assert tuple(metrics.mean()) == NAMES == ("psnr", "ssim", "rmse", "mae")
        assert {type(value) for value in metrics.mean().values()} == {float}

    def test_images_of_other_sizes_may_follow(self) -> None:
        small, large = noise(27, (1, 11, 11)), noise(29, (2, 24, 16))
        metrics = ImageMetrics()
        metrics.update(*small)
        metrics.update(*large)
        squares = rmse(*small) ** 2 * 121 + rmse(*large) ** 2 * 768
        assert metrics.mean()["rmse"] == pytest.approx((squares / (121 + 768)) ** 0.5, rel=1e-12)
        assert metrics.mean()["ssim"] == pytest.approx((ssim(*small) + 2 * ssim(*large)) / 3, rel=1e-12)

    def test_no_mean_of_nothing(self) -> None:
        with pytest.raises(DataError, match="no image was measured"):
            ImageMetrics().mean()

    def test_a_refused_batch_leaves_no_trace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CHUNK", 1)  # the images before the bad one are measured by then
        pred, target = noise(31, (3, 12, 12))
        metrics = ImageMetrics()
        metrics.update(pred, target)
        before = metrics.mean()
        for images in (pred, target):
            bad = images.clone()
            bad[2, 0, 5, 5] = math.nan
            with pytest.raises(DataError):
                metrics.update(bad if images is pred else pred, bad if images is target else target)
        assert (metrics.count, metrics.mean()) == (3, before)


def with_value(value: float) -> torch.Tensor:
    """Two images of 0.5 with one other value, in a corner of the second."""
    images = torch.full((2, 1, 12, 14), 0.5, dtype=torch.float64)
    images[1, 0, 11, 13] = value
    return images


@pytest.mark.parametrize("function", FUNCTIONS)
class TestBadInput:
    good = with_value(0.5)

    @pytest.mark.parametrize(
        ("pred", "target", "words"),
        [
            (good.numpy(), good, ["prediction", "ndarray", "torch"]),
            (good, good.tolist(), ["target", "list", "torch"]),
            (good.long(), good, ["prediction", "int64", "floating"]),
            (good, (255 * good).byte(), ["target", "uint8", "floating", "255"]),
            (good > 0, good > 0, ["prediction", "bool", "floating"]),
            (good.to(torch.complex128), good, ["prediction", "complex128", "floating"]),
            (good[0], good[0], ["prediction", "(1, 12, 14)", "(N, 1, H, W)"]),
            (good, good[:, 0], ["target", "(2, 12, 14)", "(N, 1, H, W)"]),
            (good.transpose(0, 1), good, ["prediction", "(1, 2, 12, 14)", "one channel"]),
            (good.repeat(1, 3, 1, 1), good.repeat(1, 3, 1, 1), ["prediction", "(2, 3, 12, 14)", "one channel"]),
            (good[:, None], good[:, None], ["prediction", "(2, 1, 1, 12, 14)", "(N, 1, H, W)"]),
            (good[:1], good, ["(1, 1, 12, 14)", "(2, 1, 12, 14)", "same images"]),
            (good, good.transpose(2, 3), ["(2, 1, 12, 14)", "(2, 1, 14, 12)", "same images"]),
            (good[:, :, :1], good, ["(2, 1, 1, 14)", "(2, 1, 12, 14)", "same images"]),
            (good[:0], good[:0], ["(0, 1, 12, 14)", "no image"]),
            (good[:, :, :10], good[:, :, :10], ["10 × 14", "11 × 11"]),
            (good[..., :10], good[..., :10], ["12 × 10", "11 × 11"]),
            (good[..., :0], good[..., :0], ["12 × 0", "11 × 11"]),
            (good, with_value(1 + 1e-9), ["target", "0.5 to 1.000000001", "0..1"]),
            (good, with_value(-0.25), ["target", "-0.25 to 0.5", "0..1"]),
            (good, with_value(math.nan), ["target", "nan", "finite"]),
            (good, with_value(math.inf), ["target", "inf", "finite"]),
            (good, with_value(-math.inf), ["target", "-inf", "finite"]),
            (with_value(math.nan), good, ["prediction", "NaN", "weights cannot be used"]),
            (with_value(math.inf), good, ["prediction", "infinite", "weights cannot be used"]),
            (with_value(-math.inf), good, ["prediction", "infinite", "weights cannot be used"]),
            (with_value(1e200), good, ["prediction", "too large", "weights cannot be used"]),
            (with_value(math.inf).half(), good.half(), ["prediction", "infinite", "weights cannot be used"]),
        ],
    )
    def test_is_refused_in_a_sentence(self, function: Callable, pred: object, target: object, words: list[str]) -> None:
        with pytest.raises(DataError) as caught:
            function(pred, target)
        assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_ends_of_the_range_belong_to_it(value: float) -> None:
    assert mae(torch.full((1, 1, 11, 11), 0.5), torch.full((1, 1, 11, 11), value)) == 0.5


@pytest.mark.slow
def test_a_test_set_of_ten_thousand_takes_under_a_second_and_a_half_of_one_core() -> None:
    images = noise(33, (10_000, 32, 32), torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ssim(*images)
        start = time.process_time()
        ssim(*images)
        assert time.process_time() - start < 1.5
    finally:
        torch.set_num_threads(threads)
