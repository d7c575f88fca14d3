"""Turn a batch of crops into network input and targets: jitter, composition, normalisation (Sec. 6.3).

Runs on the device of the batch; nothing random is drawn here.
"""

import torch
from torch import Tensor

from a2u.network_input import UNKNOWN, stack_input

JITTER_REACH = 1.1  # saturation and value shift by at most (1.1 - mean) / 10
EPSILON = 1e-12  # replaces 0 in divisors, for pixels without colour or light; far below 1/255


def compose_batch(crops: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compose a batch.

    Args:
        crops: the parts of `transforms.Sample`, batched: foreground and background (N, H, W, 3) uint8 RGB, alpha and
            trimap (N, H, W) uint8; for jitter also shifts (N, 3) float32, for noise also noise (N, H, W, 3) float32.

    Returns:
        input: (N, 4, H, W) float32, see `a2u.network_input`.
        alpha: (N, 1, H, W) in 0..1.
        unknown: (N, 1, H, W), 1 where the trimap is unknown, else 0.
        fg, bg, image: (N, 3, H, W) RGB in 0..1, image = alpha * fg + (1 - alpha) * bg (Eq. 1). Noise is added to the
            input only: no alpha could explain it in the composition loss.
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

    Saturation and value shift by a share of (1.1 - m) / 10, m the channel's mean over the visible pixels, and are
    reflected at 0 and 1.

    Args:
        foreground: (N, 3, H, W) RGB in 0..1.
        visible: (N, 1, H, W), 1 where alpha is above 0, else 0.
        shifts: (N, 3), see `a2u.data.sampling.transforms.random_shifts`.

    Returns:
        (N, 3, H, W) RGB in 0..1.
    """
    red, green, blue = foreground.split(1, dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = value - least
    saturation = chroma / value.clamp(min=EPSILON)
    chroma.clamp_(min=EPSILON)
    # Hue in units of 60 degrees from yellow, -3..3, positive towards green; grey counts as red, as in OpenCV. Of a pure
    # colour, green - red rises from 0 at yellow to 1 at green, stays 1 until cyan while blue rises from 0 to 1, and
    # falls to 0 at blue; likewise, negative, by way of red and magenta. (Selection would be far slower on a CPU.)
    across, blueness = (green - red).sub_(EPSILON).div_(chroma), (blue - least).div_(chroma)
    hue = (1 - across.abs()).mul_(2 * blueness - 1).add_(blueness).add_(1).copysign_(across)
    hue += shifts[:, :1, None, None] / 60

    count = visible.sum(dim=(2, 3), keepdim=True).clamp_(min=1)
    for channel, share in (saturation, shifts[:, 1]), (value, shifts[:, 2]):
        mean = (channel * visible).sum(dim=(2, 3), keepdim=True) / count
        channel += share[:, None, None, None] * (JITTER_REACH - mean) / 10
        channel.abs_().neg_().add_(1).abs_().neg_().add_(1)

    # Red lies at -1, green at 1, blue at +-3. A channel is full up to a distance of 1 from its hue and zero from 2 on;
    # `lack` is -1..0. The distance around the circle of 6 is 3 - |3 - |hue - channel||.
    lack = torch.cat([hue + 1, hue - 1, hue + 3], dim=1).abs_().sub_(3).abs_().sub_(2).clamp_(-1, 0)
    return torch.addcmul(value, value * saturation, lack)


def _unit(pixels: Tensor) -> Tensor:
    """Convert uint8 in 0..255 to contiguous float32 in 0..1."""
    return pixels.contiguous().float().div_(255)
