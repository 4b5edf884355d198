r"""Disorientation angles of random pairs of crystals: the curve behind every measured histogram.

Cubic crystals, t in degrees, c = cos t, s = sin t, a = sqrt2 - 1 (Mackenzie,
Biometrika 45, 229, 1958), density per degree:

    0-45       (2/15) (1 - c)
    45-60      (2/15) [3 a s - 2 (1 - c)]
    60-60.72   (2/15) [(3 a + 4/sqrt3) s - 6 (1 - c)]
    -62.80     the line before - (8/5 pi) s [2 a acos(X cot t/2) + acos(Y cot t/2)/sqrt3]
                               + (8/5 pi) (1 - c) [2 acos((sqrt2 + 1) X/sqrt2) + acos((sqrt2 + 1) Y/sqrt2)]
    X = a / sqrt(1 - a^2 cot^2 t/2),   Y = a^2 / sqrt(3 - cot^2 t/2).

For any group of n rotations the density is n (1 - c)/pi (per radian) times the share of the axes for
which the rotation is the smallest of its n equivalents; hexagonal crystals are computed so, on an even net
of axes.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError

MAX_DISORIENTATION = {"fcc": 62.8, "bcc": 62.8, "hcp": 93.85}


def random_disorientation(angle_deg: ArrayLike, *, lattice: str) -> NDArray:
    """Density per degree of the disorientation angle of two random crystals (see the module's text).

    Parameters
    ----------
    angle_deg : (...,) degrees
    lattice : "fcc", "bcc" or "hcp"
    """
    if lattice not in MAX_DISORIENTATION:
        raise ParameterError(
            f"lattice {lattice!r}: random disorientations are known for {', '.join(MAX_DISORIENTATION)}"
        )
    angle = np.asarray(angle_deg, dtype=float)
    if lattice != "hcp":
        return _mackenzie(angle)
    grid, density = _hexagonal_table()
    return np.interp(angle, grid, density, left=0.0, right=0.0)


def _mackenzie(degrees: NDArray) -> NDArray:
    t = np.radians(degrees)
    c, s, a = np.cos(t), np.sin(t), np.sqrt(2) - 1
    third = (3 * a + 4 / np.sqrt(3)) * s - 6 * (1 - c)
    pieces = [1 - c, 3 * a * s - 2 * (1 - c), third, third - _mackenzie_tail(t)]
    edge = np.degrees(2 * np.arctan(np.sqrt(2) * a)), np.degrees(2 * np.arctan(np.sqrt(23 - 16 * np.sqrt(2))))
    ranges = [degrees <= 45, degrees <= 60, degrees <= edge[0], degrees <= edge[1]]
    density = 2 / 15 * np.select(ranges, pieces, 0.0)
    return np.where(degrees < 0, 0.0, np.maximum(density, 0.0))


def _mackenzie_tail(t: NDArray) -> NDArray:
    """What the last range subtracts, in units of 2/15."""
    a = np.sqrt(2) - 1
    t = np.clip(t, np.radians(60.7), np.radians(62.8))
    cot = 1 / np.tan(t / 2)
    x, y = a / np.sqrt(1 - (a * cot) ** 2), a**2 / np.sqrt(3 - cot**2)

    def arc(u):
        return np.arccos(np.clip(u, -1, 1))

    sine = 2 * a * arc(x * cot) + arc(y * cot) / np.sqrt(3)
    rest = 2 * arc((np.sqrt(2) + 1) * x / np.sqrt(2)) + arc((np.sqrt(2) + 1) * y / np.sqrt(2))
    return 12 / np.pi * (sine * np.sin(t) - rest * (1 - np.cos(t)))


@lru_cache(maxsize=1)
def _hexagonal_table() -> tuple[NDArray, NDArray]:
    """Angles (deg) and density per degree of random disorientations of group 622."""
    n = 20_000
    z = 1 - (2 * np.arange(n) + 1) / n
    azimuth = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    # largest component along the twofold axes in the basal plane, every 30 degrees
    twofold = np.sqrt(1 - z**2) * np.cos((azimuth + np.pi / 12) % (np.pi / 6) - np.pi / 12)
    # the smallest equivalent: w >= w cos 30 + |z| sin 30 (sixfold axis), w >= the twofold component
    limit = np.minimum(np.tan(np.pi / 12) / np.abs(z), 1 / twofold)
    angle = np.linspace(0, 94, 941)
    share = 1 - np.searchsorted(np.sort(limit), np.tan(np.radians(angle) / 2)) / n
    return angle, 12 * (1 - np.cos(np.radians(angle))) / np.pi * share * np.pi / 180
