"""What more a map tells of its grain boundaries: straightness, curvature, tilt and twist, strict CSL, twins.

Tilt and twist: of the boundary plane only the trace t is seen. With the rotation axis u of the disorientation
(sample frame), p the in-plane normal of t and z the normal of the map,

    twist share (u.n)^2 lies between 0 and 1 - (u.t)^2;   its mean over planes of random orientation cut by
    the map is 2/3 (u.p)^2 + 1/3 (u.z)^2;                  tilt share = 1 - twist share, at least (u.t)^2.

| symbol | meaning |
|---|---|
| straightness | end-to-end distance over length of the outline, 1 = straight; 0 for a loop |
| u | axis of the smallest rotation between the mean orientations |
"""

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from cpml.crystallography.disorientation import rotation_vectors
from cpml.crystallography.rotations import quaternion_conjugate, quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.grains.boundaries import group_pairs
from cpml.microscopy.grains.boundary_pieces import boundary_pieces
from cpml.microscopy.grains.csl import nearest_csl
from cpml.microscopy.grains.grains import Grains


class TwinPairs(Protocol):
    """What `find_twins` returns, as far as boundaries need it."""

    pairs: pd.DataFrame


def boundary_details(grains: Grains, *, twins: TwinPairs | None = None) -> pd.DataFrame:
    """The boundary table with more columns; same rows, same order.

    Parameters
    ----------
    twins : result of `find_twins`: adds twin_type ("" for none) and twin_deviation_deg, of
        the mean orientations

    Returns
    -------
    `grains.boundaries` and n_pieces, straightness, curvature_per_um (signed mean), curvature_abs_per_um,
    twist_share_mean, twist_share_max, tilt_share_min, csl_palumbo_aust, csl_palumbo_aust_deviation_deg; NaN
    where a boundary is too short for a fit or lies between phases
    """
    table = grains.boundaries.copy()
    pieces = boundary_pieces(grains)
    n, row, length = len(table), pieces["boundary"].to_numpy(), grains.segments["length_um"].to_numpy()
    kappa = pieces["curvature_per_um"].to_numpy()
    known = np.isfinite(kappa)
    weight = np.bincount(row[known], length[known], n)

    def mean(values: NDArray) -> NDArray:
        total = np.bincount(row[known], (values * length)[known], n)
        return np.divide(total, weight, out=np.full(n, np.nan), where=weight > 0)

    ends = pieces.groupby("piece").agg(
        boundary=("boundary", "first"), chord=("chord_um", "first"), arc=("arc_um", "first")
    )
    chord, arc = (np.bincount(ends["boundary"], ends[c], n) for c in ("chord", "arc"))
    table["n_pieces"] = np.bincount(ends["boundary"], minlength=n)
    table["straightness"] = np.divide(chord, arc, out=np.full(n, np.nan), where=arc > 0)
    table["curvature_per_um"], table["curvature_abs_per_um"] = mean(kappa), mean(np.abs(kappa))
    for name, values in zip(
        ("twist_share_mean", "twist_share_max", "tilt_share_min"), _tilt_twist(grains), strict=True
    ):
        table[name] = values
    table["csl_palumbo_aust"], table["csl_palumbo_aust_deviation_deg"] = _palumbo_aust(grains)
    if twins is not None:
        found = twins.pairs.set_index(["fragment_a", "fragment_b"])
        index = pd.MultiIndex.from_frame(table[["fragment_a", "fragment_b"]])
        table["twin_type"] = found["type"].reindex(index).fillna("").to_numpy(object)
        table["twin_deviation_deg"] = found["deviation_deg"].reindex(index).to_numpy(float)
    return table


def _tilt_twist(grains: Grains) -> tuple[NDArray, NDArray, NDArray]:
    """Mean and largest twist share, least tilt share (B,) of the boundary table."""
    table = grains.boundaries
    u = sample_axes(grains)
    theta = np.radians(table["trace_deg"].to_numpy(float))
    along = u[:, 0] * np.cos(theta) - u[:, 1] * np.sin(theta)
    across = u[:, 0] * np.sin(theta) + u[:, 1] * np.cos(theta)
    return (2 * across**2 + u[:, 2] ** 2) / 3, 1 - along**2, along**2


