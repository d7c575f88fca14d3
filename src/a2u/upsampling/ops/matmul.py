"""Reassembly as products of small matrices, on a CPU: y = K W at every grid position, where there are many channels.

K (P x T) holds the position's kernels, W (T x C/G) its window. Windows are copied out for a few rows of the grid at a
time, which stay in the cache; the whole unfold is never stored.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from a2u.upsampling.ops.geometry import Geometry

TILE = 2**20  # numbers in the windows of a tile, for each thread: 4 MB. Smaller ones cost more in starting operations


class Tile(NamedTuple):
    """Some rows of the grid of one sample and one group, and the rows of x under their windows."""

    sample: int
    group: int
    rows: slice  # of the grid
    source: slice  # of x
    above: int  # rows of zeros above those, where windows reach over the border
    below: int


def forward(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    n, c = x.shape[:2]
    size = (n, c, geometry.up * geometry.h, geometry.up * geometry.w)
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    y = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=layout)
    for tile in _tiles(x, geometry):
        product = torch.bmm(_matrices(kernel, tile, geometry), _windows(x, tile, geometry))  # (positions, P, C/G)
        _put(y, tile, geometry, product)
    return y


def backward(
    grad: Tensor, x: Tensor, kernel: Tensor, geometry: Geometry, need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    grad_x = torch.zeros_like(x) if need_x else None
    grad_kernel = torch.empty_like(kernel) if need_kernel else None
    for tile in _tiles(x, geometry):
        grads = _matrices(grad, tile, geometry)  # (positions, P, C/G)
        if grad_kernel is not None:  # dL/dK = dL/dy W^T
            _put(grad_kernel, tile, geometry, torch.bmm(grads, _windows(x, tile, geometry).transpose(1, 2)))
        if grad_x is not None:  # dL/dW = K^T dL/dy, added up where windows overlap
            products = torch.bmm(_matrices(kernel, tile, geometry).transpose(1, 2), grads)
            _add_windows(grad_x, tile, geometry, products)
    return grad_x, grad_kernel


def _tiles(x: Tensor, geometry: Geometry) -> Iterator[Tile]:
    n, c, height, _ = x.shape
    numbers = geometry.w * geometry.taps * (c // geometry.groups)  # in the windows of a row
    count = max(1, TILE * torch.get_num_threads() // max(1, numbers))
    for sample in range(n):
        for group in range(geometry.groups):
            for start in range(0, geometry.h, count):
                stop = min(start + count, geometry.h)
                first = geometry.stride * start - geometry.padding
                last = geometry.stride * (stop - 1) + geometry.kernel_size - geometry.padding
                source = slice(max(0, first), min(height, last))
                yield Tile(sample, group, slice(start, stop), source, source.start - first, last - source.stop)


def _matrices(enlarged: Tensor, tile: Tile, geometry: Geometry) -> Tensor:
    """Of (N, G*M, r*h, r*w), what belongs to the tile, by grid position: (positions, P, M)."""
    up, w = geometry.up, geometry.w
    part = _transposed(_part(enlarged, tile, geometry, up * tile.rows.start, up * tile.rows.stop))
    return part.view(-1, up, w, up, part.shape[-1]).transpose(1, 2).reshape(-1, up**2, part.shape[-1])


def _put(enlarged: Tensor, tile: Tile, geometry: Geometry, matrices: Tensor) -> None:
    """Write (positions, P, M) to its place in (N, G*M, r*h, r*w)."""
    up, w, m = geometry.up, geometry.w, matrices.shape[-1]
    rows = matrices.view(-1, w, up, up, m).transpose(1, 2).reshape(-1, m)
    _part(enlarged, tile, geometry, up * tile.rows.start, up * tile.rows.stop).copy_(rows.t())


def _windows(x: Tensor, tile: Tile, geometry: Geometry) -> Tensor:
    """What the tile's grid positions see: (positions, T, C/G)."""
    padding, size, step = geometry.padding, geometry.kernel_size, geometry.stride
    width = x.shape[3]
    source = _transposed(_part(x, tile, geometry, tile.source.start, tile.source.stop))
    source = source.view(-1, width, source.shape[-1])  # (rows, W, C/G)
    height, _, channels = source.shape
    around = x.new_zeros(tile.above + height + tile.below, width + 2 * padding, channels)
    around[tile.above : tile.above + height, padding : padding + width] = source
    row, column, channel = around.stride()
    overlapping = around.as_strided(
        (tile.rows.stop - tile.rows.start, geometry.w, size, size, channels),
        (step * row, step * column, row, column, channel),
    )
    return overlapping.reshape(-1, geometry.taps, channels)


def _add_windows(x: Tensor, tile: Tile, geometry: Geometry, windows: Tensor) -> None:
    """Add (positions, T, C/G) to the places in x that `_windows` copied from."""
    padding, step, w, channels = geometry.padding, geometry.stride, geometry.w, windows.shape[-1]
    rows, height, width = tile.rows.stop - tile.rows.start, tile.source.stop - tile.source.start, x.shape[3]
    windows = windows.view(rows, w, geometry.taps, channels)
    around = windows.new_zeros(tile.above + height + tile.below, width + 2 * padding, channels)
    for tap in range(geometry.taps):
        row, column = divmod(tap, geometry.kernel_size)
        seen = around[row : row + step * (rows - 1) + 1 : step, column : column + step * (w - 1) + 1 : step]
        seen += windows[:, :, tap]
    inner = around[tile.above : tile.above + height, padding : padding + width].reshape(-1, channels).t()
    target = _part(x, tile, geometry, tile.source.start, tile.source.stop)
    target += inner if target.stride(0) == 1 else inner.contiguous()


def _part(maps: Tensor, tile: Tile, geometry: Geometry, start: int, stop: int) -> Tensor:
    """View (M, positions) of rows start..stop of the tile's sample and group in (N, G*M, H, W)."""
    m = maps.shape[1] // geometry.groups
    return maps[tile.sample, tile.group * m : (tile.group + 1) * m, start:stop].view(m, -1)


def _transposed(part: Tensor) -> Tensor:
    """(M, positions) -> (positions, M), contiguous; copied row by row first, since PyTorch is slow at doing both."""
    return (part if part.stride(0) == 1 else part.contiguous()).t().contiguous()
