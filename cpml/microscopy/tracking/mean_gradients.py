"""The mean displacement gradient of every grain, with the standard error of the mean.

    e = (H + H^T) / 2,   turn = (H_xy - H_yx) / 2  (small, counter-clockwise on screen),   H: pixel frame

    se = s sqrt(1 / (n_eff - 1)),   n_eff = n / (tau_x tau_y),   tau = 1 + 2 sum_k rho(k)

| symbol | meaning | unit |
|---|---|---|
| n, s | points of the grain and scatter of a component in it | |
| rho(k) | correlation of points k apart along x or y in one grain, of all grains, while above 0.05 | |
| tau | correlation length of a component, in points | |

Slip bands make neighbouring points alike, so a grain holds fewer independent values than points. A grain of
one independent value has no known error. The mean of a grain is that of its section, not of its volume.

Reference: Priestley 1981, Spectral Analysis and Time Series, 5.3 (variance of the mean of a series).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError
from cpml.microscopy.maps.ebsd_map import EbsdMap

# name -> weights of H11, H12, H21, H22, and the unit it is given in
QUANTITIES = {
    "e_xx_percent": (100.0, 0.0, 0.0, 0.0),
    "e_yy_percent": (0.0, 0.0, 0.0, 100.0),
    "e_xy_percent": (0.0, 50.0, 50.0, 0.0),
    "turn_deg": (0.0, np.degrees(0.5), -np.degrees(0.5), 0.0),
    "h_xy_percent": (0.0, 100.0, 0.0, 0.0),
    "h_yx_percent": (0.0, 0.0, 100.0, 0.0),
}


GRADIENT_COLUMNS = (
    *("grain_id", "n_points", "n_effective"),
    *(n for name in QUANTITIES for n in (name, "_se_".join(name.rsplit("_", 1)))),
)
LEAST_CORRELATION = 0.05
"""Where the sum over rho ends: further out it is the error of the estimate that is summed."""


def mean_gradients(gradient: ArrayLike, label: ArrayLike) -> pd.DataFrame:
    """Mean gradient of each grain of a field.

    Parameters
    ----------
    gradient : (rows, columns, 2, 2) H, NaN where there is none; the points of a row at equal distances
    label : (rows, columns) grain of each point, 0 = none

    Returns
    -------
    One row a grain with values, ascending: grain_id, n_points, n_effective (of the component with fewest),
    e_xx_percent, e_yy_percent, e_xy_percent, turn_deg, h_xy_percent, h_yx_percent, each followed by its
    standard error (e_xx_se_percent ...); NaN where the grain has no more than one independent value.

    Raises
    ------
    ParameterError : shapes that do not belong together, or no grain with a value
    """
    h, label = np.asarray(gradient, float), np.asarray(label)
    if h.ndim != 4 or h.shape[2:] != (2, 2) or label.shape != h.shape[:2]:
        raise ParameterError(
            f"gradient {h.shape} and label {label.shape}: (rows, columns, 2, 2) and (rows, columns) "
            "are needed"
        )
    flat = h.reshape(*h.shape[:2], 4)
    known = (label > 0) & np.isfinite(flat).all(axis=-1)
    if not known.any():
        raise ParameterError("no grain has a value: check the registration and the mask of the field")
    ids, index = np.unique(label[known], return_inverse=True)
    n = np.bincount(index)
    table, independent = {"grain_id": ids, "n_points": n}, np.full(len(ids), np.inf)
    columns: dict[str, NDArray] = {}
    for name, weights in QUANTITIES.items():
        values = flat[known] @ np.array(weights)
        mean = np.bincount(index, values) / n
        scatter = np.full(label.shape, np.nan)
        rest = values - mean[index]
        # what rounding leaves of a uniform field is no scatter
        scatter[known] = np.where(np.abs(rest) > 1e-12 * np.abs(values).max(), rest, 0.0)
        square = np.bincount(index, scatter[known] ** 2) / n
        n_eff = np.maximum(n / _correlated_points(scatter, label, n, square), 1.0)
        independent = np.minimum(independent, n_eff)
        quantity, _, unit = name.rpartition("_")
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(n_eff > 1, np.sqrt(square / (n_eff - 1)), np.nan)
        columns |= {name: mean, f"{quantity}_se_{unit}": error}
    return pd.DataFrame(table | {"n_effective": independent} | columns)


def _correlated_points(scatter: NDArray, label: NDArray, n: NDArray, square: NDArray) -> float:
    """tau_x tau_y of a scatter (rows, columns) about the means of grains, summed as far as a grain reaches.

    n, square : (G,) points and variance of each grain
    """
    total = float(np.sum(n * square) / n.sum())
    if not total > 0:
        return 1.0
    longest = int(np.clip(np.sqrt(np.average(n, weights=n)), 2, 100))
    taus = []
    for axis in (1, 0):
        rho = np.array([_covariance(scatter, label, k, axis) for k in range(1, longest + 1)]) / total
        stop = np.flatnonzero(~(rho > LEAST_CORRELATION))
        taus.append(1 + 2 * float(rho[: stop[0] if len(stop) else len(rho)].sum()))
    return taus[0] * taus[1]


def _covariance(scatter: NDArray, label: NDArray, k: int, axis: int) -> float:
    """Mean product of points k apart along an axis in one grain; NaN where there is no such pair."""
    if k >= scatter.shape[axis]:
        return np.nan
    near, far = (
        np.take(a, range(*span), axis=axis)
        for a, span in ((scatter, (0, scatter.shape[axis] - k)), (scatter, (k, scatter.shape[axis])))
    )
    same = np.take(label, range(scatter.shape[axis] - k), axis=axis) == np.take(
        label, range(k, scatter.shape[axis]), axis=axis
    )
    product = (near * far)[same]
    product = product[np.isfinite(product)]
    return float(product.mean()) if len(product) else np.nan


def on_rows(ebsd_map: EbsdMap, values: ArrayLike, *, empty: float = np.nan) -> NDArray:
    """Values (N, ...) of a map as (rows, columns, ...); a hexagonal row begins at its first point.

    Parameters
    ----------
    empty : what stands at the end of rows that are shorter
    """
    values = np.asarray(values)
    out = np.full((*ebsd_map.shape, *values.shape[1:]), empty, np.result_type(values, type(empty)))
    out[ebsd_map.rows, ebsd_map.half_columns // 2] = values
    return out
