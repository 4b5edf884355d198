"""Courses of single lines in a picture, cut into straight pieces: what cross-slip candidates are
looked for in.

Bright lines are the ridges of the picture (Sato et al. 1998), thinned to one pixel and cut where
they meet; every branch is followed from end to end and split where it leaves its chord by more
than TOLERANCE (cpml.microscopy.labels.cross_slip).

| column | meaning |
|---|---|
| grain_id, line_id, piece | region, line (numbered over the picture), place of the piece in its line |
| angle_deg, sigma_deg | on-screen angle and its error, sqrt 2 px / length (an end is known to a pixel) |
| length_px | length of the piece |
| x0_px, y0_px, x1_px, y1_px | its ends, pixels of the picture (column, row) |

Reference: Sato et al. 1998, Med. Image Anal. 2:143 (ridge filter); Lee, Kashyap & Chu 1994,
CVGIP 56:462 (thinning).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, sato
from skimage.morphology import skeletonize

from cpml.errors import ParameterError
from cpml.microscopy.images.line_pieces import PIECE_PIXELS, line_pieces

COLUMNS = [
    "grain_id",
    "line_id",
    "piece",
    "angle_deg",
    "sigma_deg",
    "length_px",
    "x0_px",
    "y0_px",
    "x1_px",
    "y1_px",
]
AROUND = np.ones((3, 3), int)
HIGH, LOW = 3.0, 2.0
"""Robust deviations of the filtered picture above its median in the region: a line starts above the one and
is followed down to the other."""
TOLERANCE = 1.5
"""Pixels from the chord: a pixel more than the staircase of a straight line."""
LEAST_LENGTH = 2 * PIECE_PIXELS
"""Shorter lines, pixels, cannot change their direction."""
LEAST_PIXELS = 250
"""Smaller regions hold no lines that could be followed."""
HOOK = 2
"""Pixels at either end of a thinned line, which bend towards the line's corners."""


def line_courses(
    values: ArrayLike,
    label: ArrayLike,
    *,
    width_px: float = 1.0,
) -> pd.DataFrame:
    """Straight pieces of the bright lines of every region.

    Parameters
    ----------
    values : (rows, columns) strain or contrast; NaN is left out
    label : (rows, columns) int, region of each pixel, 0 = none; lines end at its boundary
    width_px : width of the ridge filter

    Returns
    -------
    DataFrame, columns of the module; a region that was looked at and shows no line has one row with line_id
    0 and NaN

    Raises
    ------
    ParameterError : pictures of different shapes, or a width that is not positive
    """
    values, label = np.asarray(values, float), np.asarray(label)
    if values.ndim != 2 or values.shape != label.shape:
        raise ParameterError(f"values {values.shape} and label {label.shape} must be pictures of one size")
    if not width_px > 0:
        raise ParameterError(f"width_px {width_px} must be positive")
    known = np.isfinite(values) & (label > 0)
    grains = np.flatnonzero(np.bincount(label[known], minlength=1) >= LEAST_PIXELS)
    # boundaries, and the gap that two regions leave between their lines, are no part of a line
    inner = ndimage.maximum_filter(label, 3) == ndimage.minimum_filter(label, 3)
    filled = np.where(known, values, np.median(values[known]) if known.any() else 0.0)
    ridge = sato(filled, sigmas=[width_px], black_ridges=False) * (known & inner)
    rows: list[tuple] = []
    number = 0
    for grain in grains:
        box = ndimage.find_objects((label == grain).astype(int))[0]
        inside = (label[box] == grain) & known[box] & inner[box]
        thin = skeletonize(_above(np.where(inside, ridge[box], 0.0), inside))
        before = len(rows)
        for points in _branches(thin):
            if len(points) >= LEAST_LENGTH:
                number += 1
                corner = (box[1].start, box[0].start)
                rows += _pieces(int(grain), number, points[HOOK:-HOOK] + corner)
        if len(rows) == before:
            rows.append((int(grain), 0, 0, *[np.nan] * 7))
    return pd.DataFrame(rows, columns=COLUMNS)


def _above(ridge: NDArray, inside: NDArray) -> NDArray:
    """Pixels of lines: connected above LOW deviations with one above HIGH."""
    if not inside.any():
        return np.zeros(ridge.shape, bool)
    middle = np.median(ridge[inside])
    spread = 1.4826 * np.median(np.abs(ridge[inside] - middle))
    return apply_hysteresis_threshold(ridge, middle + LOW * spread, middle + HIGH * spread)


def _pieces(grain: int, number: int, points: NDArray) -> list[tuple]:
    found = line_pieces(points, tolerance=TOLERANCE)
    # the ends of a piece: the chord's direction and length from where the last one ended
    angle = np.radians(found["angle_deg"].to_numpy())
    step = found["length"].to_numpy()[:, None] * np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    sigma = np.degrees(np.sqrt(2) / np.maximum(found["length"].to_numpy(), 1.0))
    at, out = points[0].astype(float), []
    for k, row in enumerate(found.itertuples()):
        # an on-screen angle does not tell the sense: the end that lies on the line
        ends = np.stack([at + step[k], at - step[k]])
        end = ends[np.argmin([np.min(np.linalg.norm(points - e, axis=1)) for e in ends])]
        out.append((grain, number, row.piece, row.angle_deg, sigma[k], row.length, *at, *end))
        at = end
    return out


def _branches(thin: NDArray) -> list[NDArray]:
    """Points (n, 2) x, y, in order, of every branch of a skeleton without its junctions."""
    count = ndimage.convolve(thin.astype(int), AROUND, mode="constant") - 1
    branch, _ = ndimage.label(thin & (count <= 2), structure=AROUND)
    out = []
    for k, box in enumerate(ndimage.find_objects(branch), start=1):
        y, x = np.nonzero(branch[box] == k)
        out.append(_in_order(np.stack([x + box[1].start, y + box[0].start], axis=-1)))
    return out


def _in_order(points: NDArray) -> NDArray:
    """The points of a path along it, from the end (or, of a ring, any point)."""
    near = np.abs(points[:, None] - points).max(axis=-1) == 1
    at = int(np.argmin(near.sum(axis=1)))
    order, left = [at], np.ones(len(points), bool)
    left[at] = False
    while (options := np.flatnonzero(near[at] & left)).size:
        # a corner pixel's straight neighbour comes before its diagonal one
        at = int(options[np.argmin(np.abs(points[options] - points[at]).sum(axis=1))])
        left[at] = False
        order.append(at)
    return points[order]
