"""Twin orientations: a type I or compound twin is the parent turned by 180 degrees about the K1 normal.

    R_twin = R_parent (2 n n^T - I),      q_twin = q_parent (0, n)

The disorientation is 2 phi or 180 - 2 phi, phi the angle between K1 and the basal plane (hexagonal).
Reference: Christian & Mahajan 1995, Prog. Mater. Sci. 39:1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.symmetry import proper_group


def twin_crystal_to_sample(parent: ArrayLike, normal: ArrayLike) -> NDArray:
    """Orientation (..., 4) of the twin of a parent (..., 4) on the K1 plane with crystal normal (..., 3)."""
    unit = np.asarray(normal, float)
    unit = unit / np.linalg.norm(unit, axis=-1, keepdims=True)
    half_turn = np.concatenate([np.zeros((*unit.shape[:-1], 1)), unit], axis=-1)
    return quaternion_multiply(parent, half_turn)


def twin_disorientation(normal: ArrayLike, group: str) -> tuple[float, NDArray]:
    """Smallest rotation angle (rad) and its axis (3,) in the crystal frame between parent and twin."""
    twin = twin_crystal_to_sample(np.array([1.0, 0, 0, 0]), normal)
    copies = quaternion_multiply(twin, proper_group(group))
    best = copies[np.argmax(np.abs(copies[:, 0]))]
    angle = 2 * np.arctan2(np.linalg.norm(best[1:]), abs(best[0]))
    return float(angle), best[1:] / np.linalg.norm(best[1:]) * (1 if best[0] >= 0 else -1)
