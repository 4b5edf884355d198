"""One row a grain for people and spreadsheet programs: where it is, how large, how it lies, how it is loaded.

| column | meaning |
|---|---|
| phi1_deg, Phi_deg, phi2_deg | Bunge angles of the mean orientation of the parent |
| n_pixels, area_um2, equivalent_diameter_um | measured points, area, diameter of its circle |
| gos_deg, aspect_ratio | mean spread of orientation; ratio of the axes of the fitted ellipse |
| n_neighbours, on_edge | grains that it touches; whether the rim of the map cuts it |
| c_axis_to_load_deg | angle between the c axis and the axis of the load, 0 to 90; hexagonal phases |
| max_schmid_<family> | largest Schmid factor of a family: of \\|m\\| for slip, of m for twins |

What depends on the load is left out where no load is given, and missing where a phase has no c axis or no
systems.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_to_euler, rotate
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.maps.ebsd_map import MapPhase

HEXAGONAL = ("6", "622")
FIRST = ("grain_id", "phase", "x_um", "y_um", "area_um2", "equivalent_diameter_um")
LATER = ("n_pixels", "gos_deg", "aspect_ratio")


def c_axis_angle(quaternions: ArrayLike, axis: ArrayLike) -> NDArray:
    """Angle (...), deg in [0, 90], of the c axis of crystals (..., 4) from a sample direction (3,).

    Examples
    --------
    >>> c_axis_angle([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0]).round(6)
    np.float64(45.0)
    """
    direction = np.asarray(axis, float)
    length = np.linalg.norm(direction)
    if direction.shape != (3,) or not length > 0:
        raise ParameterError(f"axis {axis!r}: three numbers that are not all zero are needed")
    c = rotate(quaternions, np.array([0.0, 0.0, 1.0])) @ (direction / length)
    return np.degrees(np.arccos(np.clip(np.abs(c), 0, 1)))


def grain_sheet(
    grains: pd.DataFrame,
    grain_boundaries: pd.DataFrame,
    phases: Mapping[int, MapPhase],
    *,
    axis: ArrayLike | None = None,
    stress: ArrayLike | None = None,
    systems: Mapping[int, Systems] | None = None,
) -> pd.DataFrame:
    """The columns of the module docstring, after grain_id, phase (its name), x_um, y_um and sizes.

    Parameters
    ----------
    grains : table of `Twins.grains`
    grain_boundaries : grain_a, grain_b
    phases : of each phase number
    axis : (3,) of the load, sample frame
    stress : (3, 3) of the load, sample frame
    systems : slip and twin systems of the phases that have some

    Raises
    ------
    ParameterError : an axis without direction, or a stress without size
    """
    q, number = grains[["qw", "qx", "qy", "qz"]].to_numpy(float), grains["phase"].to_numpy()
    table = grains[[name for name in FIRST if name in grains]].copy()
    table["phase"] = grains["phase"].map({i: p.name for i, p in phases.items()})
    known = np.isfinite(q).all(axis=1)
    euler = np.full((len(q), 3), np.nan)
    euler[known] = np.degrees(quaternion_to_euler(q[known]))
    for k, name in enumerate(("phi1_deg", "Phi_deg", "phi2_deg")):
        table[name] = euler[:, k]
    for name in LATER:
        table[name] = grains[name]
    ends = np.r_[grain_boundaries["grain_a"].to_numpy(int), grain_boundaries["grain_b"].to_numpy(int)]
    touching = pd.Series(ends).value_counts()
    table["n_neighbours"] = grains["grain_id"].map(touching).fillna(0).astype(int).to_numpy()
    table["on_edge"] = grains["on_edge"]
    hexagonal = known & np.isin(number, [i for i, p in phases.items() if p.group in HEXAGONAL])
    if axis is not None and hexagonal.any():
        angle = np.full(len(q), np.nan)
        angle[hexagonal] = c_axis_angle(q[hexagonal], axis)
        table["c_axis_to_load_deg"] = angle
    if stress is not None:
        for i, of_phase in (systems or {}).items():
            rows = np.flatnonzero(known & (number == i))
            _add_schmid(table, rows, q[rows], of_phase, stress)
    return table


def _add_schmid(table: pd.DataFrame, rows: NDArray, q: NDArray, systems: Systems, stress: ArrayLike) -> None:
    """Largest Schmid factor of every family, in the given rows."""
    m = schmid_factors(systems, q, stress) if len(rows) else np.zeros((0, len(systems)))
    for f, family in enumerate(systems.family_names):
        chosen = np.flatnonzero(systems.family == f)
        if not len(chosen):
            continue
        size = np.where(np.asarray(systems.slip)[chosen], np.abs(m[:, chosen]), m[:, chosen])
        name = f"max_schmid_{family}"
        values = table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)
        values = values.copy()
        values[rows] = size.max(axis=1)
        table[name] = values
