"""Metrics of image reconstruction: PSNR, SSIM, RMSE and MAE (paper Sec. 5, Table 1).

`psnr`, `ssim`, `rmse` and `mae` measure one batch, `ImageMetrics` a test set batch by batch. Predictions are not
clipped to 0..1.
"""

import math
import operator
from typing import NamedTuple

import torch
from torch.nn.functional import conv2d

from a2u.errors import DataError

NAMES = ("psnr", "ssim", "rmse", "mae")
WINDOW = 11  # of SSIM's Gaussian, pixels per side
SIGMA = 1.5  # of SSIM's Gaussian, pixels
C1, C2 = 0.01**2, 0.03**2  # (K1 L)² and (K2 L)² of SSIM, for a value range L of 1
CHUNK = 2**16  # pixels measured at a time (in whole images, at least one), to limit the memory


def psnr(pred: torch.Tensor, target: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, −20 log10 RMSE, over all images; infinite if they are equal.

    Args:
        pred: (N, 1, H, W) floating point, the reconstructed images; not limited to 0..1.
        target: (N, 1, H, W) floating point in 0..1, the original images. H and W are at least 11.

    Raises:
        DataError: the two are not floating-point tensors of the same valid shape, there is no image, the target exceeds
            0..1, or the prediction is not finite.

    Source: paper Sec. 5. In its Table 1 PSNR is −20 log10 of the column "MSE", so there is one ratio per test set.

    >>> target = torch.full((2, 1, 11, 11), 0.5)
    >>> round(psnr(target + 0.1, target), 4)
    20.0
    """
    return _one_batch(pred, target)["psnr"]


def ssim(pred: torch.Tensor, target: torch.Tensor) -> float:
    """Return the structural similarity, at most 1: the mean over window positions, then over images.

    The window is a Gaussian of 11 × 11 pixels, sigma 1.5, at all positions inside the image; population variances and
    covariance; K1 = 0.01, K2 = 0.03. Arguments and errors as for `psnr`.
    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004), Sec. III-C.

    >>> target = torch.linspace(0, 1, 11).expand(2, 1, 11, 11)
    >>> round(ssim(target / 2, target), 6)
    0.645027
    """
    return _one_batch(pred, target)["ssim"]


def rmse(pred: torch.Tensor, target: torch.Tensor) -> float:
    """Return the root mean squared difference over all pixels of all images. Arguments and errors as for `psnr`.

    Source: paper Table 1, column "MSE", which must be the root for the printed PSNR to follow from it.

    >>> target = torch.linspace(0, 1, 11).expand(2, 1, 11, 11)
    >>> round(rmse(target / 2, target), 6)
    0.295804
    """
    return _one_batch(pred, target)["rmse"]


def mae(pred: torch.Tensor, target: torch.Tensor) -> float:
    """Return the mean absolute difference over all pixels of all images. Arguments and errors as for `psnr`.

    Source: paper Table 1.

    >>> target = torch.linspace(0, 1, 11).expand(2, 1, 11, 11)
    >>> round(mae(target / 2, target), 6)
    0.25
    """
    return _one_batch(pred, target)["mae"]


class Sums(NamedTuple):
    """Sums over images, from which their metrics follow."""

    images: int
    pixels: int
    squared: float  # squared differences, over pixels
    absolute: float  # absolute differences, over pixels
    similarity: float  # SSIM, over images


class ImageMetrics:
    """Metrics of a test set, batch by batch; the division into batches does not matter.

    Attributes:
        count: images measured so far.

    >>> metrics = ImageMetrics()
    >>> for images in (3, 1):
    ...     target = torch.full((images, 1, 11, 11), 0.5)
    ...     metrics.update(target + 0.1, target)
    >>> {name: round(value, 4) for name, value in metrics.mean().items()}
    {'psnr': 20.0, 'ssim': 0.9836, 'rmse': 0.1, 'mae': 0.1}
    """

    def __init__(self) -> None:
        self.sums = Sums(0, 0, 0.0, 0.0, 0.0)

    @property
    def count(self) -> int:
        return self.sums.images

    def update(self, pred: torch.Tensor, target: torch.Tensor) -> None:
        """Measure a batch and add it; arguments and errors as for `psnr`. A refused batch does not change the mean."""
        self.add(self.measured(pred, target))

    def add(self, sums: Sums) -> None:
        """Add a batch that was `measured`."""
        self.sums = Sums(*map(operator.add, self.sums, sums))

    @torch.no_grad()
    def measured(self, pred: torch.Tensor, target: torch.Tensor) -> Sums:
        """Measure a batch without adding it; arguments and errors as for `psnr`."""
        _check(pred, target)
        images = max(1, CHUNK // target[0].numel())
        sums = torch.zeros(3, dtype=torch.float64, device=target.device)
        for some_pred, some_target in zip(pred.split(images), target.split(images), strict=True):
            some_pred, some_target = some_pred.double(), some_target.double()
            _check_range(some_target)
            sums += _sums(some_pred, some_target)
        squared, absolute, similarity = sums.tolist()
        if not math.isfinite(squared + absolute + similarity):  # the target is in 0..1, so it is the prediction
            raise DataError(
                "The network's prediction holds values that are NaN, infinite or too large to be squared; "
                "its weights cannot be used."
            )
        return Sums(len(target), target.numel(), squared, absolute, similarity)

    def mean(self) -> dict[str, float]:
        """Return {"psnr", "ssim", "rmse", "mae"} of all images so far; raise DataError if there are none."""
        images, pixels, squared, absolute, similarity = self.sums
        if not images:
            raise DataError("There is no mean, because no image was measured; check that the test set holds images.")
        root = math.sqrt(squared / pixels)
        return {
            "psnr": -20 * math.log10(root) if root else math.inf,
            "ssim": similarity / images,
            "rmse": root,
            "mae": absolute / pixels,
        }


def _one_batch(pred: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    metrics = ImageMetrics()
    metrics.update(pred, target)
    return metrics.mean()


def _sums(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Sum squared differences, absolute differences and the images' SSIM, (3,); arguments (n, 1, H, W) float64."""
    difference = pred - target
    return torch.stack([difference.square().sum(), difference.abs().sum(), _similarities(pred, target).sum()])


