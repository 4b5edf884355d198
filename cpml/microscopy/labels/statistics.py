"""How often footprints occur: against Schmid factor, grain size, boundary type, with confidence intervals.

Wilson's interval of k in n:  (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n),  p = k/n. It takes
the rows for independent; the planes of one grain are not, so the bootstrap draws whole grains (clusters) with
replacement.

References: Wilson 1927, JASA 22:209; Field & Welsh 2007, JRSS B 69:369 (cluster bootstrap).
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.intervals import wilson_interval
from cpml.microscopy.maps.phase_parts import by_phase


def bootstrap_interval(
    values: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
    n_draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the mean of values (n,); whole clusters (n,) are drawn, single
    rows without them.
    """
    values = np.asarray(values, float)
    if not 0 < level < 1 or n_draws < 1:
        raise ParameterError(f"level {level} must lie between 0 and 1 and n_draws {n_draws} be positive")
    if not len(values):
        return np.nan, np.nan
    group = (
        np.arange(len(values))
        if clusters is None
        else np.unique(np.asarray(clusters), return_inverse=True)[1]
    )
    n, rng = group.max() + 1, np.random.default_rng(seed)
    sums, counts = np.bincount(group, values, n), np.bincount(group, minlength=n)
    drawn = rng.integers(0, n, (n_draws, n))
    found = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def footprint_frequency(
    table: pd.DataFrame,
    against: str,
    *,
    bins: ArrayLike | int | None = None,
    n_draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of rows with observed = 1 in each class of a column, with 95 % intervals; missing observations
    are left out.

    Parameters
    ----------
    table : label rows with the column `against` (numbers, or names such as a boundary type)
    bins : edges, or a number of classes with as many rows each; None treats the column as names

    Returns
    -------
    DataFrame: class (or low, high, middle), n, n_clusters, hits, share, wilson_low,
    wilson_high, bootstrap_low, bootstrap_high

    Raises
    ------
    ParameterError : a missing column, observations other than 0, 1, NaN, or bins that do not grow
    """
    missing = [c for c in ("observed", against, "grain_id") if c not in table]
    if missing:
        raise ParameterError(
            f"table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}"
        )
    known = table[table["observed"].notna() & table[against].notna()]
    if not known["observed"].isin([0, 1]).all():
        raise ParameterError("observed holds other values than 0, 1 and missing")
    rows = []
    for name, part in _classes(known, against, bins):
        hits, n = int(part["observed"].sum()), len(part)
        wilson = wilson_interval(hits, n, level=0.95)
        spread = bootstrap_interval(part["observed"], clusters=part["grain_id"], n_draws=n_draws, seed=seed)
        n_clusters = part["grain_id"].nunique()
        rows.append(
            (
                *name,
                n,
                n_clusters,
                hits,
                hits / n if n else np.nan,
                float(wilson[0]),
                float(wilson[1]),
                *spread,
            )
        )
    names = [against] if bins is None else ["low", "high", "middle"]
    return pd.DataFrame(
        rows,
        columns=[
            *names,
            "n",
            "n_clusters",
            "hits",
            "share",
            "wilson_low",
            "wilson_high",
            "bootstrap_low",
            "bootstrap_high",
        ],
    )


def _classes(
    known: pd.DataFrame, against: str, bins: ArrayLike | int | None
) -> list[tuple[tuple, pd.DataFrame]]:
    if bins is None:
        return [((name,), part) for name, part in known.groupby(against)]
    value = known[against].to_numpy(float)
    edges = (
        np.unique(np.quantile(value, np.linspace(0, 1, bins + 1)))
        if np.ndim(bins) == 0 and len(value)
        else np.atleast_1d(np.asarray(bins, float))
    )
    if len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ParameterError(
            f"bins {bins}: two or more growing edges, or a number of classes that the "
            "data can fill, are needed"
        )
    place = np.minimum(np.searchsorted(edges, value, side="right") - 1, len(edges) - 2)
    inside = (value >= edges[0]) & (value <= edges[-1])
    return [
        ((float(low), float(high), float((low + high) / 2)), known[inside & (place == k)])
        for k, (low, high) in enumerate(pairwise(edges))
    ]


def with_circumstances(labels: pd.DataFrame, grains: pd.DataFrame, boundaries: pd.DataFrame) -> pd.DataFrame:
    """The labels with equivalent_diameter_um of their grain and `around`, the boundary that surrounds
    most of it.

    Parameters
    ----------
    grains : grain_id, equivalent_diameter_um; boundaries : as in `surrounding_type`
    """
    diameter = grains.set_index("grain_id")["equivalent_diameter_um"]
    return labels.assign(
        equivalent_diameter_um=labels["grain_id"].map(diameter),
        around=labels["grain_id"].map(surrounding_type(boundaries)),
    )


def with_schmid(
    labels: pd.DataFrame,
    grains: pd.DataFrame,
    systems: Systems | Mapping[int, Systems],
    stress: ArrayLike,
) -> pd.DataFrame:
    """The labels with a column schmid: |m| of a slip system, the largest |m| on a slip plane, signed m of
    a twin variant.

    Parameters
    ----------
    grains : table with grain_id, qw, qx, qy, qz; the column equivalent_diameter_um, where there, comes along
    systems : of all grains, or of each phase id: then one stress, and only labels of their grains
    stress : (3, 3) or (G, 3, 3) in the order of grains

    Returns
    -------
    labels with schmid (NaN for targets that are neither plane nor system) and equivalent_diameter_um
    """
    if isinstance(systems, Mapping):
        parts = by_phase(grains, systems)
        found = [
            with_schmid(labels[labels["grain_id"].isin(some["grain_id"])], some, own, stress)
            for some, own in parts
        ]
        return pd.concat(found, ignore_index=True)
    m = schmid_factors(systems, grains[["qw", "qx", "qy", "qz"]].to_numpy(), np.asarray(stress, float))
    m = np.where(systems.twin, m, np.abs(m))
    value = {}
    for i, grain in enumerate(grains["grain_id"]):
        value |= {(grain, name): m[i, s] for s, name in enumerate(systems.names)}
        for plane in np.unique(systems.plane_id[systems.slip]):
            value[grain, systems.plane_names[plane]] = m[i, systems.slip & (systems.plane_id == plane)].max()
    found = [value.get(key, np.nan) for key in zip(labels["grain_id"], labels["target"], strict=True)]
    out = labels.assign(schmid=found)
    if "equivalent_diameter_um" in grains:
        out["equivalent_diameter_um"] = out["grain_id"].map(
            grains.set_index("grain_id")["equivalent_diameter_um"]
        )
    return out


def boundary_type(boundaries: pd.DataFrame, *, low_angle_deg: float = 15.0) -> pd.Series:
    """Name of each boundary: "low angle", "twin" (column twin_type), "CSL 3", ..., or "random".

    Parameters
    ----------
    boundaries : table with angle_deg, and csl and twin_type where known
    """
    if "angle_deg" not in boundaries:
        raise ParameterError(
            f"boundaries have no column angle_deg; they have {', '.join(map(str, boundaries.columns))}"
        )
    name = pd.Series("random", boundaries.index)
    if "csl" in boundaries:
        special = boundaries["csl"].fillna(0).astype(int)
        name = name.mask(special > 1, "CSL " + special.astype(str))
    if "twin_type" in boundaries:
        name = name.mask(boundaries["twin_type"].fillna("").astype(str) != "", "twin")
    return name.mask(boundaries["angle_deg"] < low_angle_deg, "low angle")


def surrounding_type(boundaries: pd.DataFrame) -> pd.Series:
    """Type of boundary that makes up most of the outline of each grain, by length.

    Parameters
    ----------
    boundaries : grain_a, grain_b (or fragment_a, fragment_b), length_um and the columns of `boundary_type`

    Returns
    -------
    Series indexed by grain id; grains without a boundary are not in it
    """
    name = "fragment" if "fragment_a" in boundaries else "grain"
    kind = boundary_type(boundaries)
    sides = [
        pd.DataFrame({"grain_id": boundaries[f"{name}_{s}"], "kind": kind, "um": boundaries["length_um"]})
        for s in "ab"
    ]
    length = pd.concat(sides).pivot_table(
        index="grain_id", columns="kind", values="um", aggfunc="sum", fill_value=0.0
    )
    return length.idxmax(axis=1)
