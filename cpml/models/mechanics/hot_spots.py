"""Where on a map values are high: near grain boundaries, near triple points, or inside the grains.

Every cell is compared with the inside of its own grain, so that hard and soft grains do not matter:

    profile(d) = sum v / sum r_g   over the cells at a distance d,   r_g: mean of v inside the grain of a cell

Inside is farther than a quarter of the mean grain diameter from every boundary; grains without such a cell
do not count. Intervals come from drawing whole grains again, since cells of a grain are alike.

| symbol | meaning | unit | shape |
|---|---|---|---|
| v | stress or shear of a cell | any | (rows, columns) |
| d | distance of its centre from the nearest boundary or triple point | um | (rows, columns) |
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from cpml.errors import ParameterError

INSIDE = 0.25  # of the mean grain diameter
DECILE = 0.9
TAILS = (0.05, 0.95)  # of the resamples: 90 % intervals
FEW = 10
"""Fewer grains say nothing about others."""
COLUMNS = (
    *("distance_um", "n_cells", "n_grains"),
    *("mean", "mean_low", "mean_high", "decile", "decile_low", "decile_high"),
)


def boundary_distance(grain_index: NDArray, cell_um: tuple[float, float]) -> NDArray:
    """Distance (rows, columns) of the centre of each cell from the nearest boundary, um; infinite
    without one.

    Parameters
    ----------
    grain_index : (rows, columns) grain of each cell
    cell_um : edges of a cell along x and y

    Examples
    --------
    >>> print(boundary_distance(np.array([[0, 0, 0, 1]]), (2.0, 2.0)))
    [[5. 3. 1. 1.]]
    """
    marks, grain = _between(grain_index), np.asarray(grain_index)
    marks[::2, 1::2] = grain[:, 1:] != grain[:, :-1]
    marks[1::2, ::2] = grain[1:] != grain[:-1]
    marks[1::2, 1::2] = _meeting(grain) > 1
    return _distance(marks, cell_um)


def junction_distance(grain_index: NDArray, cell_um: tuple[float, float]) -> NDArray:
    """Distance (rows, columns) of the centre of each cell from the nearest corner at which three grains or
    more meet, um; infinite without one.
    """
    marks = _between(grain_index)
    marks[1::2, 1::2] = _meeting(np.asarray(grain_index)) > 2
    return _distance(marks, cell_um)


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of a map with the distances by which they are sorted.

    Attributes
    ----------
    grain : (rows, columns) grain of each cell
    boundary_um, junction_um : (rows, columns) distances from the nearest boundary and triple point
    width_um : of a class of distances; a cell is a good choice
    diameter_um : mean diameter of the grains
    chosen : (rows, columns) bool, cells that count; None: all
    """

    grain: NDArray
    boundary_um: NDArray
    junction_um: NDArray
    width_um: float
    diameter_um: float
    chosen: NDArray | None = None


def hot_spots(values: NDArray, cells: Cells, *, n_boot: int = 200, seed: int = 0) -> pd.DataFrame:
    """Profiles of values over the distance from boundaries, and along boundaries from triple points.

    Parameters
    ----------
    values : (rows, columns), not negative
    n_boot, seed : of the resamples of grains

    Returns
    -------
    One row a class of distances: near ("boundary": by the distance from it; "triple point": cells beside a
    boundary, by the distance from the triple point; "inside": the reference), distance_um (mean), n_cells,
    n_grains, mean and decile (upper, of the cells' values), both over the mean inside of the own grain, with
    _low and _high of 90 % intervals. Classes of fewer than 10 grains are left out; no rows where fewer
    grains have an inside.

    Raises
    ------
    ParameterError : shapes that differ
    """
    if not values.shape == cells.grain.shape == cells.boundary_um.shape == cells.junction_um.shape:
        raise ParameterError(f"values {values.shape} and cells {cells.grain.shape} must have one shape")
    depth = INSIDE * cells.diameter_um
    keep = np.isfinite(cells.boundary_um) & (cells.grain >= 0)
    keep &= True if cells.chosen is None else cells.chosen
    number, boundary, junction = (a[keep] for a in (cells.grain, cells.boundary_um, cells.junction_um))
    value, inside = values[keep], boundary > depth
    count = np.bincount(number[inside], minlength=cells.grain.max() + 1)
    total = np.bincount(number[inside], value[inside], minlength=len(count))
    reference = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)[number]
    known = reference > 0
    number, boundary, junction, inside = (a[known] for a in (number, boundary, junction, inside))
    if len(np.unique(number)) < FEW:
        return pd.DataFrame(columns=["near", *COLUMNS])
    sample = _Sample.of(value[known], reference[known], number, n_boot, seed)
    beside = boundary < cells.width_um
    rows = [("inside", inside, boundary)]
    rows += [("boundary", here, boundary) for here in _classes(boundary, cells.width_um, depth)]
    far = 2 * depth  # half a diameter: farther from one triple point is nearer to the next
    rows += [("triple point", here & beside, junction) for here in _classes(junction, cells.width_um, far)]
    table = [{"near": near} | sample.row(here, distance) for near, here, distance in rows]
    found = pd.DataFrame(table, columns=["near", *COLUMNS])
    return found[found["n_grains"] >= FEW].reset_index(drop=True)


