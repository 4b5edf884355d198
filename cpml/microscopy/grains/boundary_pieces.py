"""Grain boundaries as curves: pixel edges linked into pieces, and their local curvature.

The segments of a boundary are linked corner by corner into pieces, which end at triple points, at the rim or
in a closed loop; their curve, its length and its curvature are those of the outline
(cpml.microscopy.grains.outline).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpml.microscopy.grains.boundaries import between_grains, group_pairs
from cpml.microscopy.grains.grains import Grains


def boundary_pieces(grains: Grains) -> pd.DataFrame:
    """One row a segment, in the order of `grains.segments`: where it lies on its boundary, and
    the local curvature.

    Returns
    -------
    boundary (row of the boundary table), piece (numbered from 0), position (along the piece), closed, x_um,
    y_um (mid point of the segment on the outline), curvature_per_um (positive when its centre lies on the
    side of grain a; NaN in pieces too short for one), chord_um and arc_um (of the whole piece)
    """
    table, found, chosen = grains.segments, grains.outline, between_grains(grains)
    a, b = (table[name].to_numpy() for name in ("fragment_a", "fragment_b"))
    return pd.DataFrame(
        {
            "boundary": group_pairs(a, b)[1],
            "piece": np.unique(found.piece[chosen], return_inverse=True)[1],
            "position": found.position[chosen],
            "closed": found.closed[chosen],
            "x_um": found.middle[chosen, 0],
            "y_um": found.middle[chosen, 1],
            "curvature_per_um": np.where(a > b, -1, 1) * found.turning_per_um[chosen],
            "chord_um": found.chord_um[chosen],
            "arc_um": found.arc_um[chosen],
        }
    )


def pieces_between(grains: Grains, label: ArrayLike) -> pd.DataFrame:
    """Pieces of the boundaries of another partition, such as that of grains with their twins: the rows of
    `boundary_pieces` whose two points differ, with grain_a and grain_b, their labels.

    Parameters
    ----------
    label : (N,) id of every map point, 0 = none
    """
    label, segments = np.asarray(label), grains.segments
    pieces = boundary_pieces(grains).assign(
        grain_a=label[segments["pixel_a"]], grain_b=label[segments["pixel_b"]]
    )
    ids = pieces[["grain_a", "grain_b"]]
    return pieces[(ids > 0).all(axis=1) & (ids["grain_a"] != ids["grain_b"])].reset_index(drop=True)
