"""Corners of the pixels of a map: where three or four cells meet.

Square grids: windows of 2 x 2 pixels, four cells round a corner; hexagonal grids: three. The rim of the map
is included with cells that do not exist (-1).
"""

import numpy as np
from numpy.typing import NDArray

from cpml.microscopy.maps.ebsd_map import EbsdMap


def vertex_cells(ebsd_map: EbsdMap) -> tuple[NDArray, NDArray]:
    """Pixels (V, 4) or (V, 3) round each corner, in cyclic order, -1 outside the map, and its position
    (V, 2), um.
    """
    return _square(ebsd_map) if ebsd_map.grid == "square" else _hexagonal(ebsd_map)


def _square(m: EbsdMap) -> tuple[NDArray, NDArray]:
    rows, cols = m.shape
    index = np.full((rows + 2, cols + 2), -1, np.int64)
    index[1:-1, 1:-1] = np.arange(rows * cols).reshape(rows, cols)
    cells = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1)
    (x0, y0), (dx, dy) = m.xy[0], m.pixel_um
    y, x = np.mgrid[: rows + 1, : cols + 1]
    xy = np.stack([x0 + (x - 0.5) * dx, y0 + (y - 0.5) * dy], axis=-1)
    return cells.reshape(-1, 4), xy.reshape(-1, 2)


def _hexagonal(m: EbsdMap) -> tuple[NDArray, NDArray]:
    """Triangles of neighbouring centres: (r, h), (r, h+2), (r+1, h+1) below and the mirror image above; r
    and h are line and place on it.
    """
    row, half = m.hexagon_lines
    index = np.full((row.max() + 3, half.max() + 7), -1, np.int64)
    index[row + 1, half + 3] = np.arange(m.n_pixels)
    parity = (half[0] + row[0]) % 2
    r, h = np.mgrid[0 : index.shape[0], 1 : index.shape[1] - 2]
    centre = (r - 1 + h - 3) % 2 == parity  # the places of a hexagonal grid
    r, h = r[centre], h[centre]
    found = []
    for dr in (1, -1):
        inside = (r + dr >= 0) & (r + dr < index.shape[0])
        a, b = r[inside], h[inside]
        cells = np.stack([index[a, b], index[a, b + 2], index[a + dr, b + 1]], axis=-1)
        found.append((cells, np.stack([b + 1 - 3, a - 1 + dr / 3], axis=-1)))
    cells, place = (np.concatenate(v) for v in zip(*found, strict=True))
    used = (cells >= 0).any(axis=1)
    scale = [m.pixel_um[0] / 2, m.pixel_um[1]]
    first = np.array([half[0], row[0]])
    if m.flat_top:
        place, first = place[:, ::-1], first[::-1]
    return cells[used], m.xy[0] + (place[used] - first) * scale


def labels_at(cells: NDArray, label: NDArray) -> NDArray:
    """Labels (V, m) of the cells round each corner, 0 outside the map."""
    return np.r_[label, 0][cells]
