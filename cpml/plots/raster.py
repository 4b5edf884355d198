"""Map points as an image: which point every raster cell shows.

Square maps are shown pixel by pixel; hexagonal maps on a raster of half their steps, every cell showing the
nearest point. Maps larger than `MAX_CELLS` on a side are thinned, since no printed figure shows more.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError

MAX_CELLS = 2000

Extent = tuple[float, float, float, float]
"""(left, right, bottom, top) of an image in um, y downwards, so that bottom > top."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Image coordinates of a map.

    index : (H, W) int, the map point shown by each cell, -1 where there is none
    extent : of the image
    """

    index: NDArray
    extent: Extent

    def image(self, values: ArrayLike, *, missing: float = np.nan) -> NDArray:
        """(H, W[, k]) image of (N[, k]) values."""
        image = np.asarray(values, dtype=float)[np.clip(self.index, 0, None)]
        image[self.index < 0] = missing
        return image


def raster(ebsd_map: Any) -> Raster:
    """The raster of an `EbsdMap`, whatever its grid.

    Raises
    ------
    ParameterError : the map has no points
    """
    if len(ebsd_map.xy) == 0:
        raise ParameterError("the map has no points: nothing to draw")
    return _hexagonal(ebsd_map) if ebsd_map.grid == "hex" else _square(ebsd_map)


def pixel_extent(shape: tuple[int, int], step_um: float) -> Extent:
    """Extent of a picture of (rows, columns) pixels whose first pixel is centred at 0, 0."""
    rows, columns = shape
    half = step_um / 2
    return -half, columns * step_um - half, rows * step_um - half, -half


def aspect(extent: Extent) -> float:
    """Height / width."""
    left, right, bottom, top = extent
    return abs(bottom - top) / abs(right - left)


def _square(ebsd_map: Any) -> Raster:
    points = np.asarray(ebsd_map.image(np.arange(len(ebsd_map.xy), dtype=float)))
    index = np.where(np.isfinite(points), points, -1).astype(int)
    low, high = ebsd_map.xy.min(axis=0), ebsd_map.xy.max(axis=0)
    rows, cols = index.shape
    half_x = (high[0] - low[0]) / (cols - 1) / 2 if cols > 1 else ebsd_map.step_um / 2
    half_y = (high[1] - low[1]) / (rows - 1) / 2 if rows > 1 else ebsd_map.step_um / 2
    stride = -(-max(rows, cols) // MAX_CELLS)
    extent = low[0] - half_x, high[0] + half_x, high[1] + half_y, low[1] - half_y
    return Raster(index[::stride, ::stride], extent)


def _hexagonal(ebsd_map: Any) -> Raster:
    from scipy.spatial import cKDTree

    step = float(ebsd_map.step_um)
    row_step = step * np.sqrt(3) / 2
    low, high = ebsd_map.xy.min(axis=0), ebsd_map.xy.max(axis=0)
    left, right = low[0] - step / 2, high[0] + step / 2
    top, bottom = low[1] - row_step / 2, high[1] + row_step / 2
    cols = min(round(2 * (right - left) / step), MAX_CELLS)
    rows = min(round(2 * (bottom - top) / row_step), MAX_CELLS)
    x = left + (np.arange(cols) + 0.5) * (right - left) / cols
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    distance, index = cKDTree(ebsd_map.xy).query(np.stack(np.meshgrid(x, y), axis=-1))
    index[distance > step] = -1
    return Raster(index, (left, right, bottom, top))