def _similarities(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the SSIM of each image, (n,); arguments (n, 1, H, W) float64."""
    # Only the sum of the two variances is needed, so four maps are averaged instead of five.
    maps = torch.cat([pred, target, pred * pred + target * target, pred * target])  # (4n, 1, H, W)
    offsets = torch.arange(WINDOW, dtype=torch.float64, device=maps.device) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    local = conv2d(conv2d(maps, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))  # (4n, 1, H - 10, W - 10)
    pred_mean, target_mean, squares, product = local.chunk(4)
    means_squared, means_product = pred_mean**2 + target_mean**2, pred_mean * target_mean
    luminance = (2 * means_product + C1) / (means_squared + C1)
    structure = (2 * (product - means_product) + C2) / (squares - means_squared + C2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def _check(pred: torch.Tensor, target: torch.Tensor) -> None:
    """Raise DataError unless both are (N, 1, H, W) floating-point, of one shape, N at least 1, H and W at least 11."""
    for name, images in {"prediction": pred, "target": target}.items():
        if not isinstance(images, torch.Tensor):
            raise DataError(
                f"The {name} is of type {type(images).__name__}; the metrics take torch tensors: "
                "convert it to a floating-point tensor of shape (N, 1, H, W)."
            )
        if not images.is_floating_point():
            raise DataError(
                f"The {name} has type {images.dtype}; expected a floating-point type with values in 0..1: "
                "convert it, and divide 8-bit values by 255."
            )
        if images.ndim != 4 or images.shape[1] != 1:
            raise DataError(
                f"The {name} has shape {tuple(images.shape)}; expected images of one channel, (N, 1, H, W): reshape it."
            )
    if pred.shape != target.shape:
        raise DataError(
            f"The prediction is {tuple(pred.shape)} and the target {tuple(target.shape)}, (N, 1, H, W), but the two "
            "must have the same shape: check that they belong to the same images."
        )
    if len(target) == 0:
        raise DataError(f"The batch has shape {tuple(target.shape)} and holds no image: give at least one.")
    if min(target.shape[2:]) < WINDOW:
        height, width = target.shape[2:]
        raise DataError(
            f"The images are {height} × {width} pixels, smaller than the {WINDOW} × {WINDOW} window of SSIM: "
            "give larger ones."
        )


def _check_range(target: torch.Tensor) -> None:
    """Raise DataError unless all values of the target are in 0..1."""
    low, high = (value.item() for value in target.aminmax())
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise DataError(
            f"The target has values from {low} to {high}; expected finite values in 0..1: "
            "scale the images to that range."
        )
