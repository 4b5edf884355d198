"""Intervals that every room states in the same way: of a normal quantity, of a share."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cpml.errors import ParameterError

NINETY_PERCENT = 1.645
"""Standard deviations on each side of the mean that hold 90 % of a normal distribution."""


def wilson_interval(hits: ArrayLike, trials: ArrayLike, *, level: float) -> tuple[NDArray, NDArray]:
    """(low, high), each (...), of a share of ``hits`` in ``trials`` (...); no trials give 0 and 1.

    Raises
    ------
    ParameterError : a level that is not between 0 and 1, or hits that are not between 0 and trials

    References
    ----------
    Wilson 1927, J. Am. Stat. Assoc. 22:209

    Examples
    --------
    >>> low, high = wilson_interval(5, 10, level=0.95)
    >>> print(round(float(low), 4), round(float(high), 4))
    0.2366 0.7634
    """
    from scipy.stats import binomtest

    hits, trials = np.broadcast_arrays(np.asarray(hits), np.asarray(trials))
    if not 0 < level < 1 or np.any(hits < 0) or np.any(hits > trials):
        raise ParameterError(f"level {level} must lie between 0 and 1, and hits between 0 and trials")
    ends = [
        binomtest(int(k), int(n)).proportion_ci(level, method="wilson") if n else (0.0, 1.0)
        for k, n in zip(hits.ravel(), trials.ravel(), strict=True)
    ]
    low, high = np.array(ends, float).reshape(-1, 2).T
    return low.reshape(hits.shape), high.reshape(hits.shape)
