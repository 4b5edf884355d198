"""Directions of slip bands in a picture of strain or contrast, grain by grain.

Values f of a grain, clipped at their 99th percentile, mean removed. For each direction t the pixels are
collected in bins of width 1 along the line's normal, p = -x sin t + y cos t (y down), and

    R2(t) = sum over bins of (sum f)^2 / n  /  sum f^2  -  (number of bins) / N        (bins of 8 pixels and
    more)

is the share of the variance that stripes of that direction explain, less what chance would. Bands are the
maxima above max(0.04, 0.4 max R2), none within 15 deg of a higher one. The on-screen angle is -t mod 180.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.progress import progress

SMALLEST_BIN = 8
LEAST_SCORE, LEAST_SHARE, APART_DEG = 0.04, 0.4, 15.0
"""What makes a maximum a band (above): of the nickel field of DefDAP, 41 of 44 dominant bands then lie within
4 deg of a {111} trace."""


def band_angles(values: ArrayLike, label: ArrayLike, *, min_pixels: int = 250) -> pd.DataFrame:
    """Band directions of every region.

    Parameters
    ----------
    values : (rows, columns) strain or contrast; NaN is left out
    label : (rows, columns) int, region of each pixel, 0 = none
    min_pixels : smaller regions are not looked at

    Returns
    -------
    table of grain_id, rank (1 = strongest), angle_deg (on screen), score (R2), n_pixels; a region that was
    looked at and shows no band has one row with rank 0 and NaN
    """
    values, label = np.asarray(values, float), np.asarray(label)
    if values.shape != label.shape or values.ndim != 2:
        raise ParameterError(f"values {values.shape} and label {label.shape} must be pictures of one size")
    valid = np.isfinite(values) & (label > 0)
    rows = []
    regions = np.flatnonzero(np.bincount(label[valid], minlength=1) >= min_pixels)
    for grain in progress(regions, "band angles", unit="grain"):
        y, x = np.nonzero(valid & (label == grain))
        score = direction_score(x, y, values[y, x])
        peaks = _peaks(score, max(LEAST_SCORE, LEAST_SHARE * score.max()))
        rows += [(grain, rank, float(-t % 180), score[t], len(x)) for rank, t in enumerate(peaks, start=1)]
        if not peaks:
            rows.append((grain, 0, np.nan, np.nan, len(x)))
    return pd.DataFrame(rows, columns=["grain_id", "rank", "angle_deg", "score", "n_pixels"])


def direction_score(x: NDArray, y: NDArray, f: NDArray) -> NDArray:
    """R2 (180,) for t = 0 .. 179 deg of values f at pixels x, y (y down)."""
    f = np.minimum(f, np.percentile(f, 99))
    f = f - f.mean()
    total = np.sum(f**2)
    score = np.zeros(180)
    for t in range(180 if total > 0 else 0):
        p = -x * np.sin(np.radians(t)) + y * np.cos(np.radians(t))
        place = np.floor(p).astype(int)
        place -= place.min()
        count = np.bincount(place)
        kept = count >= SMALLEST_BIN
        score[t] = np.sum(np.bincount(place, f)[kept] ** 2 / count[kept]) / total - kept.sum() / len(f)
    return score


def _peaks(score: NDArray, least: float) -> list[int]:
    """Directions, best first, above `least` and local maxima, none within the exclusion of a better one."""
    is_maximum = (score >= np.roll(score, 1)) & (score >= np.roll(score, -1)) & (score >= least)
    chosen: list[int] = []
    for t in np.flatnonzero(is_maximum)[np.argsort(-score[is_maximum], kind="stable")]:
        if all(abs((t - other + 90) % 180 - 90) >= APART_DEG for other in chosen):
            chosen.append(int(t))
    return chosen
