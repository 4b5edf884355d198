"""Triple junctions: where three grains meet, at which angles, and how many of their boundaries are special.

A corner of the pixel grid with three grains round it is a triple point. Four grains round one corner (square
grids) are two triple points at no distance: the two opposite grains with the smaller disorientation are taken
to touch, and both points carry `resolved`. The direction of a boundary at a junction is that from the corner
to the mean of its segments within `reach` steps; the dihedral angle of a grain lies between its two
boundaries, and the three add up to 360 deg. With a reach of a few steps the pixel staircase leaves an error
of some ten degrees in a single angle.

Types by the number of special boundaries (CSL, or what the caller says): J0, J1, J2, J3.
The names of the types follow Kumar, King & Schwartz 2000, Acta Mater. 48:2081.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.maps.vertices import labels_at, vertex_cells
from cpml.progress import progress


def triple_junctions(grains: Grains, *, reach: float = 5.0, special: ArrayLike | None = None) -> pd.DataFrame:
    """One row a triple point.

    Parameters
    ----------
    reach : length of boundary, in steps, that gives its direction at the junction
    special : (B,) bool for the rows of `grains.boundaries`; None: csl > 0

    Returns
    -------
    x_um, y_um, fragment_a < fragment_b < fragment_c, resolved (half of a four-grain point), dihedral_a_deg,
    dihedral_b_deg, dihedral_c_deg (NaN where a boundary is not seen), angle_ab_deg, angle_ac_deg,
    angle_bc_deg (disorientations of the means), n_special, type

    Raises
    ------
    ParameterError : a reach below one step, or a `special` of another length
    """
    if not reach >= 1:
        raise ParameterError(f"reach {reach}: a direction needs one step of boundary or more")
    ids, place, resolved = _points(grains)
    directions = _directions(grains, ids, place, reach)
    bounds = grains.boundaries
    flag = (bounds["csl"] > 0).to_numpy() if special is None else np.asarray(special, bool)
    if len(flag) != len(bounds):
        raise ParameterError(f"special has {len(flag)} entries for {len(bounds)} boundaries")
    row = {pair: n for n, pair in enumerate(zip(bounds["fragment_a"], bounds["fragment_b"], strict=True))}
    pairs = ((0, 1), (0, 2), (1, 2))
    at = np.array([[row.get((g[i], g[j]), -1) for i, j in pairs] for g in ids.tolist()], int).reshape(-1, 3)
    known = np.where(at >= 0, np.r_[flag, False][at], False)
    angle = np.where(at >= 0, np.r_[bounds["angle_deg"].to_numpy(), np.nan][at], np.nan)
    dihedral = dihedral_angles(directions)
    return pd.DataFrame(
        {
            "x_um": place[:, 0],
            "y_um": place[:, 1],
            **{f"fragment_{name}": ids[:, k] for k, name in enumerate("abc")},
            "resolved": resolved,
            **{f"dihedral_{name}_deg": dihedral[:, k] for k, name in enumerate("abc")},
            **{f"angle_{name}_deg": angle[:, k] for k, name in enumerate(("ab", "ac", "bc"))},
            "n_special": known.sum(axis=1),
            "type": [f"J{n}" for n in known.sum(axis=1)],
        }
    )


def _distinct(at: NDArray) -> NDArray:
    """Number of grains (V,) round each corner."""
    ordered = np.sort(at, axis=1)
    return np.sum((np.diff(ordered, axis=1, prepend=0) != 0) & (ordered > 0), axis=1)


def _points(grains: Grains) -> tuple[NDArray, NDArray, NDArray]:
    """Ids (J, 3) ascending, positions (J, 2), and whether a point is half of a four-grain point."""
    cells, xy = vertex_cells(grains.map)
    at = labels_at(cells, grains.label)
    n = _distinct(at)
    three = np.flatnonzero(n == 3)
    ids = [sorted(set(row) - {0}) for row in at[three].tolist()]
    place, resolved = [*three], [False] * len(three)
    for v in np.flatnonzero(n == 4):
        for triple in _resolve(grains, at[v]):
            ids.append(sorted(int(g) for g in triple))
            place.append(v)
            resolved.append(True)
    return (
        np.array(ids, int).reshape(-1, 3),
        xy[np.array(place, int)].reshape(-1, 2),
        np.array(resolved, bool),
    )


def _resolve(grains: Grains, four: NDArray) -> list[tuple]:
    """Two triples of four grains in cyclic order, the opposite ones of smaller disorientation touching."""
    across = []
    for i, j in ((0, 2), (1, 3)):
        a, b = four[i] - 1, four[j] - 1
        if grains.phase[a] != grains.phase[b]:
            across.append(np.inf)
            continue
        group = proper_group(grains.map.phases[int(grains.phase[a])].group)
        across.append(
            float(disorientation_angle(grains.mean_quaternions[a], grains.mean_quaternions[b], group))
        )
    i, j = ((0, 2), (1, 3))[int(np.argmin(across))]
    others = [k for k in range(4) if k not in (i, j)]
    return [(four[i], four[j], four[k]) for k in others]


def _directions(grains: Grains, ids: NDArray, place: NDArray, reach: float) -> NDArray:
    """(J, 3, 2) directions of the boundaries bc, ac, ab (opposite to grain a, b, c) at each junction."""
    table = grains.segments
    middle = table[["x0_um", "x1_um", "y0_um", "y1_um"]].to_numpy()
    middle = np.stack([middle[:, :2].mean(axis=1), middle[:, 2:].mean(axis=1)], axis=1)
    pair = np.sort(table[["fragment_a", "fragment_b"]].to_numpy(), axis=1)
    out = np.full((len(ids), 3, 2), np.nan)
    if not len(ids):
        return out
    near = cKDTree(middle).query_ball_point(place, reach * grains.map.step_um)
    for n, (triple, found) in enumerate(
        progress(zip(ids, near, strict=True), "triple points", total=len(ids))
    ):
        for k in range(3):
            i, j = np.delete(triple, k)
            chosen = [s for s in found if pair[s, 0] == i and pair[s, 1] == j]
            if chosen:
                out[n, k] = middle[chosen].mean(axis=0) - place[n]
    return out


def dihedral_angles(directions: NDArray) -> NDArray:
    """(J, 3) deg between the boundaries of each grain; directions (J, 3, 2) of the boundaries opposite to
    a, b, c.

    The angle of grain a lies between the boundaries ac and ab, on the side that does not hold bc.
    """
    angle = np.degrees(np.arctan2(directions[..., 1], directions[..., 0]))
    out = np.empty(angle.shape)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        turn = (angle[:, j] - angle[:, i]) % 360
        other = (angle[:, k] - angle[:, i]) % 360
        out[:, k] = np.where(other > turn, turn, 360 - turn)
    return np.where(np.isnan(angle).any(axis=1)[:, None], np.nan, out)
