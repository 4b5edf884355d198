"""Local orientation gradients inside grains: KAM and GROD.

    KAM_i = mean theta_ij over the pixels j of the same grain at most `order` steps away;   GROD_i = theta(i,
    mean)

An orientation error of rms angle d alone gives KAM = 1.303 d (sqrt(8/pi) sqrt(2/3) d); KAM grows with the
step, so maps of different step are compared by KAM per step.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.microscopy.grains import Grains
from cpml.microscopy.neighbours import neighbour_angles


def kam(grains: Grains, *, order: int = 1, max_angle: float | None = None) -> NDArray:
    """Kernel average misorientation (N,), deg; NaN where a pixel is not measured or has no neighbour in its
    grain.

    Parameters
    ----------
    order : reach of the kernel in steps along the grid (|di| + |dj| on squares, hexagonal steps on hexagons)
    max_angle : pairs above this angle, deg, are left out; None: none is
    """
    pairs = grains.map.pairs(order) if order != 1 else grains.map.neighbours
    own = grains.own[pairs]
    inside = (own[:, 0] == own[:, 1]) & (own[:, 0] > 0)
    pairs = pairs[inside]
    angle = neighbour_angles(grains.map, pairs)
    if max_angle is not None:
        near = angle <= np.radians(max_angle)
        pairs, angle = pairs[near], angle[near]
    n = grains.map.n_pixels
    total = np.bincount(pairs[:, 0], angle, n) + np.bincount(pairs[:, 1], angle, n)
    count = np.bincount(pairs[:, 0], minlength=n) + np.bincount(pairs[:, 1], minlength=n)
    return np.degrees(np.divide(total, count, out=np.full(n, np.nan), where=count > 0))


def grod(grains: Grains) -> NDArray:
    """Grain reference orientation deviation (N,), deg: disorientation to the grain's mean; NaN where not
    measured.
    """
    return np.degrees(grains.deviation)
