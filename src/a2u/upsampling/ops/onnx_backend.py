"""Reassembly as an exported file holds it: one operator, the sum over windows, for maps of any size and any batch.

Window position by window position it would be hundreds of nodes, which PyTorch's exporter takes minutes to trace. What
the operator is in ONNX stands in a2u.models.weights.exported_onnx.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from a2u.upsampling.ops import torch_backend
from a2u.upsampling.ops.geometry import Geometry


@torch.library.custom_op("a2u::sums", mutates_args=())
def sums(x: Tensor, weights: Tensor, size: int, stride: int, padding: int) -> Tensor:
    """Sums over windows of size x size positions, each weighted: (N, G, P, c, H/stride, W/stride).

    x: (N, G, c, H, W); weights: (N, G, size*size, P, H/stride, W/stride), or 1 for what all positions share.
    """
    height, width = x.shape[-2:]
    geometry = Geometry(size, x.shape[1], 1, stride, padding, height // stride, width // stride)
    return torch_backend.sums(x.flatten(1, 2), weights, geometry).to(x.dtype)


@sums.register_fake
def _(x: Tensor, weights: Tensor, size: int, stride: int, padding: int) -> Tensor:
    n, groups, channels, height, width = x.shape
    return x.new_empty(n, groups, weights.shape[3], channels, height // stride, width // stride)


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """A back end's (geometry.py), without gradients."""
    up = geometry.up
    weights = kernel.unflatten(1, (geometry.groups, -1)).permute(0, 1, 2, 4, 6, 3, 5).flatten(3, 4)
    grouped = x.unflatten(1, (geometry.groups, -1))
    y = sums(grouped, weights, geometry.kernel_size, geometry.stride, geometry.padding)  # (N, G, P, C/G, h, w)
    blocks = y.unflatten(2, (up, up)).permute(0, 1, 4, 5, 2, 6, 3)
    return blocks.flatten(5, 6).flatten(3, 4).flatten(1, 2)


def encode(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """a2u.upsampling.ops.encoding.encode, where a convolution would need as many groups as the batch has channels."""
    size = kernels.shape[-1]
    weights = kernels.flatten(3).permute(0, 2, 3, 1)[..., None, None]  # (N, G, e*e, outputs, 1, 1)
    y = sums(x.unflatten(1, (kernels.shape[2], -1)), weights, size, stride, (size - 1) // 2)
    return y.transpose(2, 3).flatten(1, 2)  # (N, C, outputs, H/r, W/r)


@torch.library.custom_op("a2u::similarity", mutates_args=())
def similarity(query: Tensor, key: Tensor, size: int) -> Tensor:
    """Inner products with the size x size keys of a window: (N, size*size, P, h, w).

    query: (N, d, P, h, w); key: (N, d, h, w), zeros outside.
    """
    h, w = key.shape[-2:]
    bordered = pad(key, [size // 2] * 4).unsqueeze(2)
    taps = [divmod(tap, size) for tap in range(size**2)]
    return torch.stack(
        [(query * bordered[..., row : row + h, column : column + w]).sum(dim=1) for row, column in taps], dim=1
    )


@similarity.register_fake
def _(query: Tensor, key: Tensor, size: int) -> Tensor:
    return query.new_empty(query.shape[0], size**2, *query.shape[2:])
