"""Coincidence-site (CSL) boundaries of cubic crystals.

A boundary deviates from the coincidence rotation T by

    deviation = min over s1, s2 of the angle of T^-1 s1 M s2,

the whole rotation, not a difference of angles, and counts as Sigma while the deviation is below

| criterion | limit | Sigma 3, 9 |
|---|---|---|
| "brandon" | 15 deg Sigma^(-1/2) | 8.660, 5.000 deg |
| "palumbo_aust" | 15 deg Sigma^(-5/6) | 6.005, 2.404 deg |

Of several the one deepest inside its limit is taken.

References: Brandon 1966, Acta Metall. 14:1479; Palumbo & Aust 1990, Acta Metall. Mater. 38:2343;
Grimmer, Bollmann & Warrington 1974, Acta Cryst. A30:197.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.disorientation import pair_angles
from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.errors import ParameterError

_CSL_DEG = """3 60 111, 5 36.87 100, 7 38.21 111, 9 38.94 110, 11 50.48 110, 13 22.62 100, 13 27.80 111, 15
48.19 210, 17 28.07 100, 17 61.93 221, 19 26.53 110, 19 46.83 111, 21 21.79 111, 21 44.42 211, 23 40.46 311,
25 16.26 100, 25 51.68 331, 27 31.59 110, 27 35.43 210, 29 43.60 100, 29 46.40 221, 31 17.90 111, 31 52.20
211, 33 20.05 110, 33 33.56 311, 33 58.99 110"""

EXPONENT = {"brandon": 1 / 2, "palumbo_aust": 5 / 6}


def csl_limit(sigma: ArrayLike, criterion: str = "brandon") -> NDArray:
    """Largest deviation (...), deg, that still counts as Sigma (...).

    Examples
    --------
    >>> print(csl_limit([3, 9]).round(3), csl_limit([3, 9], "palumbo_aust").round(3))
    [8.66 5.  ] [6.005 2.404]
    """
    if criterion not in EXPONENT:
        raise ParameterError(f"criterion {criterion!r}: choose {' or '.join(map(repr, EXPONENT))}")
    return 15.0 * np.asarray(sigma, float) ** -EXPONENT[criterion]


def csl_rotations(max_sigma: int = 29) -> tuple[NDArray, NDArray]:
    """Sigma (K,) and quaternions (K, 4) of the cubic coincidence rotations, up to 33 at most.

    The listed angles are rounded; the exact one is the tan(theta/2) = (n/m) |hkl| with n, m
    small integers nearest.
    """
    sigmas, rotations = [], []
    for entry in _CSL_DEG.split(","):
        sigma, angle, axis = entry.split()
        axis = np.array([int(d) for d in axis])
        half = np.tan(np.radians(float(angle)) / 2)
        m, n = np.mgrid[1:12, 1:12]
        exact = n / m * np.linalg.norm(axis)
        best = np.argmin(np.abs(exact - half))
        sigmas.append(int(sigma))
        rotations.append(axis_angle_to_quaternion(axis, 2 * np.arctan(exact.ravel()[best])))
    chosen = np.array(sigmas) <= max_sigma
    return np.array(sigmas)[chosen], np.array(rotations)[chosen]


def deviation_from(misorientation: NDArray, rotation: NDArray, group: NDArray) -> NDArray:
    """Angle (n,), rad, from misorientations m (n, 4) to the nearest equivalent of one rotation
    (4,), one phase.
    """
    angles = np.full(len(misorientation), np.pi)
    reference = np.asarray(rotation, float)[None]
    each = np.stack([np.arange(len(misorientation)), np.zeros(len(misorientation), int)], axis=1)
    for s in group:
        angles = np.minimum(
            angles, pair_angles(quaternion_multiply(s, misorientation), each, group, other=reference)
        )
    return angles


def nearest_csl(
    misorientation: NDArray, group: NDArray, *, criterion: str = "brandon", max_sigma: int = 29
) -> tuple[NDArray, NDArray]:
    """Sigma (n,), 0 for none, and deviation in deg (n,), NaN for none, of cubic misorientations (n, 4)."""
    sigma = np.zeros(len(misorientation), int)
    deviation = np.full(len(misorientation), np.nan)
    depth = np.ones(len(misorientation))
    for value, rotation in zip(*csl_rotations(max_sigma), strict=True):
        limit = float(csl_limit(value, criterion))
        angle = np.degrees(deviation_from(misorientation, rotation, group))
        better = angle / limit < depth
        sigma[better], deviation[better], depth[better] = value, angle[better], angle[better] / limit
    return sigma, deviation
