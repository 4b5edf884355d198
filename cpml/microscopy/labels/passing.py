"""Does slip pass a grain boundary? From bands that meet on it, or from lines whose places nobody knows.

**Bands with places** (`slip_passing`). Where slip passes, the bands of both grains meet the boundary at the
same places, so the two profiles along it (`cpml.microscopy.dic.band_profiles`) go up and down together. With
r their largest correlation within LAG vectors, slow changes taken out (hot ends of a boundary are hot on both
sides), and z = atanh r,

    passes    z ~ N(Z_PASSING, SD_PASSING^2 + s^2 / n)
    blocked   z ~ N(m / sqrt n, s^2 / n)

of n places. m and s are the map's own: from the same profiles, one of them shifted along the boundary or
turned round, so that nothing but chance is left. The log of the ratio of the two densities is added over
the pieces of a boundary; over pairs of directions, of which nobody knows which would pass, the ratio is
averaged. Only pairs count of which one band at least arrives.

**Lines without places** (`aligned_traces`). Lines drawn by hand name grains only. Two lines that run on into
each other have nearly one direction: where slip passes the nearest pair is within the tolerance in SEEN_ON of
all cases and by chance in the rest, else by chance alone, c = 1 - (1 - 2 tolerance / 180)^pairs. That is
weak, and it is not independent of m': planes that are nearly parallel have traces that are. Nothing can be
learned about m' from it.

| column | meaning |
|---|---|
| grain_a, grain_b | the two grains, as in the table of boundaries |
| n_a, n_b | bands that arrive (lines) on either side |
| agreement | r of the pair of directions that agrees best (lines: 1 aligned, 0 not) |
| log_ratio | log p(seen if slip passes) / p(seen if it is blocked); 0: nothing is known |
| p_passes | probability at even odds |
| passes | 1 where p_passes is 0.95 or more, 0 where it is 0.05 or less, else NaN: nobody can tell |
| weight | \\|2 p_passes - 1\\|: how much of a label it is |
| angle_a, angle_b | directions of that pair, deg on the map |
| why | "told", "open" (seen, and fits either), "no band arrives", "not seen on both sides" |
| source | "bands", "traces", or as given by a user |
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from cpml.crystallography.slip_traces import line_difference
from cpml.errors import ParameterError
from cpml.microscopy.dic.band_profiles import LEAST_POINTS, BandProfiles
from cpml.microscopy.labels.rows import CERTAIN

LAG = 2
"""Vectors by which places of one band may differ on the two sides: the error of the boundary."""
SLOW = 6.0
"""Standard deviation, vectors, of what counts as a slow change: bands of the nickel field are 8 apart."""
Z_PASSING, SD_PASSING = 0.60, 0.15
"""Mixture of both densities fitted to 246 pairs of directions at 49 boundaries of the nickel field of DefDAP:
0.59 (with less than 0.15 beside the error); a fifth of the pairs belongs to it."""
CHANCE_MEAN, CHANCE_SD, CHANCE_COUNT = 1.2, 1.4, 30
"""m and s of the same field, and how many shifted pairs they weigh as where a map has few of its own."""
SEEN_ON = 0.6
"""Share of passing slip whose continuation has a line that was drawn: a line left out must not count as
blocked."""
GIVEN = 0.98
"""Probability that a label of weight 1 by a user is right: the error that is left in what a person writes
down."""
LIKELY = 0.8
PASSING = (
    "grain_a",
    "grain_b",
    "n_a",
    "n_b",
    "agreement",
    "log_ratio",
    "p_passes",
    "passes",
    "weight",
    "angle_a",
    "angle_b",
    "why",
    "source",
)
UNSEEN, NO_BAND, OPEN, TOLD = "not seen on both sides", "no band arrives", "open", "told"


def slip_passing(boundaries: pd.DataFrame, found: BandProfiles) -> pd.DataFrame:
    """One row a boundary, in their order, the columns of the module docstring.

    Parameters
    ----------
    boundaries : grain_a, grain_b
    found : of `cpml.microscopy.band_profiles`
    """
    compared = _compared(found)
    mean, spread = _chance(compared)
    compared["log_ratio"] = _log_ratio(compared["z"], compared["n"], mean, spread)
    arrivals = found.arrivals.groupby(["grain", "neighbour", "band"]).size()
    of_pair = compared.groupby(["grain_a", "grain_b"])
    known = {key: group for key, group in of_pair}
    rows = []
    for a, b in boundaries[["grain_a", "grain_b"]].itertuples(index=False):
        is_turned = a > b
        group = known.get((min(a, b), max(a, b)))
        n_a, n_b = (_count(arrivals, *pair) for pair in ((a, b), (b, a)))
        rows.append((a, b, n_a, n_b, *_bands(group, arrivals, is_turned)))
    return _table(rows, "bands")


def aligned_traces(
    boundaries: pd.DataFrame, traces: pd.DataFrame, *, tolerance_deg: float = 10.0
) -> pd.DataFrame:
    """Weak evidence from lines whose places are not known: one row a boundary, in their order.

    Parameters
    ----------
    boundaries : grain_a, grain_b
    traces : grain_id, angle_deg; NaN angle: imaged, no line
    tolerance_deg : lines closer than this have one direction

    Raises
    ------
    ParameterError : a tolerance that is not from 0 to 45 degrees
    """
    if not 0 < tolerance_deg <= 45:
        raise ParameterError(f"tolerance_deg {tolerance_deg} is not above 0 and at most 45")
    lines = {grain: t["angle_deg"].dropna().to_numpy() for grain, t in traces.groupby("grain_id")}
    rows = []
    for a, b in boundaries[["grain_a", "grain_b"]].itertuples(index=False):
        seen = a in lines and b in lines
        first, second = (lines.get(grain, np.zeros(0)) for grain in (a, b))
        apart = np.abs(line_difference(first[:, None], second))
        if not seen or not (len(first) or len(second)):
            why, told = (NO_BAND if seen else UNSEEN), (np.nan, 0.0, np.nan, np.nan)
        elif not apart.size:  # slip on one side alone
            why, told = OPEN, (0.0, np.log(1 - SEEN_ON), np.nan, np.nan)
        else:
            chance = 1 - (1 - 2 * tolerance_deg / 180) ** apart.size
            i, j = np.unravel_index(apart.argmin(), apart.shape)
            met = apart[i, j] <= tolerance_deg
            ratio = np.log(SEEN_ON / chance + 1 - SEEN_ON) if met else np.log(1 - SEEN_ON)
            why, told = OPEN, (float(met), ratio, first[i], second[j])
        rows.append((a, b, len(first), len(second), *told, why))
    return _table(rows, "traces")


def with_given(passing: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    """The table with the rows that a user gives in place of what was found at those boundaries.

    Parameters
    ----------
    given : of `read_boundaries`; a boundary with several rows passes if one of them says so, since slip
        that one pair of systems carries across has passed
    """
    out = passing.copy()
    pair = _unordered(out)
    for key, rows in given.assign(pair=_unordered(given)).dropna(subset=["passes"]).groupby("pair"):
        chosen = rows[rows["passes"] == rows["passes"].max()]
        best = chosen.loc[chosen["weight"].idxmax()]
        p = 0.5 + (best["passes"] - 0.5) * min(float(best["weight"]), 1.0) * (2 * GIVEN - 1)
        names = ["log_ratio", "p_passes", "passes", "weight", "why", "source"]
        values = [np.log(p / (1 - p)), p, best["passes"], abs(2 * p - 1), TOLD, best["source"]]
        out.loc[pair == key, names] = pd.Series(values, names, dtype=object).to_numpy()
    kinds = dict.fromkeys(("log_ratio", "p_passes", "passes", "weight"), float)
    return out.astype(kinds)


def count_passing(passing: pd.DataFrame) -> pd.DataFrame:
    """How many boundaries pass, block, or cannot be told and why: state, why, boundaries."""
    counts = passing.groupby([passing_state(passing).rename("state"), "why"]).size()
    return counts.rename("boundaries").reset_index()


def passing_state(passing: pd.DataFrame) -> pd.Series:
    """ "passes", "likely passes", "likely blocked", "blocked" or "nobody can tell" of every boundary: from
    probabilities of 0.95 and LIKELY, and those of the other side.
    """
    p = passing["p_passes"].to_numpy(float)
    state = np.select(
        [p >= CERTAIN, p >= LIKELY, p <= 1 - CERTAIN, p <= 1 - LIKELY],
        ["passes", "likely passes", "blocked", "likely blocked"],
        "nobody can tell",
    )
    return pd.Series(state, passing.index)


def _unordered(table: pd.DataFrame) -> pd.Series:
    ids = np.sort(table[["grain_a", "grain_b"]].to_numpy(int), axis=1)
    return pd.Series(list(map(tuple, ids.tolist())), table.index, dtype=object)


# ---- profiles of the two sides


def _compared(found: BandProfiles) -> pd.DataFrame:
    """Pairs of profiles: grain_a < grain_b, band_a, band_b, angle_a, angle_b, n, r, z and by_chance, a list
    of z sqrt n of the pair shifted.
    """
    sides: dict = {}
    for key, rows in found.profiles.groupby(["piece", "grain", "neighbour"]):
        curves = []
        for band, own in rows.groupby("band"):
            curve = np.full(int(own["place"].max()) + 1, np.nan)
            curve[own["place"]] = own["value"]
            curves.append((band, float(own["angle_deg"].iloc[0]), _without_slow(curve)))
        sides[key] = curves
    out = []
    for (piece, a, b), curves in sides.items():
        if a > b:
            continue
        for band_a, angle_a, x in curves:
            for band_b, angle_b, y in sides.get((piece, b, a), []):
                size = max(len(x), len(y))
                x_, y_ = (np.pad(v, (0, size - len(v)), constant_values=np.nan) for v in (x, y))
                r, n = _correlation(x_, y_)
                if n:
                    pair = (piece, a, b, band_a, band_b, angle_a, angle_b, n, r, _z(r))
                    out.append((*pair, _shifted(x_, y_)))
    names = ["piece", "grain_a", "grain_b", "band_a", "band_b", "angle_a", "angle_b", "n", "r", "z"]
    return pd.DataFrame(out, columns=[*names, "by_chance"])


def _without_slow(curve: NDArray) -> NDArray:
    known = np.isfinite(curve)
    smooth = gaussian_filter1d(np.where(known, curve, 0.0), SLOW)
    share = gaussian_filter1d(known.astype(float), SLOW)
    return np.where(known, curve - smooth / np.maximum(share, 1e-12), np.nan)


def _correlation(x: NDArray, y: NDArray) -> tuple[float, int]:
    """Largest correlation within LAG, and the most places it rests on; 0 places: too few."""
    best, most = np.nan, 0
    for lag in range(-LAG, LAG + 1):
        u, v = x[max(lag, 0) : len(x) + min(lag, 0)], y[max(-lag, 0) : len(y) - max(lag, 0)]
        both = np.isfinite(u) & np.isfinite(v)
        if both.sum() < LEAST_POINTS or u[both].std() == 0 or v[both].std() == 0:
            continue
        best = np.fmax(best, np.corrcoef(u[both], v[both])[0, 1])
        most = max(most, int(both.sum()))
    return float(best), most


def _shifted(x: NDArray, y: NDArray) -> list[float]:
    """z sqrt n of one profile turned round, and moved along by a third, a half and two thirds."""
    others = [y[::-1], *(np.roll(y, len(y) * k // 6) for k in (2, 3, 4))]
    told = [_correlation(x, other) for other in others]
    return [float(_z(r) * np.sqrt(n)) for r, n in told if n]


def _z(r: float) -> float:
    return float(np.arctanh(np.clip(r, -0.99, 0.99)))


def _chance(compared: pd.DataFrame) -> tuple[float, float]:
    """m and s."""
    values = np.array([z for row in compared["by_chance"] for z in row])
    n = len(values)
    share = n / (n + CHANCE_COUNT)
    mean = share * (values.mean() if n else 0.0) + (1 - share) * CHANCE_MEAN
    square = share * (np.mean((values - mean) ** 2) if n else 0.0)
    return float(mean), float(np.sqrt(square + (1 - share) * CHANCE_SD**2))


def _log_ratio(z: pd.Series, n: pd.Series, mean: float, spread: float) -> NDArray:
    z, n = z.to_numpy(float), n.to_numpy(float)
    blocked = spread / np.sqrt(n)
    passing = np.hypot(SD_PASSING, blocked)
    # a better agreement than that of passing slip is no evidence against it
    above = np.minimum(z - Z_PASSING, 0.0) / passing
    # and a worse one than chance none for it
    beyond = np.maximum(z - mean / np.sqrt(n), 0.0) / blocked
    return 0.5 * beyond**2 - 0.5 * above**2 + np.log(blocked / passing)


def _count(arrivals: pd.Series, grain: int, neighbour: int) -> int:
    return int(arrivals.loc[(grain, neighbour)].sum()) if (grain, neighbour) in arrivals.index else 0


def _bands(group: pd.DataFrame | None, arrivals: pd.Series, is_turned: bool) -> tuple:
    """agreement, log_ratio, angle_a, angle_b, why of one boundary."""
    nothing = (np.nan, 0.0, np.nan, np.nan)
    if group is None:
        return *nothing, UNSEEN
    a, b = int(group["grain_a"].iloc[0]), int(group["grain_b"].iloc[0])
    ways = group.groupby(["band_a", "band_b"]).agg(
        log_ratio=("log_ratio", "sum"),
        r=("r", "max"),
        angle_a=("angle_a", "first"),
        angle_b=("angle_b", "first"),
    )
    comes = [
        (a, b, band_a) in arrivals.index or (b, a, band_b) in arrivals.index for band_a, band_b in ways.index
    ]
    ways = ways[comes]
    if not len(ways):
        return *nothing, NO_BAND
    best = ways.loc[ways["log_ratio"].idxmax()]
    angles = (best["angle_a"], best["angle_b"])
    return best["r"], _log_mean(ways["log_ratio"].to_numpy()), *(angles[::-1] if is_turned else angles), OPEN


def _log_mean(values: NDArray) -> float:
    top = values.max()
    return float(top + np.log(np.mean(np.exp(values - top))))


def _table(rows: Sequence[tuple], source: str) -> pd.DataFrame:
    """Rows grain_a, grain_b, n_a, n_b, agreement, log_ratio, angle_a, angle_b, why, with what follows."""
    names = ["grain_a", "grain_b", "n_a", "n_b", "agreement", "log_ratio", "angle_a", "angle_b", "why"]
    table = pd.DataFrame(rows, columns=names)
    p = 1 / (1 + np.exp(-table["log_ratio"].to_numpy(float)))
    passes = np.where(p >= CERTAIN, 1.0, np.where(p <= 1 - CERTAIN, 0.0, np.nan))
    why = table["why"].mask(np.isfinite(passes), TOLD)
    table = table.assign(p_passes=p, passes=passes, weight=np.abs(2 * p - 1), why=why, source=source)
    return table[list(PASSING)]
