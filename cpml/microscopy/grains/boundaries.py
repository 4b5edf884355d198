"""The boundary network: pixel edges between grains, and pairs of grains.

Segment = the cell edge shared by two neighbouring pixels of different grains; its end points lie on cell
corners. Boundary = all segments of one pair of grains. Its length is that of the outline
(cpml.microscopy.grains.outline) and its trace the main direction of its segments' mid points, so that the
pixel staircase does not count. Coincidence-site boundaries: cpml.microscopy.grains.csl; pieces, curvature,
tilt and twist: cpml.microscopy.grains.boundary_geometry; triple points: cpml.microscopy.grains.junctions.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cpml.crystallography.disorientation import disorientation_axis_angle
from cpml.crystallography.rotations import quaternion_conjugate, quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy.grains.csl import nearest_csl
from cpml.microscopy.grains.shapes import Segmented, on_screen_deg
from cpml.microscopy.maps.neighbours import neighbour_angles


def segment_table(grains: Segmented) -> pd.DataFrame:
    """Segments: pixel_a, pixel_b, fragment_a, fragment_b, x0_um, y0_um, x1_um, y1_um, length_um,
    staircase_um, angle_deg.

    length_um is the segment's share of the outline, staircase_um the length of the cell edge itself.
    angle_deg is the disorientation of the two pixels (of their stand-ins where a label was adopted);
    NaN between phases.
    """
    found, label = grains.outline, grains.label
    chosen = between_grains(grains)
    pairs = np.stack([found.pixel_a[chosen], found.pixel_b[chosen]], axis=1)
    angle = np.degrees(neighbour_angles(grains.map, grains.source[pairs]))
    return pd.DataFrame(
        {
            "pixel_a": pairs[:, 0],
            "pixel_b": pairs[:, 1],
            "fragment_a": label[pairs[:, 0]],
            "fragment_b": label[pairs[:, 1]],
            **dict(zip(("x0_um", "y0_um", "x1_um", "y1_um"), found.ends[chosen].T, strict=True)),
            "length_um": found.length_um[chosen],
            "staircase_um": found.staircase_um[chosen],
            "angle_deg": angle,
        }
    )


def between_grains(grains: Segmented) -> NDArray:
    """Edges of the outline with a grain on either side, those of the segment table in its order."""
    found = grains.outline
    inside = np.flatnonzero(found.pixel_b >= 0)
    both = (grains.label[found.pixel_a[inside]] > 0) & (grains.label[found.pixel_b[inside]] > 0)
    return inside[both]


def group_pairs(first: NDArray, second: NDArray) -> tuple[NDArray, NDArray]:
    """Distinct unordered pairs (B, 2), smaller id first, sorted, and the row of each input pair in them."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
    base = int(high.max(initial=0)) + 1
    keys, row = np.unique(low * base + high, return_inverse=True)
    return np.stack([keys // base, keys % base], axis=1), row


def traces(segments: pd.DataFrame, row: NDArray, n: int) -> NDArray:
    """On-screen trace (n,), deg, of groups of segments: main direction of mid points plus edge ends."""
    x = segments[["x0_um", "x1_um"]].to_numpy()
    y = segments[["y0_um", "y1_um"]].to_numpy()
    weight = segments["length_um"].to_numpy()
    mx, my = x.mean(1), y.mean(1)
    total = np.bincount(row, weight, n)
    cx, cy = (np.bincount(row, weight * m, n) / total for m in (mx, my))
    u, v, half_u, half_v = mx - cx[row], my - cy[row], (x[:, 1] - x[:, 0]) / 2, (y[:, 1] - y[:, 0]) / 2
    cxx, cyy, cxy = (
        np.bincount(row, weight * (p * q + hp * hq / 3), n)
        for p, q, hp, hq in ((u, u, half_u, half_u), (v, v, half_v, half_v), (u, v, half_u, half_v))
    )
    turn = np.arctan2(2 * cxy, cxx - cyy) / 2
    return on_screen_deg(np.cos(turn), np.sin(turn))


def boundary_table(grains: Segmented) -> pd.DataFrame:
    """Pairs of grains, fragment_a < fragment_b: length_um, staircase_um, n_segments, angle_deg, axis_x,
    axis_y, axis_z, trace_deg, csl, csl_deviation_deg, phase_boundary.

    length_um is that of the outline, staircase_um the sum of the cell edges, up to 1.41 times as long.
    Angle and axis (crystal frame, standard triangle) are those of the mean orientations; csl is 0 where there
    is none and in all but cubic pairs of one phase.
    """
    table = grains.segments
    ids, row = group_pairs(table["fragment_a"].to_numpy(), table["fragment_b"].to_numpy())
    return pair_columns(ids, row, table, grains.mean_quaternions, grains.phase, grains.map.phases, "fragment")


def pair_columns(
    ids: NDArray, row: NDArray, segments: pd.DataFrame, mean: NDArray, phase: NDArray, phases: dict, name: str
) -> pd.DataFrame:
    """The boundary table of any partition: ids (B, 2) from 1, row (n,) of each segment, means (G,
    4), phases (G,).
    """
    n = len(ids)
    qa, qb, pa, pb = mean[ids[:, 0] - 1], mean[ids[:, 1] - 1], phase[ids[:, 0] - 1], phase[ids[:, 1] - 1]
    axis, angle = np.full((n, 3), np.nan), np.full(n, np.nan)
    csl, deviation = np.zeros(n, int), np.full(n, np.nan)
    for i, j in sorted(set(zip(pa.tolist(), pb.tolist(), strict=True))):
        if 0 in (i, j):  # a region without orientation
            continue
        chosen = np.flatnonzero((pa == i) & (pb == j))
        left, right = proper_group(phases[i].group), proper_group(phases[j].group)
        axis[chosen], angle[chosen] = disorientation_axis_angle(
            qa[chosen], qb[chosen], left, None if i == j else right
        )
        if i == j and phases[i].group == "432":
            m = quaternion_multiply(quaternion_conjugate(qa[chosen]), qb[chosen])
            csl[chosen], deviation[chosen] = nearest_csl(m, left)
    return pd.DataFrame(
        {
            f"{name}_a": ids[:, 0],
            f"{name}_b": ids[:, 1],
            "length_um": np.bincount(row, segments["length_um"], n),
            "staircase_um": np.bincount(row, segments["staircase_um"], n),
            "n_segments": np.bincount(row, minlength=n),
            "angle_deg": np.degrees(angle),
            "axis_x": axis[:, 0],
            "axis_y": axis[:, 1],
            "axis_z": axis[:, 2],
            "trace_deg": traces(segments, row, n),
            "csl": csl,
            "csl_deviation_deg": deviation,
            "phase_boundary": pa != pb,
        }
    )


def length_graph(ids: NDArray, length: NDArray, n: int) -> sparse.csr_matrix:
    """(n, n) symmetric shared length of pairs ids (B, 2) that count from 1."""
    i, j = ids[:, 0] - 1, ids[:, 1] - 1
    return sparse.coo_matrix((np.r_[length, length], (np.r_[i, j], np.r_[j, i])), shape=(n, n)).tocsr()
