"""Reassembly and similarity as compositions of PyTorch's own operators, for whoever records or transforms them.

Differentiable any number of times and in any mode. An unfold of x is stored, which the back ends avoid.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import unfold

from a2u.upsampling.ops.geometry import Geometry


def tracing() -> bool:
    """Return whether torch.jit traces."""
    return bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call, attr-defined]


def recording() -> bool:
    """Return whether torch.jit traces or torch.func transforms: neither sees behind an operator of a library."""
    return not torch.compiler.is_compiling() and (tracing() or torch._C._are_functorch_transforms_active())


def watched(x: Tensor) -> bool:
    """Return whether anybody but autograd sees what is done to x: then only PyTorch's own operators may do it."""
    if torch.compiler.is_compiling() or recording():
        return True
    return type(x) not in (Tensor, Parameter) or torch._C._len_torch_dispatch_stack() > 0


def sums(x: Tensor, weights: Tensor, size: int, stride: int, padding: int) -> Tensor:
    """Sums over windows of size x size positions, each weighted: (N, G, P, c, H/stride, W/stride).

    x: (N, G, c, H, W); weights: (N, G, size*size, P, H/stride, W/stride), or 1 for what all positions share.
    """
    height, width = x.shape[-2:]
    windows = unfold(x.flatten(1, 2), size, padding=padding, stride=stride)  # (N, G*c*T, L)
    windows = windows.unflatten(1, (*x.shape[1:3], size**2)).permute(0, 1, 4, 2, 3)  # (N, G, L, c, T)
    y = windows @ weights.flatten(4).permute(0, 1, 4, 2, 3)  # (N, G, L, c, P)
    return y.permute(0, 1, 4, 3, 2).unflatten(4, (height // stride, width // stride))


def similarity(query: Tensor, key: Tensor, size: int) -> Tensor:
    """Inner products with the size x size keys of a window: (N, size*size, P, h, w).

    query: (N, d, P, h, w); key: (N, d, h, w), zeros outside.
    """
    windows = unfold(key, size, padding=size // 2).unflatten(1, (-1, size**2)).permute(0, 3, 2, 1)  # (N, L, T, d)
    products = windows @ query.flatten(3).permute(0, 3, 1, 2)  # (N, L, T, P)
    return products.permute(0, 2, 3, 1).unflatten(3, key.shape[-2:])


def forward(x: Tensor, kernel: Tensor, geometry: Geometry, sums: Callable[..., Tensor] = sums) -> Tensor:
    """A back end's (geometry.py), its gradients those of the composition."""
    up = geometry.up
    weights = kernel.unflatten(1, (geometry.groups, -1)).permute(0, 1, 2, 4, 6, 3, 5).flatten(3, 4)
    grouped = x.unflatten(1, (geometry.groups, -1))
    y = sums(grouped, weights, geometry.kernel_size, geometry.stride, geometry.padding)  # (N, G, P, C/G, h, w)
    blocks = y.unflatten(2, (up, up)).permute(0, 1, 4, 5, 2, 6, 3)
    return blocks.flatten(5, 6).flatten(3, 4).flatten(1, 2)


def encode(x: Tensor, kernels: Tensor, stride: int, sums: Callable[..., Tensor] = sums) -> Tensor:
    """encoding.encode for a batch of any size, where a convolution would need as many groups as it has channels."""
    size = int(kernels.shape[-1])  # a tensor in torch.jit.trace
    weights = kernels.flatten(3).permute(0, 2, 3, 1)[..., None, None]  # (N, G, e*e, outputs, 1, 1)
    y = sums(x.unflatten(1, (kernels.shape[2], -1)), weights, size, stride, (size - 1) // 2)
    return y.transpose(2, 3).flatten(1, 2)  # (N, C, outputs, H/r, W/r)
