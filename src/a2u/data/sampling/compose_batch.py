"""From crops to what a network is trained on: jitter, composition, normalisation (Sec. 6.3, released program).

Of a batch at a time, on whatever device it lies; nothing is drawn here.
"""

import torch
from torch import Tensor

from a2u.network_input import UNKNOWN, stack_input

# What jitter may add to a mean of 0; at a mean of 1 it adds a tenth of 0.1.
JITTER_REACH = 1.1
# Stands for 0 in divisors, those of pixels without colour or without light; far below 1/255.
LEAST = 1e-12


def finish(crops: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compose a batch.

    Args:
        crops: samples of `transforms.make_sample`, by the names of their parts: foreground and background
            (N, H, W, 3) uint8 RGB, alpha and trimap (N, H, W) uint8, for jitter, shifts (N, 3) float32, and, for
            noise, noise (N, H, W, 3) float32.

    Returns:
        input (N, 4, H, W) float32, see `a2u.network_input`; alpha (N, 1, H, W) in 0..1; unknown (N, 1, H, W),
        1 where the trimap is unknown, else 0; fg, bg, image (N, 3, H, W) RGB in 0..1,
        image = alpha * fg + (1 - alpha) * bg (Eq. 1). Noise is seen in the input alone: a loss of composition that
        held it would ask for colours that no alpha gives.
    """
    foreground, background = (_unit(crops[key].permute(0, 3, 1, 2)) for key in ("foreground", "background"))
    alpha, trimap = _unit(crops["alpha"][:, None]), crops["trimap"][:, None]
    if "shifts" in crops:
        foreground = jitter(foreground, crops["alpha"][:, None].clamp(max=1).float(), crops["shifts"])
    image = torch.lerp(background, foreground, alpha)
    seen = image
    if "noise" in crops:
        seen = (image + crops["noise"].permute(0, 3, 1, 2) / 255).clamp_(0, 1)
    return {
        "input": stack_input(seen, trimap),
        "alpha": alpha,
        "unknown": (trimap == UNKNOWN).float(),
        "fg": foreground,
        "bg": background,
        "image": image,
    }


def jitter(foreground: Tensor, visible: Tensor, shifts: Tensor) -> Tensor:
    """Shift hue, saturation and value of foregrounds.

    Saturation and value shift by their shares of (1.1 - m)/10, m being the channel's mean over the visible pixels,
    and are reflected at 0 and 1.

    Args:
        foreground: (N, 3, H, W) RGB in 0..1.
        visible: (N, 1, H, W), 1 where something of the foreground is seen, else 0.
        shifts: (N, 3), see `a2u.data.sampling.transforms.random_shifts`.

    Returns:
        (N, 3, H, W) RGB in 0..1.
    """
    red, green, blue = foreground.split(1, dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    saturation = chroma / value.clamp(min=LEAST)
    chroma.clamp_(min=LEAST)
    # Hue in units of 60 degrees, counted from yellow, where red and green are equal and blue is least: -3..3, towards
    # green positive. In a pure colour (of 0 and 1 and one between) green - red grows by 1 from yellow to green, where
    # blue begins to grow by 1, and falls by 1 once blue is there. (On a CPU arithmetic is far faster than selection.)
    # Grey counts as red, as it does in OpenCV.
    across, blueness = (green - red).sub_(LEAST).div_(chroma), (blue - least).div_(chroma)
    hue = (1 - across.abs()).mul_(2 * blueness - 1).add_(blueness).add_(1).copysign_(across)
    hue += shifts[:, :1, None, None] / 60

    count = visible.sum(dim=(2, 3), keepdim=True).clamp_(min=1)
    for channel, share in (saturation, shifts[:, 1]), (value, shifts[:, 2]):
        mean = (channel * visible).sum(dim=(2, 3), keepdim=True) / count
        channel += share[:, None, None, None] * (JITTER_REACH - mean) / 10
        channel.abs_().neg_().add_(1).abs_().neg_().add_(1)

    # Red and green stand 1 to either side of yellow, blue opposite. At a hue `far` steps from one of them it is full
    # up to 1, gone from 2: value less what saturation takes. 3 - |3 - far| is the way round the circle.
    lack = torch.cat([hue + 1, hue - 1, hue + 3], dim=1).abs_().sub_(3).abs_().sub_(2).clamp_(-1, 0)
    return torch.addcmul(value, value * saturation, lack)


def _unit(pixels: Tensor) -> Tensor:
    """uint8 in 0..255 -> float32 in 0..1, contiguous."""
    return pixels.contiguous().float().div_(255)
