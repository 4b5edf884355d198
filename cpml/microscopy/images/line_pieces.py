"""Straight pieces of a line, and the shortest whose direction a picture resolves.

Distances are those from the line through the chord. skimage.measure.approximate_polygon measures to the ends
of the chord where a point lies beyond them, which makes fewer pieces of some lines (116 in place of 117 of
the nickel data set).

Reference: Douglas & Peucker 1973, Cartographica 10:112.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError

PIECE_PIXELS = 6.0


def line_pieces(points: ArrayLike, *, tolerance: float) -> pd.DataFrame:
    """Straight pieces of a drawn line (Douglas & Peucker 1973): a point further than `tolerance` from the
    chord splits it.

    Parameters
    ----------
    points : (n, 2) x, y (y down), in order along the line
    tolerance : in the unit of the points; the error of a drawn point

    Returns
    -------
    DataFrame piece, angle_deg (on screen), sigma_deg (sqrt 2 tolerance / length), length
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1:] != (2,) or len(points) < 2 or not tolerance > 0:
        raise ParameterError(
            f"points {points.shape} must be two or more [x, y] and tolerance {tolerance} positive"
        )
    corners = [0, *_corners(points, 0, len(points) - 1, tolerance), len(points) - 1]
    step = np.diff(points[corners], axis=0)
    length = np.hypot(*step.T)
    angle = np.degrees(np.arctan2(-step[:, 1], step[:, 0])) % 180.0
    sigma = np.degrees(np.sqrt(2) * tolerance / np.maximum(length, tolerance))
    return pd.DataFrame(
        {"piece": np.arange(len(length)), "angle_deg": angle, "sigma_deg": sigma, "length": length}
    )


def _corners(points: NDArray, first: int, last: int, tolerance: float) -> list[int]:
    if last - first < 2:
        return []
    chord = points[last] - points[first]
    inner = points[first + 1 : last] - points[first]
    size = np.hypot(*chord)
    away = np.abs(inner[:, 0] * chord[1] - inner[:, 1] * chord[0]) / size if size > 0 else np.hypot(*inner.T)
    k = first + 1 + int(np.argmax(away))
    if away.max() <= tolerance:
        return []
    return [*_corners(points, first, k, tolerance), k, *_corners(points, k, last, tolerance)]


def least_line_um(pixel_um: float) -> float:
    """Length in um of the shortest straight piece whose direction an image of this pixel size resolves."""
    if not pixel_um > 0:
        raise ParameterError(f"pixel_um {pixel_um} must be positive")
    return PIECE_PIXELS * pixel_um
