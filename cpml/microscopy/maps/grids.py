"""Grids of measurement points: found in the coordinates, and who is near whom on them.

Square: all rows start at one x. Hexagonal: every second row starts half a step later (and may be one point
shorter); positions in a row then count in half steps. Hexagons that stand on a side (flat-top: columns are
shifted, not rows) lie on such rows, too, sqrt(3) steps apart in a row and half a step from row to row. A map
that was cropped to a free shape, or has holes, is completed to the full grid; the added places are points
without orientation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from cpml.errors import MapFileError

HEXAGONS = (2 / np.sqrt(3), 2 * np.sqrt(3))
"""Distance in a row over that of rows, of hexagons on a corner and of hexagons on a side."""
NOT_REGULAR = 0.15
MOST_EMPTY = 16
"""A grid with more than this many times the cells that its points fill is taken for damage, not for a map."""


LEAST_STEP_UM, LARGEST_STEP_UM = 1e-6, 1e6
"""An atom's size is a hundred times the first; the second is a metre."""


@dataclass(frozen=True)
class Grid:
    """A grid of measurement points, complete: `cell` (n,) is the place of each given point, `xy` (N, 2) all
    places in um; without `cell` the points fill all places in order.
    """

    kind: str
    shape: tuple[int, int]
    pixel_um: tuple[float, float]
    xy: NDArray
    cell: NDArray | None = None

    @classmethod
    def full(
        cls,
        shape: tuple[int, int],
        pixel_um: tuple[float, float],
        *,
        start: tuple[float, float] = (0.0, 0.0),
        cell: NDArray | None = None,
    ) -> "Grid":
        """A square grid of (rows, columns) whose first place lies at `start`, um."""
        row, col = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        xy = np.stack([start[0] + pixel_um[0] * col, start[1] + pixel_um[1] * row], axis=1)
        return cls("square", shape, pixel_um, xy, cell)

    @property
    def n_holes(self) -> int:
        """Places without a point."""
        return 0 if self.cell is None else len(self.xy) - len(self.cell)

    def spread(self, values: NDArray, empty: float) -> NDArray:
        """Values (n, ...) of the points at their places (N, ...) of the complete grid; `empty` elsewhere."""
        values = np.asarray(values)
        if self.cell is None:
            return values
        out = np.full((len(self.xy), *values.shape[1:]), empty, values.dtype)
        out[self.cell] = values
        return out


def find_grid(name: str, xy: NDArray, *, told: tuple[float, float] | None = None) -> Grid:
    """The square or hexagonal grid of points (N, 2) in um, found in the coordinates.

    Points may come in any order and rows may be cut short or have holes; coordinates may be rounded. The
    steps that a header tells (`told`, um) win over those of the coordinates where both agree to 1 in 1000.

    Raises
    ------
    MapFileError : the points are on no such grid, two are at one place, or nearly all places are empty
    """

    def fail(why: str) -> NoReturn:
        raise MapFileError(
            f"{name}: the {len(xy)} points are on no square or hexagonal grid ({why}); "
            "export the map as it was measured"
        )

    if len(xy) < 2 or not np.isfinite(xy).all() or np.abs(xy).max() > 1e9:
        fail("fewer than two points, or a position that is no number")
    row, dy = _levels(xy[:, 1])
    dx = _spacing_in_rows(xy[:, 0], row) or dy
    dy = dy or (told[1] if told and told[1] > 0 else dx)  # nothing in a single row tells it
    if not dx:
        fail("all points at one place")
    if told is not None:
        dx, dy = (t if abs(t - d) < 1e-3 * d else d for t, d in zip(told, (dx, dy), strict=True))
    half = (xy[:, 0] - xy[:, 0].min()) / (dx / 2)
    off = np.abs(half - np.rint(half))
    whole = np.rint(half / 2)
    if np.mean(np.abs(half / 2 - whole) < 0.2) > 0.99:
        kind, half = "square", 2 * whole.astype(np.int64)
    else:
        kind, half = "hex", np.rint(half).astype(np.int64)
        parity = np.unique((half + row) % 2)
        if len(parity) > 1 or off.max() > 0.4:
            fail("rows are offset by neither nothing nor half a step in turn")
        if min(abs(dx / dy / of_hexagons - 1) for of_hexagons in HEXAGONS) > NOT_REGULAR:
            fail(f"rows are offset by half a step, but {dx:.4g} x {dy:.4g} um apart: is the map turned?")
    return _complete(fail, kind, row, half, (dx, dy), xy.min(axis=0))


