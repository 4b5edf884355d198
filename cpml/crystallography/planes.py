"""Normals of plane families of any crystal, from its proper group and its cell.

    n = h a* + k b* + l c*,    X || a,  Z || c*;    family: s n for s in the group, +n and -n counted once

| crystal | families that pole figures show |
|---|---|
| cubic | {100}, {110}, {111} |
| hexagonal, trigonal | {0001}, {10-10}, {10-11} |
| any other | (100), (010), (001); (010) only where it is not a (100) |
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError

USUAL: dict[str, tuple[tuple[int, ...], ...]] = {
    **dict.fromkeys(("23", "432"), ((1, 0, 0), (1, 1, 0), (1, 1, 1))),
    **dict.fromkeys(("3", "32", "312", "6", "622"), ((0, 0, 0, 1), (1, 0, -1, 0), (1, 0, -1, 1))),
}
OTHER = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

Cell = tuple[float, float, float, float, float, float]
"""a, b, c in any unit, alpha, beta, gamma in degrees."""


def reciprocal_axes(cell: Cell) -> NDArray:
    """(3, 3) rows a*, b*, c* of a cell, X || a, Z || c*.

    Raises
    ------
    ParameterError : a constant that is missing, or angles that close no cell
    """
    a, b, c = cell[:3]
    alpha, beta, gamma = np.radians(cell[3:])
    cx, cy = np.cos(beta), (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    square = 1 - cx**2 - cy**2
    if not (min(a, b, c) > 0 and square > 0):
        raise ParameterError(f"cell {cell}: three lengths and three angles of a crystal are needed")
    direct = np.array(
        [[a, 0, 0], [b * np.cos(gamma), b * np.sin(gamma), 0], [c * cx, c * cy, c * np.sqrt(square)]]
    )
    return np.linalg.inv(direct).T


def plane_family(indices: Sequence[int], group: str, cell: Cell) -> NDArray:
    """(M, 3) unit normals, crystal frame, of the planes (h, k, l) or (h, k, i, l), one of each +- pair."""
    if len(indices) not in (3, 4) or (len(indices) == 4 and sum(indices[:3]) != 0):
        raise ParameterError(f"plane {tuple(indices)}: give (h, k, l), or (h, k, i, l) with h + k + i = 0")
    h, k, last = indices[0], indices[1], indices[-1]
    normal = np.array([h, k, last], float) @ reciprocal_axes(cell)
    if not np.any(normal):
        raise ParameterError("plane (0, 0, 0) has no normal")
    every = quaternion_to_matrix(proper_group(group)) @ (normal / np.linalg.norm(normal))
    distinct: list[NDArray] = []
    for n in every:
        if all(abs(n @ m) < 1 - 1e-9 for m in distinct):
            distinct.append(n)
    return np.array(distinct)


def usual_families(group: str, cell: Cell) -> dict[tuple[int, ...], NDArray]:
    """Indices -> normals of the families that pole figures of a crystal show (module docstring).

    Without a usable cell those remain whose normals do not depend on it: cubic ones, and the axes of crystals
    with right angles.
    """
    cubic, hexagonal = group in ("23", "432"), group in ("3", "32", "312", "6", "622")
    lengths, angles = cell[:3], cell[3:]
    if not min(lengths) > 0:  # NaN as well
        angles = (90.0, 90.0, 120.0) if hexagonal else angles
        lengths = (1.0, 1.0, 1.0)
    found: dict[tuple[int, ...], NDArray] = {}
    for indices in USUAL.get(group, OTHER):
        needs_ratio = not cubic and sum(map(bool, (*indices[:2], indices[-1]))) > 1
        if needs_ratio and not min(cell[:3]) > 0 and indices[-1]:
            continue
        normals = plane_family(indices, group, (*lengths, *angles))
        known = [n for others in found.values() for n in others]
        if not any(abs(n @ normals[0]) > 1 - 1e-9 for n in known):
            found[tuple(indices)] = normals
    return found
