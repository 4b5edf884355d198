"""What the full field of a map says that a mean field does not, and whether the measured strains agree.

    explained = 1 - <|s_field - s_mean|^2> / <|s_field - Sigma|^2>      over the grains, by their area
    inside    = <|s - s_field|^2> / <|s - Sigma|^2>                     over the cells

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, s_field | stress deviator of a cell, and of its grain in the full field | mean von Mises stress | (5,) |
| s_mean | stress deviator of a grain in the mean field | mean von Mises stress | (5,) |
| Sigma | their means | mean von Mises stress | (5,) |
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from cpml.crystallography.tensors import to_matrix, von_mises_stress
from cpml.intervals import NINETY_PERCENT
from cpml.models.mechanics.map_field import TOLERANCE, MapField, leading
from cpml.models.specimen.motions import ROTATIONS, error_of
from cpml.plasticity.field_path.loading import Stage
from cpml.plasticity.field_path.path import full_field_path
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.motion import schmid_vectors
from cpml.plasticity.polycrystal.response import MeanField

TAILS = (0.05, 0.95)  # of the resamples: 90 % intervals
FEW = 10
"""Fewer grains say nothing about others."""
ROUNDING = 1e-9
"""Differences of relative stresses below this are none."""
FEWEST_CELLS = 5
"""A grain of fewer cells has no mean of its own."""
RANK_COLUMNS = (
    *("step", "strain", "component", "scheme", "n_grains", "signal"),
    *("rank_correlation", "low", "high"),
)
MOTION_SCORES = (
    *("component", "n_grains", "signal", "rank_correlation", "low", "high"),
    *("literature", "learned_gain", "gain_low", "gain_high", "coverage"),
)
COMPONENTS = {"e_xx_percent": (0, 0), "e_yy_percent": (1, 1), "e_xy_percent": (0, 1)}


def beside_mean_field(map_field: MapField, mean: MeanField) -> pd.DataFrame:
    """One row a grain of enough cells: the columns of ``map_field.grain_table``, and of the mean field
    stress_mean, family_mean, target_mean.
    """
    stress = mean.grain_stress.numpy() / float(mean.von_mises)
    table = map_field.grain_table.assign(stress_mean=von_mises_stress(stress))
    first = leading(map_field.specimen, mean.shear_rate.numpy())
    table = table.assign(family_mean=first["family"], target_mean=first["target"])
    return table[table["n_cells"] >= FEWEST_CELLS].reset_index(drop=True)


def unlike_mean_field(map_field: MapField, mean: MeanField) -> dict[str, float]:
    """The map in a few numbers: explained_by_mean_field (share of the variance of the grains' stresses),
    stress_correlation (of their von Mises stresses), inside_grains (share of the variance of the cells),
    family_changes, target_changes (shares of the grains whose first family or target is another one) and
    n_grains.
    """
    table = beside_mean_field(map_field, mean)
    field = map_field.field
    cells = (field.stress / field.von_mises).reshape(-1, 5)
    number = map_field.grain_index.ravel()
    grain = map_field.grain_stress
    mean_stress = mean.grain_stress.numpy() / float(mean.von_mises)
    macro = cells.mean(0)
    total = ((cells - macro) ** 2).sum()
    between = ((grain[number] - macro) ** 2).sum()
    apart = ((grain - mean_stress)[number] ** 2).sum()
    area = table["n_cells"].to_numpy(float)
    return {
        "explained_by_mean_field": float(1 - apart / between) if between > 0 else np.nan,
        "stress_correlation": _correlation(table["stress"], table["stress_mean"], area),
        "inside_grains": float(1 - between / total) if total > 0 else np.nan,
        "family_changes": float((table["family"] != table["family_mean"]).mean()),
        "target_changes": float((table["target"] != table["target_mean"]).mean()),
        "n_grains": len(table),
    }


def expected_strains(map_field: MapField, mean: MeanField) -> pd.DataFrame:
    """Strains of the grains per strain of the specimen, in percent of it, in the columns of
    `cpml.microscopy.mean_gradients`: grain_id, scheme ("full_field", "affine"), e_xx_percent, e_yy_percent,
    e_xy_percent, and of the full field turn_deg, counter-clockwise on screen, per 100 % of strain.

    Grains at the edge of the map, whose neighbours are not known, and those of few cells are left out.
    """
    specimen, gradient = map_field.specimen, map_field.grain_gradient
    schmid = schmid_vectors(specimen.systems, specimen.quaternions)
    rate = np.einsum("gs,gsi->gi", mean.shear_rate.numpy(), schmid) / specimen.load.rate
    chosen = _inner_grains(map_field)
    turn = np.degrees((gradient[:, 0, 1] - gradient[:, 1, 0]) / 2)
    tables = [
        _strain_table(specimen.grain_ids, "full_field", gradient).assign(turn_deg=turn),
        _strain_table(specimen.grain_ids, "affine", to_matrix(rate)).assign(turn_deg=np.nan),
    ]
    return pd.concat([table[chosen] for table in tables], ignore_index=True)


def _strain_table(grain_ids: NDArray, scheme: str, gradient: NDArray) -> pd.DataFrame:
    strain = 50 * (gradient + gradient.swapaxes(-1, -2))
    columns = {name: strain[:, i, j] for name, (i, j) in COMPONENTS.items()}
    return pd.DataFrame({"grain_id": grain_ids, "scheme": scheme} | columns)


def expected_rotations(
    map_field: MapField,
    law: PowerLaw,
    strains: Iterable[float],
    *,
    increment: float = 0.005,
    threads: int = 2,
) -> pd.DataFrame:
    """Rotations of the grains' lattices when the map is deformed to each of some strains: grain_id, scheme
    ("full_field"), strain, rotation_x_deg, rotation_y_deg, rotation_z_deg (axis times angle, sample frame).

    The same grains as of :func:`expected_strains`, at constant strengths; strains that are not known are left
    out, and without any nothing is solved.

    Parameters
    ----------
    law : of the map
    increment : of strain, at most

    Raises
    ------
    NotConvergedError : a path that cannot be followed
    """
    specimen = map_field.specimen
    wanted = sorted({float(strain) for strain in strains if np.isfinite(strain) and strain > 0})
    columns = ["grain_id", "scheme", "strain", *ROTATIONS]
    if not wanted:
        return pd.DataFrame(columns=columns)
    parts = np.diff([0.0, *wanted])
    stages = [
        Stage(specimen.load, strain=float(part), steps=int(np.ceil(part / increment))) for part in parts
    ]
    path = full_field_path(
        law,
        map_field.grain_index,
        specimen.quaternions,
        loading=stages,
        step=map_field.cell_um,
        tol=TOLERANCE,
        threads=threads,
    )
    chosen = _inner_grains(map_field)
    tables = []
    for number, strain in enumerate(wanted):
        vector = np.full((len(specimen), 3), np.nan)
        known = path.grain_rotation[np.flatnonzero(path.stage == number)[-1]]
        vector[: len(known)] = known
        table = pd.DataFrame(vector, columns=list(ROTATIONS))
        tables.append(table.assign(grain_id=specimen.grain_ids, scheme="full_field", strain=strain)[chosen])
    return pd.concat(tables, ignore_index=True)[columns]


def _inner_grains(map_field: MapField) -> NDArray:
    """(G,) bool: grains of enough cells whose neighbours are all on the map."""
    has_mean = map_field.grain_table["n_cells"].to_numpy() >= FEWEST_CELLS
    return has_mean & ~map_field.specimen.grains["on_edge"].to_numpy(bool)


def beside_measured(
    expected: pd.DataFrame, measured: pd.DataFrame, *, n_boot: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Whether grains rank as expected, state by state and component by component.

    Parameters
    ----------
    expected : of :func:`expected_strains` or :func:`expected_rotations`
    measured : one row a grain and state: step, strain, grain_id, the components and their standard errors
        (``e_xx_se_percent`` ..., ``rotation_se_deg``), as of `cpml.datasets.strain_steps`
    n_boot, seed : of the resamples of grains

    Returns
    -------
    step, strain, component, scheme, n_grains, signal (share of the measured variance between the grains that
    the median error leaves, 0 at least), rank_correlation with low and high of its 90 % interval; no rows
    for fewer than 10 grains
    """
    rng, rows = np.random.default_rng(seed), []
    names = [name for name in expected if name not in ("grain_id", "scheme", "strain")]
    keys = ["grain_id", "strain"] if "strain" in expected else ["grain_id"]
    for step, state in measured.groupby("step", sort=False):
        for scheme, own in expected.groupby("scheme", sort=False):
            both = state.merge(own, on=keys, suffixes=("", "_expected"))
            for name in names:
                known = both[[name, f"{name}_expected", error_of(name)]].dropna().to_numpy(float)
                if len(known) < FEW:
                    continue
                rows.append(
                    {"step": step, "strain": state["strain"].iloc[0], "component": name.rpartition("_")[0]}
                    | {"scheme": scheme, "n_grains": len(known), "signal": _signal(known[:, 0], known[:, 2])}
                    | _rank_correlation(known[:, 1], known[:, 0], rng, n_boot)
                )
    return pd.DataFrame(rows, columns=RANK_COLUMNS)


def motion_scores(
    predicted: pd.DataFrame, motions: pd.DataFrame | None, *, n_boot: int = 500, seed: int = 0
) -> pd.DataFrame:
    """Predicted rotations and strains of the grains against measured ones, component by component.

    What all grains share is not compared, since a measurement does not tell it: means over the grains are
    taken off both.

    Parameters
    ----------
    predicted : of `CoupledClassifier.predict_motion`, of grains that were held out
    motions : of `cpml.models.measured_motions`; None: none
    n_boot, seed : of the resamples of grains

    Returns
    -------
    component, n_grains, signal (as of :func:`beside_measured`), rank_correlation with low and high of its
    90 % interval, literature (the same of the scheme alone), learned_gain (their difference) with gain_low
    and gain_high, coverage (share of the grains within the predicted 90 % interval, measurement errors
    added); no rows for fewer than 10 grains
    """
    rng, rows = np.random.default_rng(seed), []
    if motions is None:
        return pd.DataFrame(columns=MOTION_SCORES)
    both = predicted.merge(motions, on=["grain_id", "component"], suffixes=("", "_measured"))
    for component, own in both.groupby("component", sort=False):
        if len(own) < FEW:
            continue
        value, alone, measured, error = own[["value", "literature", "value_measured", "se"]].to_numpy(float).T
        ranks = [_rank_correlations(x, measured, np.random.default_rng(seed), n_boot) for x in (value, alone)]
        gain = ranks[0] - ranks[1]
        half = (own["high"] - own["low"]).to_numpy(float) / 2
        apart = (measured - measured.mean()) - (value - value.mean())
        inside = np.abs(apart) <= np.hypot(half, NINETY_PERCENT * error)
        rows.append(
            {"component": component, "n_grains": len(own), "signal": _signal(measured, error)}
            | _rank_correlation(value, measured, rng, n_boot)
            | {"literature": ranks[1][0], "learned_gain": gain[0]}
            | dict(zip(("gain_low", "gain_high"), np.nanquantile(gain[1:], TAILS), strict=True))
            | {"coverage": float(inside.mean())}
        )
    return pd.DataFrame(rows, columns=MOTION_SCORES)


def mean_ranks(table: pd.DataFrame) -> dict[str, float]:
    """Rank correlation in the last state by scheme, mean of the strain components; nothing without rows."""
    strains = table[table["component"] != "turn"]
    last = strains[strains["step"].eq(strains["step"].iloc[-1])] if len(strains) else strains
    return {
        str(name): float(value) for name, value in last.groupby("scheme")["rank_correlation"].mean().items()
    }


def _signal(value: NDArray, error: NDArray) -> float:
    variance = float(np.var(value, ddof=1))
    return max(0.0, 1 - float(np.median(error**2)) / variance) if variance > 0 else 0.0


def _rank_correlation(a: NDArray, b: NDArray, rng: np.random.Generator, n_boot: int) -> dict[str, float]:
    value, *boot = _rank_correlations(a, b, rng, n_boot)
    low, high = np.nanquantile(boot, TAILS)
    return {"rank_correlation": float(value), "low": float(low), "high": float(high)}


def _rank_correlations(a: NDArray, b: NDArray, rng: np.random.Generator, n_boot: int) -> NDArray:
    """(1 + n_boot,) of all grains, then of resamples; of the same ones for a generator of the same state."""
    drawn = rng.integers(len(a), size=(n_boot, len(a)))
    boot = _pearson(rankdata(a[drawn], axis=1), rankdata(b[drawn], axis=1))
    return np.concatenate([_pearson(rankdata(a)[None], rankdata(b)[None]), boot])


def _pearson(a: NDArray, b: NDArray) -> NDArray:
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


def _correlation(a: pd.Series, b: pd.Series, weights: NDArray) -> float:
    if len(a) < 2 or min(np.ptp(a), np.ptp(b)) < ROUNDING:
        return np.nan
    covariance = np.cov(a, b, aweights=weights)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
