"""Equilibrium on the measured map: stress and slip of every point of it, and of its grains.

The map is laid on a grid of cells, finer than the coarse raster of `cpml.models.mechanics.grain_stress`, and
deformed as a periodic plane of columns (`cpml.plasticity.field`). So it knows every neighbour in the plane
and none below: depth is not measured. Cells without a grain take the nearest one.

Stresses are relative to the von Mises stress of the mean, shear rates to the mean total shear rate.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.tensors import von_mises_stress
from cpml.errors import CpmlError, ParameterError
from cpml.models.mechanics.hot_spots import Cells, boundary_distance, junction_distance
from cpml.models.numerics import STANDARD
from cpml.models.specimen.raster import grain_raster
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.field.full_field import Field, full_field, grain_mean
from cpml.plasticity.laws.law import PowerLaw

CELLS_PER_DIAMETER = 12.0
"""Enough to tell a boundary from the inside of its grain, where the map is small enough for it."""
TOLERANCE = 1e-3
"""Of the field's power; ten times less moves profiles and shares by 1 %, well within their intervals."""
MARGIN = 0.5
"""Grain diameters along the edges of the map that are left out: what lies beyond them is its other side."""


@dataclass(frozen=True, eq=False)
class MapField:
    """A solved map; build one with :func:`solve_map`. Grids are (rows, columns), grains in specimen order."""

    specimen: Specimen
    field: Field
    extent: tuple[float, float, float, float]  # left, right, bottom, top of the grid in um, y downwards

    @property
    def grain_index(self) -> NDArray:
        """(rows, columns) row of the grain of every cell."""
        return self.field.grain_index

    @property
    def cell_um(self) -> tuple[float, float]:
        """Edges of a cell along x and y, um."""
        rows, columns = self.grain_index.shape
        left, right, bottom, top = self.extent
        return (right - left) / columns, (bottom - top) / rows

    @property
    def diameter_um(self) -> float:
        """Diameter of a circle with the mean area of the grains that have cells, um."""
        x, y = self.cell_um
        area = self.grain_index.size * x * y / len(np.unique(self.grain_index))
        return float(np.sqrt(4 * area / np.pi))

    @cached_property
    def stress(self) -> NDArray:
        """(rows, columns) von Mises stress over that of the mean."""
        return von_mises_stress(self.field.stress) / self.field.von_mises

    @cached_property
    def shear(self) -> NDArray:
        """(rows, columns) total shear rate over the mean."""
        total = np.abs(self.field.shear_rate).sum(-1)
        return total / total.mean()

    @cached_property
    def family(self) -> NDArray:
        """(rows, columns) number of the family that shears most, of ``specimen.systems.family_names``."""
        return _by_family(self.specimen, np.abs(self.field.shear_rate)).argmax(-1)

    @cached_property
    def cells(self) -> Cells:
        """The cells by their places; those within `MARGIN` of the edges of the map do not count."""
        rows, columns = self.grain_index.shape
        x, y = np.ceil(MARGIN * self.diameter_um / np.array(self.cell_um)).astype(int)
        inner = np.zeros((rows, columns), bool)
        inner[y : rows - y, x : columns - x] = True
        return Cells(
            self.grain_index,
            boundary_distance(self.grain_index, self.cell_um),
            junction_distance(self.grain_index, self.cell_um),
            width_um=max(self.cell_um),
            diameter_um=self.diameter_um,
            chosen=inner,
        )

    @cached_property
    def grain_gradient(self) -> NDArray:
        """(G, 3, 3) mean velocity gradient of every grain per von Mises strain rate of the load; NaN
        without cells.
        """
        mean = grain_mean(self.grain_index, self.field.velocity_gradient) / self.specimen.load.rate
        return _for_all(mean, len(self.specimen))

    @cached_property
    def grain_table(self) -> pd.DataFrame:
        """One row a grain: grain_id, n_cells, stress (von Mises of its mean), scatter (standard deviation of
        the stress inside it), shear, family and target (slip plane or twin variant) that shear most.
        """
        number, grains = self.grain_index, len(self.specimen)
        first, second = grain_mean(number, self.stress), grain_mean(number, self.stress**2)
        shear = _for_all(grain_mean(number, np.abs(self.field.shear_rate)), grains)
        total = shear.sum(-1) / np.abs(self.field.shear_rate).sum(-1).mean()
        return pd.DataFrame(
            {
                "grain_id": self.specimen.grain_ids,
                "n_cells": np.bincount(number.ravel(), minlength=grains),
                "stress": von_mises_stress(self.grain_stress),
                "scatter": _for_all(np.sqrt(np.maximum(second - first**2, 0.0)), grains),
                "shear": total,
                **leading(self.specimen, shear),
            }
        )

    @cached_property
    def grain_stress(self) -> NDArray:
        """(G, 5) mean stress deviator of every grain over the von Mises stress of the mean."""
        mean = grain_mean(self.grain_index, self.field.stress) / self.field.von_mises
        return _for_all(mean, len(self.specimen))


