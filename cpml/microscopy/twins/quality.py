"""How far the points of a small fragment can be trusted to be a twin.

A few badly indexed points scatter around wrong solutions, some of which are in twin relation by chance. A
fragment of fewer than FEW points counts as such a cluster, and is no twin, if

    its points scatter:            spread > SCATTER times that of larger fragments, and > LEAST_SPREAD_DEG
    or its boundary is no relation: less than HALF of the pixel pairs along it are in twin relation themselves
    or its patterns are worse:     quality < WORST

where quality is the mean over its points of each recorded measure (confidence, band contrast ... and, with
the other sign, misfits), less the median over points at the boundaries of larger fragments, in robust
standard deviations of those; the worst measure counts. Points at boundaries are compared with each other
because two patterns overlap there.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.microscopy.grains.grains import Grains

FEW = 10
SCATTER = 3.0
LEAST_SPREAD_DEG = 1.0
HALF = 0.5
WORST = -3.0
BETTER_HIGH = ("ci", "iq", "bc", "bs", "bands")
BETTER_LOW = ("mad", "fit")
FINEST = 0.1
"""Least scatter of a measure, as a part of its median."""


def fragment_quality(grains: Grains, segments: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Points, spread, and what speaks for the relations of each fragment.

    Parameters
    ----------
    segments : with twin_type ("" for none), of `find_twins`
    pairs : fragment_a, fragment_b in twin relation

    Returns
    -------
    table of all fragments in order: n_pixels, spread_deg (mean disorientation to the fragment's mean),
    relation_share (of its boundary with relatives, the part along which pixel pairs are in relation; NaN
    without relatives), quality (NaN without a recorded measure), is_cluster (a few bad points)
    """
    points, spread = grains.table["n_pixels"].to_numpy(), grains.table["gos_deg"].to_numpy()
    share = _relation_share(segments, pairs, grains.n_grains)
    quality = _quality(grains, segments)
    usual = np.median(spread[points >= FEW]) if (points >= FEW).any() else 0.0
    is_bad = (spread > max(SCATTER * usual, LEAST_SPREAD_DEG)) | (share < HALF) | (quality < WORST)
    return pd.DataFrame(
        {
            "n_pixels": points,
            "spread_deg": spread,
            "relation_share": share,
            "quality": quality,
            "is_cluster": (points < FEW) & is_bad,
        }
    )


def _relation_share(segments: pd.DataFrame, pairs: pd.DataFrame, n: int) -> NDArray:
    """(G,) part of the boundary with relatives along which the pixels themselves are in relation."""
    names = ["fragment_a", "fragment_b"]
    ends = np.sort(segments[names].to_numpy(np.int64), axis=1)
    relatives = np.sort(pairs[names].to_numpy(np.int64), axis=1)
    chosen = np.isin(ends @ [n + 1, 1], relatives @ [n + 1, 1])
    length = segments["length_um"].to_numpy()[chosen]
    related = length * (segments["twin_type"].to_numpy()[chosen] != "")
    whole, part = (
        sum(np.bincount(end, weight, n + 1) for end in ends[chosen].T) for weight in (length, related)
    )
    return np.divide(part, whole, out=np.full(n + 1, np.nan), where=np.asarray(whole) > 0)[1:]


def _quality(grains: Grains, segments: pd.DataFrame) -> NDArray:
    """(G,) the worst measure of each fragment, in standard deviations; NaN where nothing was recorded."""
    out = np.full(grains.n_grains + 1, np.nan)
    at_boundary = np.unique(segments[["pixel_a", "pixel_b"]].to_numpy())
    large = np.bincount(grains.own, minlength=grains.n_grains + 1) >= FEW
    for name, values in grains.map.properties.items():
        sign = 1.0 if name.lower() in BETTER_HIGH else -1.0 if name.lower() in BETTER_LOW else 0.0
        values = np.asarray(values, float) if sign else np.zeros(0)
        usable = np.isfinite(values) & grains.measured if sign else np.zeros(0, bool)
        if not usable.any():
            continue
        beside = at_boundary[usable[at_boundary] & large[grains.own[at_boundary]]]
        if not len(beside):
            continue
        middle = np.median(values[beside])
        scatter = max(1.4826 * np.median(np.abs(values[beside] - middle)), FINEST * abs(middle))
        if scatter > 0:
            count = np.bincount(grains.own[usable], minlength=len(out))
            total = np.bincount(grains.own[usable], values[usable], len(out))
            mean = np.divide(total, count, out=np.full(len(out), np.nan), where=count > 0)
            out = np.fmin(out, sign * (mean - middle) / scatter)
    return out[1:]
