"""Profiles of a strain field along grain boundaries, on either side: where slip bands reach a boundary.

Along a piece of a boundary, at every place k and for every band direction t of the grain on one side,

    P(k) = log of the mean of the field on the line from k along t, from FROM to TO vectors inside the grain

has maxima where bands arrive. It starts at FROM vectors: nearer than that a vector holds a share of the other
side, and the boundary of the map is known to a vector or two. A maximum counts as an arrival where the mean
stands out (prominence) by what bands of that direction usually do in the grain, the standard deviation of its
stripe means, and by NOISE standard errors. One strong band shows in the profiles of other directions as well,
so of maxima of one grain within APART vectors the one that stands out most is kept. Bands that run along the
boundary have no place of arrival; nothing is known there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.signal import find_peaks

from cpml.errors import ParameterError
from cpml.microscopy.dic.registered import RegisteredDic

FROM, TO = 3.0, 10.0
"""Vectors from the boundary. Strains of the two sides agree more from 2 than from 3 on (nickel field of
DefDAP, bands or not): subsets of a correlation overlap that far. Ten, so that a profile belongs to the
boundary and grains of 30 vectors have one."""
LEAST_INSIDE = 2 / 3
"""Share of that line that must lie in the grain."""
GRAZING_DEG = 20.0
"""Bands closer to the boundary's own direction have no place of arrival: it shifts by three times the error
of the boundary."""
NOISE, APART = 3.0, 3.0
LEAST_POINTS = 12
"""Vectors along a piece; in a shorter one two profiles cannot be compared."""
NEEDED = ("piece", "position", "x_um", "y_um", "grain_a", "grain_b")
ARRIVALS = ("grain", "neighbour", "band", "piece", "position_um", "angle_deg", "strength", "x_um", "y_um")
PROFILES = ("grain", "neighbour", "band", "angle_deg", "piece", "place", "value")


@dataclass(frozen=True, eq=False)
class BandProfiles:
    """What a field shows at the boundaries of its grains.

    Attributes
    ----------
    arrivals : one row a band that arrives: grain (whose band it is), neighbour, band (`rank` of
        `band_angles`), piece, position_um along it, angle_deg (on the map), strength (how many times what it
        must stand out by), x_um, y_um
    profiles : one row a place that shows the band's direction: grain, neighbour, band, angle_deg, piece,
        place (vectors along the piece), value P
    step_um : distance of places
    """

    arrivals: pd.DataFrame
    profiles: pd.DataFrame
    step_um: float


def band_profiles(
    dic: RegisteredDic, pieces: pd.DataFrame, *, bands: pd.DataFrame | None = None
) -> BandProfiles:
    """Profiles and arrivals at the pieces of boundaries that lie in the field.

    Parameters
    ----------
    dic : the field on the grains of the map
    pieces : one row a segment: piece (number), position (order along it), x_um, y_um, grain_a, grain_b
        (`pieces_between`)
    bands : grain_id, rank, angle_deg (on the map); left out: those of the field. Give those that lie along a
        slip plane to leave the others out

    Raises
    ------
    ParameterError : a column of the pieces is missing
    """
    if missing := [c for c in NEEDED if c not in pieces]:
        raise ParameterError(f"pieces of boundaries have no column {', '.join(missing)}")
    bands = dic.bands if bands is None else bands
    directions = dict(iter(bands[bands["rank"] > 0].groupby("grain_id")))
    field = _Field(dic)
    arrivals: list[pd.DataFrame] = []
    profiles: list[pd.DataFrame] = []
    for piece, rows in pieces.sort_values(["piece", "position"], kind="stable").groupby("piece"):
        ids = rows[["grain_a", "grain_b"]].iloc[0].tolist()
        on_map, along = _resampled(rows[["x_um", "y_um"]].to_numpy(float), dic.step_um)
        if len(on_map) < LEAST_POINTS or not all(grain in directions for grain in ids):
            continue
        course = np.linalg.solve(dic.to_um.matrix, (on_map - dic.to_um.offset).T).T
        for grain, neighbour in (ids, ids[::-1]):
            side = []
            for band in directions[grain].itertuples():
                who = {"grain": grain, "neighbour": neighbour, "band": band.rank, "piece": piece}
                who["angle_deg"] = band.angle_deg
                # bands have angles of the map, profiles run in the field
                mean = field.profile(course, band.angle_deg - dic.field.turn_deg, grain)
                known = np.flatnonzero(np.isfinite(mean))
                value = np.log(np.maximum(mean[known], field.least_value))
                profiles.append(pd.DataFrame(who | {"place": known, "value": value}, index=known))
                least = field.least(grain, band.angle_deg - dic.field.turn_deg)
                peaks, height = _peaks(mean, least)
                at = {"position_um": along[peaks], "strength": height / least, "height": height}
                at |= {"x_um": on_map[peaks, 0], "y_um": on_map[peaks, 1]}
                side.append(pd.DataFrame(who | at, index=peaks))
            arrivals.append(_strongest(side, APART * dic.step_um))
    return BandProfiles(_joined(arrivals, ARRIVALS), _joined(profiles, PROFILES), dic.step_um)


def _joined(parts: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    if filled := [part for part in parts if len(part)]:
        return pd.concat(filled, ignore_index=True)[list(columns)]
    whole = ("grain", "neighbour", "band", "piece", "place")
    return pd.DataFrame({c: pd.Series(dtype=int if c in whole else float) for c in columns})


def _resampled(xy: NDArray, step: float) -> tuple[NDArray, NDArray]:
    """Points (n, 2) a step apart along a course (m, 2), and their distance from its first (n,)."""
    along = np.r_[0.0, np.cumsum(np.hypot(*np.diff(xy, axis=0).T))]
    at = np.arange(0.0, along[-1] + 1e-9, step)
    return np.stack([np.interp(at, along, c) for c in xy.T], axis=1), at


def _strongest(side: list[pd.DataFrame], apart_um: float) -> pd.DataFrame:
    """Maxima of all directions of one side, none within `apart_um` of a higher one."""
    filled = [part for part in side if len(part)]
    if not filled:
        return pd.DataFrame()
    table = pd.concat(filled, ignore_index=True)
    at, kept = table["position_um"].to_numpy(), np.zeros(0, int)
    for k in np.argsort(-table["height"].to_numpy(), kind="stable"):
        if not np.any(np.abs(at[kept] - at[k]) < apart_um):
            kept = np.r_[kept, k]
    return table.iloc[np.sort(kept)]


def _peaks(mean: NDArray, least: float) -> tuple[NDArray, NDArray]:
    """Places of maxima that stand out by `least` or more, and by how much."""
    places, heights = [np.zeros(0, int)], [np.zeros(0)]
    for start, end in _runs(np.isfinite(mean)):
        peaks, facts = find_peaks(mean[start:end], prominence=least)
        places.append(start + peaks)
        heights.append(facts["prominences"])
    return np.concatenate(places), np.concatenate(heights)


def _runs(known: NDArray) -> Iterator[tuple[int, int]]:
    """First and one past the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.r_[0, known.astype(int), 0]))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