def hot_spot_numbers(profiles: pd.DataFrame) -> dict[str, float | None]:
    """The nearest classes in a few numbers, None where there is no such class.

    Parameters
    ----------
    profiles : rows of :func:`hot_spots` with a column quantity, "stress" or "shear"

    Returns
    -------
    boundary_shear, boundary_shear_low, boundary_shear_high (mean), boundary_shear_decile, the same of the
    stress and of triple_point, and inside_shear_decile, inside_stress_decile
    """
    numbers: dict[str, float | None] = {}
    for near, quantity in product(("boundary", "triple point", "inside"), ("stress", "shear")):
        own = profiles[(profiles["near"] == near) & (profiles["quantity"] == quantity)]
        name = f"{near.replace(' ', '_')}_{quantity}"
        columns = {"": "mean", "_low": "mean_low", "_high": "mean_high", "_decile": "decile"}
        for end, column in columns.items():
            if near != "inside" or end == "_decile":
                numbers[f"{name}{end}"] = float(own[column].iloc[0]) if len(own) else None
    return numbers


@dataclass(frozen=True, eq=False)
class _Sample:
    """Cells in the order of their values over the reference, and how often every resample draws each."""

    value: NDArray  # (N,)
    reference: NDArray  # (N,)
    number: NDArray  # (N,) grain
    order: NDArray  # (N,) of value / reference
    weights: NDArray  # (B + 1, N), the first row ones: the sample itself

    @classmethod
    def of(cls, value: NDArray, reference: NDArray, number: NDArray, n_boot: int, seed: int) -> "_Sample":
        grains, where = np.unique(number, return_inverse=True)
        drawn = np.random.default_rng(seed).multinomial(
            len(grains), np.full(len(grains), 1 / len(grains)), size=n_boot
        )
        weights = np.concatenate([np.ones((1, len(value))), drawn[:, where]])
        return cls(value, reference, number, np.argsort(value / reference, kind="stable"), weights)

    def row(self, here: NDArray, distance: NDArray) -> dict[str, float]:
        """Mean and decile of the cells `here` (N,) bool, with intervals."""
        counted: dict[str, float] = {
            "n_cells": int(here.sum()),
            "n_grains": len(np.unique(self.number[here])),
        }
        if not here.any():
            return counted
        weights, value, reference = self.weights[:, here], self.value[here], self.reference[here]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weights @ value) / (weights @ reference)
        order = self.order[here[self.order]]
        share = np.cumsum(self.weights[:, order], axis=1)
        place = (share < DECILE * share[:, -1:]).sum(1).clip(max=len(order) - 1)
        decile = np.where(share[:, -1] > 0, (self.value / self.reference)[order][place], np.nan)
        found = {"distance_um": float(distance[here].mean())}
        for name, values in (("mean", mean), ("decile", decile)):
            low, high = np.nanquantile(values, TAILS)
            found |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
        return counted | found


def _classes(distance: NDArray, width: float, end: float) -> list[NDArray]:
    """(N,) bool of every class of distances of this width below the end."""
    return [(distance >= k * width) & (distance < (k + 1) * width) for k in range(int(np.ceil(end / width)))]


def _between(grain_index: NDArray) -> NDArray:
    """No mark on a grid that has a node for every cell, edge and corner between cells."""
    rows, columns = np.shape(grain_index)
    return np.zeros((2 * rows - 1, 2 * columns - 1), bool)


def _meeting(grain: NDArray) -> NDArray:
    """(rows - 1, columns - 1) number of grains that meet at each corner."""
    four = np.stack([grain[:-1, :-1], grain[:-1, 1:], grain[1:, :-1], grain[1:, 1:]])
    four.sort(axis=0)
    return 1 + (np.diff(four, axis=0) != 0).sum(0)


def _distance(marks: NDArray, cell_um: tuple[float, float]) -> NDArray:
    """Distance of the cells' nodes from the nearest mark."""
    if not marks.any():
        return np.full(((marks.shape[0] + 1) // 2, (marks.shape[1] + 1) // 2), np.inf)
    x, y = cell_um
    return distance_transform_edt(~marks, sampling=(y / 2, x / 2))[::2, ::2]
