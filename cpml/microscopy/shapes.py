"""Size and shape of labelled regions from their pixels: area, centre, ellipse of equal second moments.

C = covariance of the pixel centres + pixel^2/12 on the diagonal;  aspect = sqrt(l1/l2);  long axis: l1's
eigenvector
"""

import numpy as np
from numpy.typing import NDArray

from cpml.microscopy.ebsd_map import EbsdMap


def on_screen_deg(vx: NDArray, vy: NDArray) -> NDArray:
    """Angle in degrees, counter-clockwise from +x as seen on screen, in [0, 180), of directions with y down.
    """
    angle = np.degrees(np.arctan2(-np.asarray(vy, float), np.asarray(vx, float))) % 180.0
    return np.where(angle >= 180.0, 0.0, angle)  # -1e-17 % 180 is 180 itself


def shape_columns(ebsd_map: EbsdMap, label: NDArray, n_labels: int) -> dict[str, NDArray]:
    """Columns of labels 1 .. n_labels: area_um2, equivalent_diameter_um, x_um, y_um, on_edge, aspect_ratio,
    long_axis_deg; label (N,), 0 = none."""

    def total(weight=None):
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