def solve_map(
    specimen: Specimen,
    law: PowerLaw,
    points: tuple[ArrayLike, ArrayLike],
    *,
    cells: int = 96,
    tol: float = TOLERANCE,
    threads: int = 2,
) -> MapField:
    """The full field of a specimen's map under its load.

    Parameters
    ----------
    law : of the specimen's systems
    points : (xy (N, 2) um, grain_id (N,)) of all map points
    cells : of the grid, along the longer side of the map, at most
    tol, threads : as in full_field

    Raises
    ------
    ParameterError : fewer than 2 cells; CpmlError : a map without a grain of the specimen
    """
    if cells < 2:
        raise ParameterError(f"cells = {cells} must be at least 2")
    xy = np.asarray(points[0], float)
    row = pd.Series(np.arange(len(specimen)), index=specimen.grain_ids).reindex(np.asarray(points[1]))
    numerics = replace(STANDARD, cells_per_diameter=CELLS_PER_DIAMETER, most_cells=cells)
    raster = grain_raster(xy, row.fillna(-1).to_numpy(int), len(specimen), numerics)
    if raster is None:
        raise CpmlError(f"specimen {specimen.name!r} has no grain on the map: there is no field to solve")
    low, high = xy.min(0), xy.max(0)
    is_flat = high <= low  # a line of points has no width: any does
    low, high = np.where(is_flat, low - 0.5, low), np.where(is_flat, high + 0.5, high)
    x, y = (float(size) for size in (high - low) / raster.shape[::-1])
    field = full_field(
        law,
        raster,
        specimen.quaternions,
        loading=specimen.load,
        step=(x, y),
        tol=tol,
        threads=threads,
    )
    return MapField(specimen, field, (float(low[0]), float(high[0]), float(high[1]), float(low[1])))


def leading(specimen: Specimen, shear: NDArray) -> dict[str, NDArray]:
    """Family and target (slip plane or twin variant) that shear most, of shears (G, S); None for NaN."""
    shear = np.abs(shear)
    family = np.array(specimen.systems.family_names, object)[_by_family(specimen, shear).argmax(-1)]
    by_target = shear @ np.eye(len(specimen.tokens))[specimen.token]
    target = specimen.tokens["target"].to_numpy(object)[by_target.argmax(-1)]
    is_unknown = ~np.isfinite(shear).all(-1)
    family[is_unknown], target[is_unknown] = None, None
    return {"family": family, "target": target}


def _by_family(specimen: Specimen, shear: NDArray) -> NDArray:
    """(..., K) sums over the systems (..., S) of every family."""
    systems = specimen.systems
    return shear @ np.eye(len(systems.family_names))[systems.family]


def _for_all(means: NDArray, grains: int) -> NDArray:
    """Values (G, ...) of all grains from those up to the last one that has a cell; NaN for the others."""
    every = np.full((grains, *means.shape[1:]), np.nan)
    every[: len(means)] = means
    return every
