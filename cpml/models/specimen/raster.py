"""The map of a specimen on a coarse grid of cells, as the full field needs it: the grain of every cell."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cpml.models.numerics import STANDARD, Numerics


def grain_raster(xy: NDArray, row: NDArray, n_grains: int, numerics: Numerics = STANDARD) -> NDArray | None:
    """Grain of every cell of a square grid over the map; cells without a grain take the nearest one.

    Parameters
    ----------
    xy : (N, 2) um, map points
    row : (N,) row of the grain of each point, negative where there is none (another phase, not indexed)
    n_grains : number of grains of the specimen

    Returns
    -------
    (rows, columns) int, or None where no point has a grain
    """
    inside = np.asarray(row) >= 0
    if not inside.any():
        return None
    low, high = xy.min(0), xy.max(0)
    side = np.maximum(high - low, 1e-9)
    diameter = np.sqrt(side[0] * side[1] / max(n_grains, 1))
    longest = side.max()
    wanted = numerics.cells_per_diameter * longest / diameter
    cells = np.clip(wanted, numerics.fewest_cells, numerics.most_cells)
    columns, rows = (max(round(cells * s / longest), 1) for s in side)
    centres = [low[i] + (np.arange(n) + 0.5) * side[i] / n for i, n in enumerate((columns, rows))]
    x, y = np.meshgrid(*centres)
    _, nearest = cKDTree(xy[inside]).query(np.stack([x, y], axis=-1))
    return np.asarray(row)[inside][nearest].astype(np.int64)
