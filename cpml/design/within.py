"""Textures within bounds: the one closest to a prior, or, where there is none, the nearest and the proof.

    closest    min KL(w || p)   subject to  low <= A w <= high, w >= 0, sum w = 1
               by the rows that bind: equalities always, bounds that are violated join, those whose multiplier
               has the wrong sign leave (cpml.design.convex.closest_to_prior solves the equalities)
    nearest    min sum_i t_i/size_i   subject to  low - t <= A w <= high + t         (linear programme, HiGHS)
    proof      for any u with |u_i| <= 1/size_i
               sum_i t_i/size_i  >=  sum_i (u_i > 0 ? u_i low_i : u_i high_i) - max_g u.a_g

The right side is computed by multiplication from the multipliers of the programme: above zero it is a proof
that no texture meets all conditions, and u says which of them are in each other's way.

References: Boyd & Vandenberghe 2004, Convex Optimization, chapter 5; Huangfu & Hall 2018, Math. Prog. Comp.
10:119 (HiGHS).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from cpml.design.convex import Closest, closest_to_prior

_ROUNDS = 60
_BINDS = 1e-9  # of a row's size


@dataclass(frozen=True)
class Rows:
    """Conditions on averages: rows a (m, G), bounds (m,), sizes (m,) that deviations are measured by."""

    a: NDArray
    low: NDArray
    high: NDArray
    size: NDArray


@dataclass(frozen=True)
class Nearest:
    """The texture of the smallest sum of relative deviations, and what proves it."""

    weights: NDArray  # (G,)
    deviation: NDArray  # (m,) t/size
    multipliers: NDArray  # (m,) u
    bound: float  # proven lower bound of the sum


def closest(rows: Rows, prior: NDArray) -> Closest | None:
    """Weights of least relative entropy to a prior within the bounds; None where Newton finds none."""
    is_equal = rows.low == rows.high
    side = np.where(is_equal, 1, 0)  # of each row: 1 low (or equal), -1 high, 0 free
    found: Closest | None = None
    for _ in range(_ROUNDS):
        active = np.flatnonzero(side)
        target = np.where(side > 0, rows.low, rows.high)[active]
        if len(active):
            found = closest_to_prior(rows.a[active], target, prior)
            if not found.converged:
                return None
            weights, u = found.weights, found.multipliers
        else:
            weights, u = prior, np.zeros(0)
        wrong = ~is_equal[active] & (u * side[active] < -1e-12 * max(1.0, float(np.abs(u).max(initial=0.0))))
        if wrong.any():
            side[active[int(np.argmax(np.where(wrong, np.abs(u), -1.0)))]] = 0
            continue
        values = rows.a @ weights
        below, above = (rows.low - values) / rows.size, (values - rows.high) / rows.size
        worst = np.where(side == 0, np.maximum(below, above), -np.inf)
        k = int(np.argmax(worst))
        if not worst[k] > _BINDS:
            return found or Closest(weights, u, 0.0, 0.0, 0.0, True)
        side[k] = 1 if below[k] > above[k] else -1
    return None


def nearest(rows: Rows) -> Nearest:
    """The nearest texture and a proven bound of its deviation."""
    m, count = rows.a.shape
    scale = rows.size[:, None]
    a, low, high = rows.a / scale, rows.low / rows.size, rows.high / rows.size
    has_low, has_high = np.isfinite(low), np.isfinite(high)
    upper = np.vstack([np.c_[-a, -np.eye(m)][has_low], np.c_[a, -np.eye(m)][has_high]])
    right = np.concatenate([-low[has_low], high[has_high]])
    solved = linprog(
        np.r_[np.zeros(count), np.ones(m)],
        A_ub=upper,
        b_ub=right,
        A_eq=np.r_[np.ones(count), np.zeros(m)][None],
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    weights = np.clip(solved.x[:count], 0, None)
    weights /= weights.sum()
    duals = -solved.ineqlin.marginals
    u = np.zeros(m)
    u[has_low] += duals[: has_low.sum()]
    u[has_high] -= duals[has_low.sum() :]
    u = np.clip(u, -1, 1) / rows.size
    wanted = np.where(u > 0, np.where(has_low, rows.low, 0.0), np.where(has_high, rows.high, 0.0))
    u = np.where((u > 0) & ~has_low | (u < 0) & ~has_high, 0.0, u)
    bound = float(u @ wanted - (u @ rows.a).max())
    values = rows.a @ weights
    deviation = np.maximum(np.maximum(rows.low - values, values - rows.high), 0.0) / rows.size
    return Nearest(weights, deviation, u, bound)
