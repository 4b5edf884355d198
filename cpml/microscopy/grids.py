"""Grids of measurement points: found in the coordinates, and who is near whom on them.

Square: all rows start at one x. Hexagonal: every second row starts half a step later (and may be one point
shorter); positions in a row then count in half steps.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError


def find_grid(name: str, xy: NDArray) -> tuple[str, tuple[int, int], tuple[float, float], NDArray]:
    """Grid kind, (rows, columns), (dx, dy) and row order of points (N, 2) in um, from the coordinates alone.
    """

    def fail(why):
        raise MapFileError(
            f"{name}: the {len(xy)} points are no complete square or hexagonal grid ({why}); "
            "export the map without cropping it to a free shape"
        )

    if len(xy) < 2 or not np.isfinite(xy).all():
        fail("fewer than two points, or a position that is no number")
    y_levels, dy = _levels(xy[:, 1])
    row = np.rint((xy[:, 1] - y_levels[0]) / dy).astype(np.int64)
    order = np.lexsort((xy[:, 0], row))
    row, x = row[order], xy[order, 0]
    counts = np.bincount(row)
    inside = np.diff(row) == 0
    dx = float(np.median(np.diff(x)[inside])) if inside.any() else dy
    if dx <= 0 or np.any(np.abs(np.diff(x)[inside] - dx) > 0.3 * dx):
        fail("a row has a gap or a double point")
    starts = x[np.r_[0, np.cumsum(counts)[:-1]]] if counts.min() > 0 else fail("a row is empty")
    shift = np.rint((starts - starts.min()) / (dx / 2)).astype(int)
    if np.all(shift == 0) and np.all(counts == counts[0]):
        return "square", (len(counts), int(counts[0])), (dx, dy), order
    if len(counts) > 1 and set(shift) <= {0, 1} and np.all(np.diff(shift) != 0) and np.ptp(counts) <= 1:
        return "hex", (len(counts), int(counts.max())), (dx, dy), order
    fail("rows of unequal length or offset")


def _levels(values: NDArray) -> tuple[NDArray, float]:
    """Distinct grid positions of one coordinate and their spacing; rounding in the file is joined."""
    levels = np.unique(values)
    gaps = np.diff(levels)
    if not len(gaps):
        return levels, 1.0
    wide = gaps[gaps > 0.3 * np.max(gaps)]
    spacing = float(np.ptp(levels) / len(wide)) if len(wide) else 1.0
    return levels, spacing


def square_pairs(shape: tuple[int, int], order: int) -> NDArray:
    """Pairs of pixels (P, 2) of a (rows, columns) grid with |di| + |dj| <= order, each once."""
    rows, cols = shape
    index = np.arange(rows * cols, dtype=np.int32 if rows * cols < 2**31 else np.int64).reshape(shape)
    found = []
    for di in range(min(order, rows - 1) + 1):
        for dj in range(-(order - di), order - di + 1):
            if (di == 0 and dj <= 0) or abs(dj) >= cols:
                continue
            a = index[: rows - di, max(0, -dj) : cols - max(0, dj)]
            b = index[di:, max(0, dj) : cols - max(0, -dj)]
            found.append(np.stack([a.ravel(), b.ravel()], axis=1))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def hex_pairs(rows: NDArray, half: NDArray, order: int) -> NDArray:
    """Pairs by offset (di rows, dh half steps); hexagonal distance = max(di, (di + |dh|)/2)."""
    lookup = np.full((rows.max() + 1, half.max() + 1), -1, np.int64)
    lookup[rows, half] = np.arange(len(rows))
    found = []
    for di in range(order + 1):
        for dh in range(-2 * order, 2 * order + 1):
            if (di + dh) % 2 or max(di, (di + abs(dh)) // 2) > order or (di == 0 and dh <= 0):
                continue
            r, h = rows + di, half + dh
            inside = np.flatnonzero((r < lookup.shape[0]) & (h >= 0) & (h < lookup.shape[1]))
            b = lookup[r[inside], h[inside]]
            found.append(np.stack([inside[b >= 0], b[b >= 0]], axis=1))
    return np.concatenate(found)
