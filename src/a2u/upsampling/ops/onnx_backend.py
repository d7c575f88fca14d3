"""What torch.export keeps of reassembly: one operator, the sum over windows, for maps of any size and any batch.

Other exporters decompose it (composite.py); in our own files it becomes a sum window position by window position
(a2u.models.weights.exported_onnx), which stores no unfold.
"""

import torch
from torch import Tensor
from torch._decomp import register_decomposition

from a2u.upsampling.ops import composite
from a2u.upsampling.ops.geometry import Geometry


@torch.library.custom_op("a2u::sums", mutates_args=())
def sums(x: Tensor, weights: Tensor, size: int, stride: int, padding: int) -> Tensor:
    """Compute `composite.sums`."""
    return composite.sums(x, weights, size, stride, padding).contiguous()


@sums.register_fake
def _(x: Tensor, weights: Tensor, size: int, stride: int, padding: int) -> Tensor:
    n, groups, channels, height, width = x.shape
    return x.new_empty(n, groups, weights.shape[3], channels, height // stride, width // stride)


@torch.library.custom_op("a2u::similarity", mutates_args=())
def similarity(query: Tensor, key: Tensor, size: int) -> Tensor:
    """Compute `composite.similarity`."""
    return composite.similarity(query, key, size).contiguous()


@similarity.register_fake
def _(query: Tensor, key: Tensor, size: int) -> Tensor:
    return query.new_empty(query.shape[0], size**2, *query.shape[2:])


register_decomposition(torch.ops.a2u.sums.default)(composite.sums)
register_decomposition(torch.ops.a2u.similarity.default)(composite.similarity)


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """A back end's (geometry.py), without gradients."""
    return composite.forward(x, kernel, geometry, sums)


def encode(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """Compute `composite.encode`."""
    return composite.encode(x, kernels, stride, sums)
