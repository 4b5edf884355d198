"""Masked vectors that a file writes as 0, 0: told from vectors that do not move.

A correlation program that has no word for "missing" writes zeros. Let z be a vector of exactly 0, 0 beside
the vectors n, m, o of one row or column. A displacement goes on smoothly, its neighbours lead to zero:

    |m - 2 n|  <=  |m - n| + 3 |n - 2 m + o| + 2 q      (medians over rows and columns around a group)

with the change from vector to vector, the roughness of the field and two units q of its last decimal place as
allowance. Where they do not, the group is masked. Two things more are known: in a noisy field two exact zeros
never lie side by side by chance, and a made-up field of plateaus (nearly all vectors equal to their
neighbours) may have one of height zero that reaches the rim. A field of zeros alone has not moved.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cpml.errors import ParameterError

NOISY = 1.0
"""Roughness over change from vector to vector: sqrt 3 of white noise, far below 1 of a smooth field."""
TIES_OF_NOISE, TIES_OF_PLATEAUS = 1e-3, 0.9
"""Share of neighbours that are equal: below the one they are equal by chance, above the other by make."""
COARSEST = 0.01
"""Largest unit of the last decimal place, pixels: a field of whole numbers was not printed so."""


def masked_zeros(u: NDArray, v: NDArray, *, zeros: str = "auto", by_convention: bool = False) -> NDArray:
    """(rows, columns) bool, vectors of exactly 0, 0 that are missing ones.

    Parameters
    ----------
    u, v : (rows, columns), NaN where missing already
    zeros : "gaps", "values" or "auto"
    by_convention : the format writes missing vectors as zeros; then plateaus are no exception

    Raises
    ------
    ParameterError : another word for `zeros`
    """
    if zeros not in ("auto", "gaps", "values"):
        raise ParameterError(f"zeros {zeros!r}: choose 'auto', 'gaps' or 'values'")
    zero = (u == 0) & (v == 0)
    moved = np.isfinite(u) & np.isfinite(v) & ~zero
    if zeros == "values" or not zero.any():
        return np.zeros(zero.shape, bool)
    if zeros == "gaps":
        return zero
    if not moved.any():
        return np.zeros(zero.shape, bool)
    groups, n_groups = ndimage.label(zero)
    allowance = 2 * _resolution(np.concatenate([u[moved], v[moved]]))
    is_smooth, is_known = _smooth_groups(np.stack([u, v], axis=-1), moved, groups, n_groups, allowance)
    masked = np.where(is_known, ~is_smooth, by_convention)
    change, rough, ties = _texture(np.stack([u, v], axis=-1), moved)
    if rough > NOISY * change and ties < TIES_OF_NOISE:
        masked |= np.bincount(groups.ravel(), minlength=n_groups + 1) > 1
    if ties > TIES_OF_PLATEAUS and not by_convention:
        rim = np.unique(np.concatenate([groups[0], groups[-1], groups[:, 0], groups[:, -1]]))
        masked[rim] = False
    masked[0] = False
    return masked[groups]


def _smooth_groups(
    d: NDArray, moved: NDArray, groups: NDArray, n_groups: int, allowance: float
) -> tuple[NDArray, NDArray]:
    """(n_groups + 1,) bool: groups of zeros that their neighbours lead to, and those with such neighbours."""
    number, jump, change, rough = [], [], [], []
    for axis in (0, 1):
        for sense in (1, -1):
            is_n, is_m, is_o = (_beside(moved, axis, sense, k) for k in (1, 2, 3))
            is_edge = (groups > 0) & is_n & is_m
            n, m, o = (_beside(d, axis, sense, k)[is_edge] for k in (1, 2, 3))
            number.append(groups[is_edge])
            jump.append(np.linalg.norm(m - 2 * n, axis=-1))
            change.append(np.linalg.norm(m - n, axis=-1))
            rough.append(np.where(is_o[is_edge], np.linalg.norm(n - 2 * m + o, axis=-1), 0.0))
    group = np.concatenate(number)
    index = np.unique(group)
    is_smooth, is_known = (np.zeros(n_groups + 1, bool) for _ in range(2))
    if len(group):
        jump, change, rough = (ndimage.median(np.concatenate(v), group, index) for v in (jump, change, rough))
        is_known[index] = True
        is_smooth[index] = jump <= (change + 3 * rough + allowance) * (1 + 1e-9)
    return is_smooth, is_known


def _beside(values: NDArray, axis: int, sense: int, distance: int) -> NDArray:
    """The values that lie `distance` steps further along an axis; False or 0 beyond the rim."""
    margin = [(distance, distance) if k == axis else (0, 0) for k in range(values.ndim)]
    start = distance * (1 + sense)
    return np.take(np.pad(values, margin), np.arange(start, start + values.shape[axis]), axis=axis)


def _resolution(values: NDArray) -> float:
    """Unit of the last decimal place of printed values, 0 where they have more than seven."""
    for places in range(8):
        scaled = values * 10.0**places
        if np.allclose(scaled, np.rint(scaled), rtol=0, atol=1e-6):
            return min(10.0**-places, COARSEST)
    return 0.0


def _texture(d: NDArray, moved: NDArray) -> tuple[float, float, float]:
    """Median change between neighbours, median roughness along rows, share of equal neighbours."""
    change = np.linalg.norm(np.diff(d, axis=1), axis=-1)[moved[:, 1:] & moved[:, :-1]]
    second = np.linalg.norm(np.diff(d, 2, axis=1), axis=-1)
    rough = second[moved[:, 2:] & moved[:, 1:-1] & moved[:, :-2]]
    if not len(change) or not len(rough):
        return 0.0, 0.0, 0.0
    return float(np.median(change)), float(np.median(rough)), float(np.mean(change == 0))
