"""Convert 8-bit images to the input of a matting network, and back."""

import numpy as np
import torch

from a2u.errors import DataError

# Values of an 8-bit trimap.
BACKGROUND = 0
UNKNOWN = 128
FOREGROUND = 255
# Of RGB in 0..1, as torchvision's ImageNet weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def plain_array(array: np.ndarray, what: str) -> np.ndarray:
    """Return an array of a subclass, such as a matrix or a memory map, as one of NumPy's own type.

    what: its name in the message.

    Raises:
        DataError: it is a masked array, whose mask would be lost.
    """
    if isinstance(array, np.ma.MaskedArray):
        raise DataError(
            f"{what} is a masked array, whose mask would be ignored: give an array, such as its .filled(0)."
        )
    return np.asarray(array)


def network_input(image: np.ndarray, trimap: np.ndarray) -> torch.Tensor:
    """Return the input of a matting network: RGB normalised by ImageNet's mean and deviation, and trimap / 255.

    Args:
        image: (H, W, 3) RGB, uint8 in 0..255 or float32 in 0..1.
        trimap: (H, W) uint8 of 0, 128, 255.

    Returns:
        (4, H, W) float32.

    Raises:
        TypeError: another dtype.
        ValueError: the shapes do not match, or an array is masked (DataError).

    Source: Sec. 6.1; normalisation as in the released program.
    """
    image, trimap = plain_array(image, "image"), plain_array(trimap, "trimap")
    if image.dtype not in (np.uint8, np.float32) or trimap.dtype != np.uint8:
        raise TypeError(f"image is {image.dtype} and trimap {trimap.dtype}; expected uint8 or float32, and uint8")
    if image.shape != (*trimap.shape, 3):
        raise ValueError(f"image {image.shape} and trimap {trimap.shape} do not match; expected (H, W, 3) and (H, W)")
    unit = image if image.dtype == np.float32 else image.astype(np.float32) / 255
    return stack_input(torch.from_numpy(unit).permute(2, 0, 1), torch.from_numpy(trimap.astype(np.float32))[None])


def stack_input(image: torch.Tensor, trimap: torch.Tensor) -> torch.Tensor:
    """Do the same for tensors: ([N,] 3, H, W) float32 RGB in 0..1 and ([N,] 1, H, W) 0, 128, 255 -> ([N,] 4, H, W)."""
    statistics = torch.tensor([IMAGENET_MEAN, IMAGENET_STD], device=image.device)
    mean, deviation = statistics[..., None, None]  # (3, 1, 1) each
    result = image.new_empty(*image.shape[:-3], 4, *image.shape[-2:])
    torch.sub(image, mean, out=result[..., :3, :, :]).div_(deviation)
    torch.div(trimap, 255, out=result[..., 3:, :, :])
    return result


def image_and_trimap(x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact 8-bit image (H, W, 3) RGB and trimap (H, W) that `network_input` made x (4, H, W) from."""
    mean, deviation = torch.tensor([IMAGENET_MEAN, IMAGENET_STD], dtype=torch.float64)[..., None, None]
    colours = x[:3].double().cpu() * deviation + mean
    image, trimap = ((255 * part).round().clamp(0, 255).to(torch.uint8) for part in (colours, x[3].double().cpu()))
    return image.permute(1, 2, 0).contiguous().numpy(), trimap.numpy()
