"""Compute the coverage of pixels by polygons: point samples on a fine grid, averaged over each pixel.

Coordinates are (x, y) in pixels from the image's top left corner: pixel (row r, column c) is the square
[c, c+1] x [r, r+1]. OpenCV's fills are not used, because they include every pixel that the outline touches, which
thickens a strand of half a pixel by a quarter even at eightfold supersampling.
"""

from collections.abc import Sequence

import numpy as np

Drawn = tuple[np.ndarray, np.ndarray]  # a layer's colours and its alpha
SAMPLES = 8  # per side of a pixel, 64 per pixel
GOLDEN = 0.6180339887498949


def mask(polygons: Sequence[np.ndarray], size: int, samples: int = SAMPLES) -> np.ndarray:
    """Return which samples lie inside the union of polygons, by the non-zero winding rule.

    Args:
        polygons: arrays (..., N, 2), each a batch of closed polygons of N corners, oriented by `solid`, `hole` or
            `strips` so that solid ones are united and holes cut out.

    Returns:
        (size * samples, size * samples) bool; parts of polygons outside the image are cut off.
    """
    rows = size * samples
    start = np.concatenate([p.reshape(-1, 2) for p in polygons]) * samples
    end = np.concatenate([np.roll(p, -1, axis=-2).reshape(-1, 2) for p in polygons]) * samples
    # Rows are sampled at height r + 0.5, so an edge from y0 to y1 crosses rows ceil(y0 - 0.5) to ceil(y1 - 0.5) - 1.
    first = np.clip(np.ceil(start[:, 1] - 0.5), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(end[:, 1] - 0.5), 0, rows).astype(np.int64)
    crossed = np.abs(last - first)  # (edges,) rows that each edge crosses
    edge = np.repeat(np.arange(len(start)), crossed)  # (crossings,)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
    row = np.minimum(first, last)[edge] + place
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    # Each row's samples are shifted by a different fraction of their spacing, which gives steep edges more levels.
    shift = (row * GOLDEN) % 1.0 - 0.5
    column = np.clip(np.ceil(x - 0.5 - shift), 0, rows).astype(np.int64)
    winding = np.zeros((rows, rows + 1), dtype=np.int16)
    np.add.at(winding.reshape(-1), row * (rows + 1) + column, np.sign(last - first)[edge].astype(np.int16))
    return np.cumsum(winding[:, :-1], axis=1, dtype=np.int16) != 0


def area(inside: np.ndarray, samples: int = SAMPLES) -> np.ndarray:
    """Return the share of each pixel's samples inside: (S * samples, S * samples) bool -> (S, S) float32 in 0..1."""
    size = inside.shape[0] // samples
    rows = inside.reshape(size, samples, -1).sum(axis=1, dtype=np.uint16)
    return rows.reshape(size, size, samples).sum(axis=2, dtype=np.uint16) / np.float32(samples**2)


def coverage(polygons: Sequence[np.ndarray], size: int, samples: int = SAMPLES) -> np.ndarray:
    """Return the share of each pixel covered by the union of polygons, (size, size) float32 in 0..1; see `mask`."""
    return area(mask(polygons, size, samples), samples)


def solid(polygon: np.ndarray) -> np.ndarray:
    """Orient a polygon (N, 2) so that `mask` fills it."""
    return polygon if _doubled_area(polygon) > 0 else polygon[::-1]


def hole(polygon: np.ndarray) -> np.ndarray:
    """Orient a polygon (N, 2) so that `mask` cuts it out of one solid polygon that contains it."""
    return solid(polygon)[::-1]


def strips(paths: np.ndarray, widths: np.ndarray | float) -> np.ndarray:
    """Return bands along paths (P, N, 2), of full widths that broadcast to (P, N): polygons (P, 2N, 2)."""
    along = np.gradient(paths, axis=1)
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-9)
    aside = (
        np.stack([-along[..., 1], along[..., 0]], axis=2) * np.broadcast_to(widths, paths.shape[:2])[..., None] / 2
    )  # (P, N, 2)
    return np.concatenate([paths - aside, (paths + aside)[:, ::-1]], axis=1)


def _doubled_area(polygon: np.ndarray) -> float:
    following = np.roll(polygon, -1, axis=0)
    return float(np.sum(polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1]))
