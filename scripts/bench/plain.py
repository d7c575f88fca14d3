"""Plain formulations of reassembly, encoding and residual blocks, and the matting network made of these."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from a2u.models.decoder import OneChannelConv
from a2u.models.layers import BasicBlock
from a2u.upsampling import affinity, global_layers
from a2u.upsampling.initialise import LEAKY_SLOPE
from a2u.upsampling.ops import encoding


def reassemble_up(x: Tensor, kernel: Tensor, kernel_size: int, groups: int = 1, ratio: int = 2) -> Tensor:
    """Unfold, enlarge to the nearest, multiply, sum. Arguments as for `a2u.upsampling.ops.reassemble_up`."""
    n, c, h, w = x.shape
    kernel = F.pixel_shuffle(kernel.flatten(1, 2), ratio) if kernel.dim() == 5 else kernel
    windows = F.unfold(x, kernel_size, padding=kernel_size // 2).view(n, c * kernel_size**2, h, w)
    windows = F.interpolate(windows, scale_factor=ratio, mode="nearest")
    windows = windows.view(n, groups, c // groups, kernel_size**2, ratio * h, ratio * w)
    weights = kernel.view(n, groups, 1, kernel_size**2, ratio * h, ratio * w)
    return (windows * weights).sum(dim=3).view(n, c, ratio * h, ratio * w)


def reassemble_down(x: Tensor, kernel: Tensor, kernel_size: int, groups: int = 1, ratio: int = 2) -> Tensor:
    """Unfold, multiply, sum. Arguments as for `a2u.upsampling.ops.reassemble_down`."""
    n, c, height, width = x.shape
    h, w = height // ratio, width // ratio
    windows = F.unfold(x, kernel_size, padding=(kernel_size - ratio) // 2, stride=ratio)
    windows = windows.view(n, groups, c // groups, kernel_size**2, h, w)
    return (windows * kernel.view(n, groups, 1, kernel_size**2, h, w)).sum(dim=3).view(n, c, h, w)


def encode(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """Sample by sample, every channel convolved by itself. Arguments as for `a2u.upsampling.ops.encoding.encode`."""
    n, c = x.shape[:2]
    outputs, shared, size = kernels.shape[1:4]
    encoded = []
    for sample in range(n):
        own = kernels[sample if len(kernels) > 1 else 0]  # (outputs, G, e, e)
        own = own.repeat_interleave(c // shared, dim=1).transpose(0, 1).reshape(c * outputs, 1, size, size)
        encoded.append(F.conv2d(x[sample : sample + 1], own, stride=stride, padding=(size - 1) // 2, groups=c))
    y = torch.cat(encoded)
    return y.view(n, c, outputs, *y.shape[-2:])


def block_sum(block: BasicBlock, x: Tensor, y: Tensor) -> Tensor:
    """The end of a residual block, with a map for the sum and one for its activation."""
    return F.leaky_relu(block.conv2(y) + block.projection(x), LEAKY_SLOPE)


@contextmanager
def network() -> Iterator[None]:
    """Inside, A2U and the network around it compute plainly."""
    plainly = [
        (affinity, "reassemble_up", reassemble_up),
        (affinity, "reassemble_down", reassemble_down),
        (encoding, "encode", encode),
        (encoding, "by_triton", lambda x: False),  # U and V one after the other, as on a CPU
        (global_layers, "average_by_products", F.adaptive_avg_pool2d),
        (BasicBlock, "_sum", block_sum),
        (OneChannelConv, "forward", nn.Conv2d.forward),
    ]
    ours = [(owner, name, getattr(owner, name)) for owner, name, _ in plainly]
    for owner, name, function in plainly:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in ours:
            setattr(owner, name, function)