class _Field:
    """The field with the grain of every vector."""

    def __init__(self, dic: RegisteredDic):
        self.label, self.known = dic.label, np.isfinite(dic.shear)
        self.values = np.where(self.known, dic.shear, 0.0)
        positive = self.values[self.known & (self.values > 0)]
        # a mean is seldom zero; where it is, it has no logarithm
        self.least_value = 1e-3 * float(np.median(positive)) if len(positive) else 1e-12
        self.contrast: dict[tuple[int, float], float] = {}

    def profile(self, course: NDArray, angle_deg: float, grain: int) -> NDArray:
        """Mean (n,) at places (n, 2) (column, row); NaN where the line leaves the grain or grazes."""
        t = np.radians(angle_deg)
        direction = np.array([np.cos(t), -np.sin(t)])
        reach = np.arange(FROM, TO + 0.5)
        sides = []
        for sense in (1.0, -1.0):
            line = course[:, None] + sense * reach[:, None] * direction
            at = [line[..., 1], line[..., 0]]
            inside = map_coordinates(self.label, at, order=0, mode="constant") == grain
            inside &= map_coordinates(self.known.astype(np.uint8), at, order=0, mode="constant") > 0
            f = map_coordinates(self.values, at, order=1, mode="nearest")
            count = inside.sum(axis=1)
            sides.append((count, np.where(inside, f, 0.0).sum(axis=1) / np.maximum(count, 1)))
        (n1, p1), (n2, p2) = sides
        count, mean = np.maximum(n1, n2), np.where(n1 >= n2, p1, p2)
        tangent = np.gradient(course, axis=0)
        # over seven vectors: the outline still follows the staircase a little
        tangent = np.stack(
            [np.convolve(np.pad(c, 3, mode="edge"), np.ones(7) / 7, "valid") for c in tangent.T]
        )
        cross = np.abs(tangent[0] * direction[1] - tangent[1] * direction[0])
        sine = cross / np.maximum(np.hypot(*tangent), 1e-12)
        is_known = (count >= LEAST_INSIDE * len(reach)) & (sine >= np.sin(np.radians(GRAZING_DEG)))
        return np.where(is_known, mean, np.nan)

    def least(self, grain: int, angle_deg: float) -> float:
        """What a band must stand out by: the larger of the standard deviation of stripe means and NOISE
        standard errors of a profile.
        """
        key = (int(grain), round(float(angle_deg), 6))
        if key not in self.contrast:
            y, x = np.nonzero((self.label == grain) & self.known)
            f, t = self.values[y, x], np.radians(angle_deg)
            stripe = np.floor(x * np.sin(t) + y * np.cos(t)).astype(int)
            stripe -= stripe.min(initial=0)
            count = np.bincount(stripe)
            mean = np.bincount(stripe, f) / np.maximum(count, 1)
            rest = f - mean[stripe]
            deviation = 1.4826 * np.median(np.abs(rest - np.median(rest))) if len(rest) else 0.0
            long = count >= TO - FROM
            spread = float(np.std(mean[long])) if long.sum() > 1 else 0.0
            self.contrast[key] = max(spread, NOISE * float(deviation) / np.sqrt(TO - FROM + 1), 1e-12)
        return self.contrast[key]