def _complete(
    fail: Callable[[str], NoReturn],
    kind: str,
    row: NDArray,
    half: NDArray,
    pixel_um: tuple[float, float],
    start: NDArray,
) -> Grid:
    """Grid of all places between the first and the last row and column of the points."""
    rows, halves = int(row.max()) + 1, int(half.max()) + 1
    if rows * (halves // 2 + 1) > MOST_EMPTY * len(row) + 1000:
        fail(f"a grid of {rows} x {halves // 2 + 1} for so few points")
    if kind == "square":
        places_row, places_half = np.divmod(np.arange(rows * (halves // 2 + 1)), halves // 2 + 1)
        places_half *= 2
        index = row * (halves // 2 + 1) + half // 2
        shape = (rows, halves // 2 + 1)
    else:
        shifted = (row[0] + half[0]) % 2
        picture = (np.add.outer(np.arange(rows), np.arange(halves)) % 2) == shifted
        places_row, places_half = np.nonzero(picture)
        lookup = np.cumsum(picture.ravel()) - 1
        index = lookup[row * halves + half]
        shape = (rows, int(picture.sum(axis=1).max()))
    if len(np.unique(index)) != len(index):
        fail("two points at one place")
    xy = np.stack([start[0] + places_half * pixel_um[0] / 2, start[1] + places_row * pixel_um[1]], axis=1)
    return Grid(kind, shape, pixel_um, xy, index)


def _levels(values: NDArray) -> tuple[NDArray, float | None]:
    """Number of the level of each value and the spacing of levels, None for one level;
    differences by rounding are joined.
    """
    levels, position = np.unique(values, return_inverse=True)
    gaps = np.diff(levels)
    if not len(gaps):
        return np.zeros(len(values), np.int64), None
    is_clean = 2 * len(levels) <= len(values) + 2
    apart = gaps > 0.3 * np.median(gaps if is_clean else gaps[gaps > 0.3 * np.max(gaps)])
    steps, spacing = _whole_steps(gaps[apart])
    number = np.zeros(len(levels), np.int64)
    number[1:][apart] = steps
    return np.cumsum(number)[position.ravel()], spacing


def _whole_steps(gaps: NDArray) -> tuple[NDArray, float]:
    """Gaps as whole numbers of a common spacing, and that spacing, free of the rounding of single gaps."""
    steps = np.maximum(np.rint(gaps / np.median(gaps)), 1).astype(np.int64)
    return steps, float(gaps.sum() / steps.sum())


def _spacing_in_rows(x: NDArray, row: NDArray) -> float | None:
    """Distance of neighbours in a row; None where every row has one point."""
    order = np.lexsort((x, row))
    gaps = np.diff(x[order])[np.diff(row[order]) == 0]
    gaps = gaps[gaps > 0]
    return _whole_steps(gaps)[1] if len(gaps) else None


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


def hex_pairs(rows: NDArray, half: NDArray, order: int, *, flat_top: bool = False) -> NDArray:
    """Pairs by offset (di rows, dh half steps); hexagonal distance = max(di, (di + |dh|)/2).

    Where columns, not rows, are shifted in turn (flat-top hexagons), di and dh change places.
    """
    lookup = np.full((rows.max() + 1, half.max() + 1), -1, np.int64)
    lookup[rows, half] = np.arange(len(rows))
    found = []
    for di in range((2 if flat_top else 1) * order + 1):
        for dh in range(-2 * order, 2 * order + 1):
            along, across = (abs(dh), di) if flat_top else (di, abs(dh))
            if (di + dh) % 2 or max(along, (along + across) // 2) > order or (di == 0 and dh <= 0):
                continue
            r, h = rows + di, half + dh
            inside = np.flatnonzero((r < lookup.shape[0]) & (h >= 0) & (h < lookup.shape[1]))
            b = lookup[r[inside], h[inside]]
            found.append(np.stack([inside[b >= 0], b[b >= 0]], axis=1))
    return np.concatenate(found)
