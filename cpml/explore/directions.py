"""Crystal directions in small numbers: what lies along the load."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.slip_systems import direction_vector
from cpml.crystallography.symmetry import group_of_lattice
from cpml.plots.colours import to_standard_triangle

LARGEST = 3
NEAR_DEG = 5.0
"""A direction of smaller indices is preferred to a nearer one within this angle."""


def nearest_direction(direction: ArrayLike, lattice: str, c_over_a: float | None = None) -> tuple[str, float]:
    """The direction of small indices that a crystal direction is near to, and the angle between them, deg.

    Equivalent directions have one name, that of the standard triangle; hexagonal ones have four indices.

    Examples
    --------
    >>> nearest_direction([0.0, 1.0, 1.0], "fcc")
    ('[101]', 0.0)
    >>> nearest_direction([0.0, 0.0, -1.0], "hcp", 1.6236)
    ('[0001]', 0.0)
    """
    group = group_of_lattice(lattice)
    vector = np.asarray(direction, float)
    vector = to_standard_triangle(vector / np.linalg.norm(vector), group=group)
    names, size, vectors = _known(lattice, 1.0 if c_over_a is None else float(c_over_a))
    angle = np.degrees(np.arccos(np.clip(vectors @ vector, -1, 1)))
    near = np.flatnonzero(angle <= max(NEAR_DEG, float(angle.min())))
    best = near[np.lexsort((angle[near], size[near]))[0]]
    return names[best], round(float(angle[best]), 1) + 0.0


@lru_cache(maxsize=16)
def _known(lattice: str, c_over_a: float) -> tuple[tuple[str, ...], NDArray, NDArray]:
    """Names, sums of indices and unit vectors (n, 3) of the directions of the standard triangle."""
    group = group_of_lattice(lattice)
    found = {}
    for indices in product(range(-LARGEST, LARGEST + 1), repeat=3):
        full = indices if group == "432" else (indices[0], indices[1], -indices[0] - indices[1], indices[2])
        if gcd(*full) != 1 or max(map(abs, full)) > LARGEST:
            continue
        vector = direction_vector(full, lattice, c_over_a)
        vector = vector / np.linalg.norm(vector)
        if np.allclose(to_standard_triangle(vector, group=group), vector, atol=1e-9):
            found["[" + "".join(map(str, full)) + "]"] = (sum(map(abs, full)), vector)
    size = np.array([entry[0] for entry in found.values()])
    return tuple(found), size, np.array([entry[1] for entry in found.values()])
