"""Size and shape of labelled regions from their pixels: area, centre, ellipse of equal second moments.

C = covariance of the pixel centres + pixel^2/12 on the diagonal;  aspect = sqrt(l1/l2);  long axis: l1's
eigenvector

Square and hexagonal grids alike; skimage.measure.regionprops knows pictures of square pixels only.
"""

from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from cpml.crystallography.disorientation import rotation_vectors
from cpml.crystallography.rotations import quaternion_conjugate, rotate
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy.grains.outline import Outline
from cpml.microscopy.maps.ebsd_map import EbsdMap
from cpml.microscopy.maps.vertices import labels_at, vertex_cells


class Segmented(Protocol):
    """A segmented map, as `segment` makes it (`cpml.microscopy.grains.grains.Grains`)."""

    map: EbsdMap
    n_grains: int
    label: NDArray
    source: NDArray
    measured: NDArray
    own: NDArray
    phase: NDArray
    mean_quaternions: NDArray
    deviation: NDArray
    outline: Outline
    segments: pd.DataFrame


def on_screen_deg(vx: NDArray, vy: NDArray) -> NDArray:
    """Angle in degrees, counter-clockwise from +x as seen on screen, in [0, 180), of directions
    with y down.
    """
    angle = np.degrees(np.arctan2(-np.asarray(vy, float), np.asarray(vx, float))) % 180.0
    return np.where(angle >= 180.0, 0.0, angle)  # -1e-17 % 180 is 180 itself


def shape_columns(ebsd_map: EbsdMap, label: NDArray, n_labels: int) -> dict[str, NDArray]:
    """Columns of labels 1 .. n_labels: area_um2, equivalent_diameter_um, x_um, y_um, on_edge, aspect_ratio,
    long_axis_deg; label (N,), 0 = none."""

    def total(weight: NDArray | None = None) -> NDArray:
        return np.bincount(label, weight, n_labels + 1)[1:]

    (x, y), (dx, dy) = ebsd_map.xy.T, ebsd_map.pixel_um
    x, y = x - x[0], y - y[0]
    count = total()
    mean_x, mean_y = total(x) / count, total(y) / count
    cxx = total(x * x) / count - mean_x**2 + dx**2 / 12
    cyy = total(y * y) / count - mean_y**2 + dy**2 / 12
    cxy = total(x * y) / count - mean_x * mean_y
    half_sum, root = (cxx + cyy) / 2, np.hypot((cxx - cyy) / 2, cxy)
    turn = np.arctan2(2 * cxy, cxx - cyy) / 2
    area = count * ebsd_map.pixel_area_um2
    return {
        "area_um2": area,
        "equivalent_diameter_um": np.sqrt(4 * area / np.pi),
        "x_um": mean_x + ebsd_map.xy[0, 0],
        "y_um": mean_y + ebsd_map.xy[0, 1],
        "on_edge": total(ebsd_map.border) > 0,
        "aspect_ratio": np.sqrt((half_sum + root) / np.maximum(half_sum - root, 1e-12 * half_sum)),
        "long_axis_deg": on_screen_deg(np.cos(turn), np.sin(turn)),
    }


def grain_shapes(grains: Segmented) -> pd.DataFrame:
    """Outline of every grain: fragment_id, perimeter_um, staircase_um, convexity, circularity,
    ellipse_major_um, ellipse_minor_um, long_axis_deg, on_edge.

    perimeter_um is the length of the smooth outline (cpml.microscopy.grains.outline), staircase_um that of
    the pixel edges. convexity = area over the area of the convex hull of the
    pixel corners (also called solidity). circularity = 4 pi area / perimeter^2. The ellipse has the grain's
    area, aspect ratio and long axis. The rim of the map and gaps count as outline.
    """
    cells, xy = vertex_cells(grains.map)
    at = labels_at(cells, grains.label)
    basic = shape_columns(grains.map, grains.label, grains.n_grains)
    area, aspect = basic["area_um2"], basic["aspect_ratio"]
    perimeter, staircase = (
        grains.outline.perimeters(grains.label, grains.n_grains, staircase=raw) for raw in (False, True)
    )
    minor = 2 * np.sqrt(area / (np.pi * aspect))
    return pd.DataFrame(
        {
            "fragment_id": np.arange(1, grains.n_grains + 1),
            "perimeter_um": perimeter,
            "staircase_um": staircase,
            "convexity": area / _hull_areas(at, xy, grains.n_grains),
            "circularity": 4 * np.pi * area / perimeter**2,
            "ellipse_major_um": aspect * minor,
            "ellipse_minor_um": minor,
            "long_axis_deg": basic["long_axis_deg"],
            "on_edge": basic["on_edge"],
        }
    )


def _hull_areas(at: NDArray, xy: NDArray, n_labels: int) -> NDArray:
    """(G,) area of the convex hull of the corners of each grain's cells."""
    outline = np.flatnonzero((at != at[:, :1]).any(axis=1))
    label = at[outline].ravel()
    point = np.repeat(outline, at.shape[1])
    order = np.argsort(label, kind="stable")
    label, point = label[order], point[order]
    bounds = np.searchsorted(label, np.arange(1, n_labels + 2))
    return np.array([ConvexHull(xy[point[a:b]]).volume for a, b in pairwise(bounds)])


def grain_spread(grains: Segmented) -> pd.DataFrame:
    """Orientation spread of every grain: fragment_id, gos_deg, grod_max_deg, spread_deg, spread_share,
    spread_axis_x, _y, _z (sample frame), spread_crystal_x, _y, _z (crystal frame of the stored mean).

    The axis is the main direction of the rotation vectors from the mean to the pixels; spread_deg is the rms
    rotation about it, spread_share its part of the variance: 1 for bending about one axis, 1/3 for noise.
    """
    m, n = grains.map, grains.n_grains
    moment = np.zeros((n, 3, 3))
    for phase_id, phase in m.phases.items():
        pixel = np.flatnonzero(grains.measured & (m.phase_id == phase_id))
        owner = grains.label[pixel] - 1
        both = np.concatenate([grains.mean_quaternions, m.quaternions[pixel]])
        omega = rotation_vectors(both, owner, n + np.arange(len(pixel)), proper_group(phase.group))
        for i in range(3):
            for j in range(3):
                moment[:, i, j] += np.bincount(owner, omega[:, i] * omega[:, j], n)
    count = np.bincount(grains.own, minlength=n + 1)[1:]
    value, vector = np.linalg.eigh(moment / count[:, None, None])
    axis = vector[:, :, -1]
    axis = axis * np.where(axis[np.arange(n), np.abs(axis).argmax(axis=1)] < 0, -1, 1)[:, None]
    crystal = rotate(quaternion_conjugate(grains.mean_quaternions), axis)
    deviation = np.degrees(np.nan_to_num(grains.deviation))
    largest = np.zeros(n + 1)
    np.maximum.at(largest, grains.own, deviation)
    total = value.sum(axis=1)
    return pd.DataFrame(
        {
            "fragment_id": np.arange(1, n + 1),
            "gos_deg": np.bincount(grains.own, deviation, n + 1)[1:] / count,
            "grod_max_deg": largest[1:],
            "spread_deg": np.degrees(np.sqrt(np.maximum(value[:, -1], 0))),
            "spread_share": np.divide(value[:, -1], total, out=np.full(n, np.nan), where=total > 1e-18),
            **{f"spread_axis_{name}": axis[:, k] for k, name in enumerate("xyz")},
            **{f"spread_crystal_{name}": crystal[:, k] for k, name in enumerate("xyz")},
        }
    )