def sample_axes(grains: Grains) -> NDArray:
    """(B, 3) unit axis, sample frame, of the smallest rotation from fragment_a to fragment_b;
    NaN between phases.
    """
    table = grains.boundaries
    a, b = table["fragment_a"].to_numpy() - 1, table["fragment_b"].to_numpy() - 1
    axes = np.full((len(table), 3), np.nan)
    for phase_id, phase in grains.map.phases.items():
        rows = np.flatnonzero((grains.phase[a] == phase_id) & (grains.phase[b] == phase_id))
        omega = rotation_vectors(grains.mean_quaternions, a[rows], b[rows], proper_group(phase.group))
        axes[rows] = omega / np.maximum(np.linalg.norm(omega, axis=1, keepdims=True), 1e-12)
    return axes


def _palumbo_aust(grains: Grains) -> tuple[NDArray, NDArray]:
    table = grains.boundaries
    a, b = table["fragment_a"].to_numpy() - 1, table["fragment_b"].to_numpy() - 1
    sigma, deviation = np.zeros(len(table), int), np.full(len(table), np.nan)
    for phase_id, phase in grains.map.phases.items():
        rows = np.flatnonzero((grains.phase[a] == phase_id) & (grains.phase[b] == phase_id))
        if phase.group == "432" and len(rows):
            q = grains.mean_quaternions
            m = quaternion_multiply(quaternion_conjugate(q[a[rows]]), q[b[rows]])
            sigma[rows], deviation[rows] = nearest_csl(m, proper_group("432"), criterion="palumbo_aust")
    return sigma, deviation


def boundary_sides(grains: Grains, values: ArrayLike, *, within_um: float) -> pd.DataFrame:
    """Mean of values (N,) per pixel (KAM, GND ...) close to every boundary, on its two sides.

    A pixel counts for the boundary whose segment is nearest to it (for each of several that are equally
    near), on the side of its own grain; NaN where no pixel with a value is near.

    Parameters
    ----------
    within_um : largest distance of a pixel from the mid point of a segment

    Returns
    -------
    fragment_a, fragment_b, mean_a, mean_b, n_a, n_b, rows as in `grains.boundaries`

    Raises
    ------
    ParameterError : values of another length, or a distance that is not positive
    """
    values = np.asarray(values, float)
    if len(values) != grains.map.n_pixels or not within_um > 0:
        raise ParameterError(
            f"{len(values)} values for {grains.map.n_pixels} pixels, or within_um {within_um} is not positive"
        )
    table, segments = grains.boundaries, grains.segments
    ends = segments[["x0_um", "x1_um", "y0_um", "y1_um"]].to_numpy()
    middle = np.stack([ends[:, :2].mean(axis=1), ends[:, 2:].mean(axis=1)], axis=1)
    row = group_pairs(segments["fragment_a"].to_numpy(), segments["fragment_b"].to_numpy())[1]
    pixel = np.flatnonzero(np.isfinite(values) & grains.measured)
    if not len(segments):
        pixel = pixel[:0]
    pixel, boundary = _nearest_boundaries(middle, row, grains.map.xy, pixel, within_um)
    out = table[["fragment_a", "fragment_b"]].copy()
    for side in "ab":
        own = grains.label[pixel] == table[f"fragment_{side}"].to_numpy()[boundary]
        count = np.bincount(boundary[own], minlength=len(table))
        total = np.bincount(boundary[own], values[pixel[own]], len(table))
        out[f"mean_{side}"] = np.divide(total, count, out=np.full(len(table), np.nan), where=count > 0)
        out[f"n_{side}"] = count
    return out


MOST_TIES = 8
"""Segments that may be equally near to one pixel."""


def _nearest_boundaries(
    middle: NDArray, row: NDArray, xy: NDArray, pixel: NDArray, within_um: float
) -> tuple[NDArray, NDArray]:
    """Pixels (n,) within the distance of a segment's middle and their nearest boundary (n,); ties
    give several rows.
    """
    if not len(row):
        return pixel[:0], row
    tree = cKDTree(middle)
    distance = tree.query(xy[pixel], distance_upper_bound=within_um * (1 + 1e-9))[0]
    pixel = pixel[np.isfinite(distance)]
    distance, segment = tree.query(xy[pixel], k=MOST_TIES)
    # which of several segments comes first depends on the order of the map: ties are kept
    k, tie = np.nonzero(distance <= distance[:, :1] * (1 + 1e-9))
    both = np.unique(np.stack([pixel[k], row[segment[k, tie]]], axis=1), axis=0)
    return both[:, 0], both[:, 1]
