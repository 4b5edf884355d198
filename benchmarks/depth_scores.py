"""Scores of predicted grain stresses beside true ones, and their intervals over blocks of a map.

    explained = 1 - sum_g a_g |s_g - t_g|^2 / sum_g a_g |t_g|^2       both less their mean by area
    log score = mean over the grains of log N(t_g; s_g, C_g)

| symbol | meaning | unit | shape |
|---|---|---|---|
| s, t | predicted and true stress deviator | mean stress along the load | (5,) |
| C | predicted covariance | its square | (5, 5) |
| a | area of the grain | - | scalar |
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata

TAILS = (0.05, 0.95)  # 90 % intervals
LEAST_VARIANCE = 1e-6
"""Added to the variances: rounding of an ensemble with fewer members than components."""


def explained_share(predicted: NDArray, true: NDArray, area: NDArray) -> float:
    """Share of the variance of (G, k) that (G, k) explains: 1 for the truth, 0 for one value for all."""
    share = np.asarray(area, float) / np.sum(area)
    deviation, wanted = predicted - share @ predicted, true - share @ true
    return float(1 - share @ ((deviation - wanted) ** 2).sum(1) / (share @ (wanted**2).sum(1)))


def log_density(predicted: NDArray, covariance: NDArray, true: NDArray) -> NDArray:
    """(G,) log of the normal densities of ``true`` (G, k); covariances (G, k, k)."""
    error = np.asarray(true) - predicted
    broad = covariance + LEAST_VARIANCE * np.eye(error.shape[1])
    _, log_det = np.linalg.slogdet(broad)
    return -0.5 * (_squares(error, broad) + log_det + error.shape[1] * np.log(2 * np.pi))


def coverage(
    predicted: NDArray, covariance: NDArray, true: NDArray, level: float, radius: float | None = None
) -> NDArray:
    """(G,) whether the ellipsoid that should hold a share ``level`` of the truth holds it."""
    error = np.asarray(true) - predicted
    broad = covariance + LEAST_VARIANCE * np.eye(error.shape[1])
    return _squares(error, broad) <= (radius or chi2.ppf(level, error.shape[1]))


def rank_correlation(a: NDArray, b: NDArray) -> float:
    """Spearman's; NaN where one side is constant."""
    return linear_correlation(rankdata(a), rankdata(b))


def linear_correlation(a: NDArray, b: NDArray) -> float:
    """Pearson's; NaN where one side is constant."""
    if len(a) < 3 or np.ptp(a) <= 1e-12 or np.ptp(b) <= 1e-12:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def resamples(block: NDArray, *, n_boot: int = 500, seed: int = 0) -> list[NDArray]:
    """Rows of maps whose blocks are drawn with replacement.

    Parameters
    ----------
    block : (G,) number of the block of every row
    """
    rng, names = np.random.default_rng(seed), np.unique(block)
    rows = {name: np.flatnonzero(block == name) for name in names}
    return [np.concatenate([rows[k] for k in rng.choice(names, len(names))]) for _ in range(n_boot)]


def over(statistic: Callable[[NDArray], float], draws: list[NDArray]) -> NDArray:
    """(n_boot,) values of a statistic of rows over :func:`resamples`; paired where the draws are the same."""
    return np.array([statistic(rows) for rows in draws])


def interval(values: NDArray) -> tuple[float, float]:
    """90 % interval of resampled values; NaN without any."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, TAILS)
    return float(low), float(high)


def written(value: float, values: NDArray, digits: int = 2) -> str:
    """A number with its interval, as the tables show it."""
    low, high = interval(values)
    if not np.isfinite(value):
        return ""
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _squares(error: NDArray, covariance: NDArray) -> NDArray:
    """(G,) squared distances of Mahalanobis."""
    return np.einsum("gi,gi->g", error, np.linalg.solve(covariance, error[..., None])[..., 0])
