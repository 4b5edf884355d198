"""Grain boundaries as curves: pixel edges linked into pieces, and their local curvature.

The segments of a boundary are linked corner by corner into pieces, which end at triple points, at the rim or
in a closed loop. Through the mid points of 2h + 1 neighbouring segments a parabola x(t), y(t) is fitted;

    kappa = (x' y'' - y' x'') / (x'^2 + y'^2)^(3/2),     positive when its centre lies on the side of grain a.

h smooths the pixel staircase: radii below about h steps are not resolved, and a straight boundary across the
grid reads an absolute curvature of some hundredths per step, whose signed mean vanishes.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.compiled import compiled
from cpml.microscopy.grains.boundaries import group_pairs
from cpml.microscopy.grains.grains import Grains

SMOOTH = 5
"""h: fewer segments leave the staircase, more round off corners."""


def boundary_pieces(grains: Grains) -> pd.DataFrame:
    """One row a segment, in the order of `grains.segments`: where it lies on its boundary, and
    the local curvature.

    Returns
    -------
    boundary (row of the boundary table), piece (numbered from 0), position (along the piece), closed,
    curvature_per_um, chord_um and arc_um (of the whole piece)
    """
    table = grains.segments
    row = group_pairs(table["fragment_a"].to_numpy(), table["fragment_b"].to_numpy())[1]
    first, second = _corners(table, grains.map.step_um)
    mate = _links(row, first, second)
    order, piece, closed = _walk(mate)
    middle = table[["x0_um", "x1_um", "y0_um", "y1_um"]].to_numpy()
    middle = np.stack([middle[:, :2].mean(axis=1), middle[:, 2:].mean(axis=1)], axis=1)
    side = grains.map.xy[table["pixel_a"].to_numpy()] - middle  # towards grain a of the segment
    swapped = table["fragment_a"].to_numpy() > table["fragment_b"].to_numpy()
    side[swapped] *= -1
    starts = (
        np.flatnonzero(np.r_[True, piece[order][1:] != piece[order][:-1]]) if len(order) else np.zeros(0, int)
    )
    starts = np.r_[starts, len(order)]
    kappa, chord, arc = np.full(len(order), np.nan), np.zeros(len(order)), np.zeros(len(order))
    _curvatures(middle[order], side[order], starts, closed[order], SMOOTH, kappa, chord, arc)
    position = np.arange(len(order)) - np.repeat(starts[:-1], np.diff(starts))
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    columns = {
        "position": position,
        "closed": closed[order],
        "curvature_per_um": kappa,
        "chord_um": chord,
        "arc_um": arc,
    }
    return pd.DataFrame({"boundary": row, "piece": piece, **{k: v[back] for k, v in columns.items()}})


def _corners(table: pd.DataFrame, step: float) -> tuple[NDArray, NDArray]:
    """Number of the corner (n,) at either end of each segment."""
    ends = table[["x0_um", "y0_um", "x1_um", "y1_um"]].to_numpy().reshape(-1, 2)
    grid = np.rint((ends - ends.min(axis=0, initial=0.0)) / (0.05 * step)).astype(np.int64)
    key = grid[:, 0] * (grid[:, 1].max(initial=0) + 1) + grid[:, 1]
    number = np.unique(key, return_inverse=True)[1].reshape(-1, 2)
    return number[:, 0], number[:, 1]


def _links(row: NDArray, first: NDArray, second: NDArray) -> NDArray:
    """(n, 2) segment that follows at the first and the second end, -1 for none; only where just two of
    a boundary meet.
    """
    n = len(row)
    corner = np.r_[first, second]
    key = np.r_[row, row].astype(np.int64) * (corner.max(initial=0) + 1) + corner
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    mate = np.full((n, 2), -1, np.int64)
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    alone = np.ones(len(same), bool)
    if len(ordered) > 2:
        before = np.r_[False, ordered[1:] == ordered[:-1]][same]
        after = np.r_[ordered[1:] == ordered[:-1], False][same + 1]
        alone = ~before & ~after
    i, j = order[same[alone]], order[same[alone] + 1]
    mate[i % n, i // n], mate[j % n, j // n] = j % n, i % n
    return mate


@compiled
def _walk(mate):
    """Segments in walking order, piece of each segment, and whether its piece is a closed loop."""
    n = mate.shape[0]
    order, piece, closed = np.empty(n, np.int64), np.full(n, -1, np.int64), np.zeros(n, np.bool_)
    count, found = 0, 0
    for phase in range(2):  # open pieces from their ends first; what is left are loops
        for start in range(n):
            if piece[start] >= 0 or (phase == 0 and mate[start, 0] >= 0 and mate[start, 1] >= 0):
                continue
            current, previous = start, -1
            while current >= 0 and piece[current] < 0:
                piece[current], closed[current] = found, phase == 1
                order[count] = current
                count += 1
                following = mate[current, 0]
                if following == previous or following < 0 or piece[following] >= 0:
                    following = mate[current, 1]
                previous, current = current, following
            found += 1
    return order, piece, closed


@compiled
def _curvatures(middle, side, starts, closed, h, kappa, chord, arc):
    """Parabola through the neighbours of each segment of each piece; chord and arc of the piece."""
    for p in range(starts.size - 1):
        a, b = starts[p], starts[p + 1]
        n, loop = b - a, closed[a]
        length = 0.0
        for i in range(a, b if loop else b - 1):
            j = i + 1 if i + 1 < b else a
            length += np.hypot(middle[j, 0] - middle[i, 0], middle[j, 1] - middle[i, 1])
        end = 0.0 if loop else np.hypot(middle[b - 1, 0] - middle[a, 0], middle[b - 1, 1] - middle[a, 1])
        for i in range(a, b):
            chord[i], arc[i] = end, length
            low, high = -h, h
            if not loop:
                low, high = max(low, a - i), min(high, b - 1 - i)
            if high - low < 4 or (loop and n < 2 * h + 1):
                continue
            s = np.zeros(5)
            m = np.zeros((2, 3))
            for k in range(low, high + 1):
                j = a + (i - a + k) % n
                t = float(k)
                power = 1.0
                for e in range(5):
                    s[e] += power
                    if e < 3:
                        m[0, e] += power * (middle[j, 0] - middle[i, 0])
                        m[1, e] += power * (middle[j, 1] - middle[i, 1])
                    power *= t
            c00, c01, c02 = s[2] * s[4] - s[3] * s[3], s[2] * s[3] - s[1] * s[4], s[1] * s[3] - s[2] * s[2]
            c11, c12, c22 = s[0] * s[4] - s[2] * s[2], s[1] * s[2] - s[0] * s[3], s[0] * s[2] - s[1] * s[1]
            det = s[0] * c00 + s[1] * c01 + s[2] * c02
            x1 = (c01 * m[0, 0] + c11 * m[0, 1] + c12 * m[0, 2]) / det
            y1 = (c01 * m[1, 0] + c11 * m[1, 1] + c12 * m[1, 2]) / det
            x2 = 2.0 * (c02 * m[0, 0] + c12 * m[0, 1] + c22 * m[0, 2]) / det
            y2 = 2.0 * (c02 * m[1, 0] + c12 * m[1, 1] + c22 * m[1, 2]) / det
            speed = np.sqrt(x1 * x1 + y1 * y1)
            if speed < 1e-12:
                continue
            value = (x1 * y2 - y1 * x2) / speed**3
            # the centre lies along value * (-y1, x1)
            towards = value * (-y1 * side[i, 0] + x1 * side[i, 1])
            kappa[i] = abs(value) if towards >= 0 else -abs(value)
