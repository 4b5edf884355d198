"""Textures within bounds: the one closest to a prior, or, where there is none, the nearest and the proof.

    closest    min KL(w || p) + |z|^2/2   subject to  low <= A w + C z <= high, w >= 0, sum w = 1,
                                                      z within its box
               by the rows that bind: equalities always, bounds that are violated join, those whose multiplier
               has the wrong sign leave (cpml.design.search.convex.closest_to_prior solves the equalities)
    nearest    min sum_i t_i/size_i   subject to  low - t <= A w + C z <= high + t   (linear programme, HiGHS)
    proof      for any u with |u_i| <= 1/size_i
               sum_i t_i/size_i  >=  sum_i (u_i > 0 ? u_i low_i : u_i high_i) - max_g u.a_g - max_z u.C z

z are variables beside the texture (grain size ...), none in a proof about textures. The right side is
computed by multiplication from the multipliers of the programme: above zero it is a proof that nothing meets
all conditions, and u says which of them are in each other's way.

References: Boyd & Vandenberghe 2004, Convex Optimization, chapter 5; Huangfu & Hall 2018, Math. Prog. Comp.
10:119 (HiGHS).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from cpml.design.search.convex import Closest, closest_to_prior

_ROUNDS = 60
_BINDS = 1e-9  # of a row's size


@dataclass(frozen=True)
class Rows:
    """Conditions on averages: rows a (m, G), bounds (m,), sizes (m,) that deviations are measured by; columns
    of variables (m, V) and their box (V, 2).
    """

    a: NDArray
    low: NDArray
    high: NDArray
    size: NDArray
    moving: NDArray = field(default_factory=lambda: np.zeros((0, 0)))
    box: NDArray = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def columns(self) -> NDArray:
        """(m, V) of the variables, none where there are none."""
        return self.moving if len(self.box) else np.zeros((len(self.a), 0))

    def with_box(self) -> "Rows":
        """The box as rows of its own."""
        count = len(self.box)
        return Rows(
            np.vstack([self.a, np.zeros((count, self.a.shape[1]))]),
            np.r_[self.low, self.box[:, 0]],
            np.r_[self.high, self.box[:, 1]],
            np.r_[self.size, np.ones(count)],
            np.vstack([self.columns, np.eye(count)]),
            self.box,
        )


@dataclass(frozen=True)
class Nearest:
    """The texture of the smallest sum of relative deviations, and what proves it."""

    weights: NDArray  # (G,)
    deviation: NDArray  # (m,) t/size
    multipliers: NDArray  # (m,) u
    bound: float  # proven lower bound of the sum
    moved: NDArray  # (V,) z


def closest(rows: Rows, prior: NDArray) -> Closest | None:
    """Weights of least relative entropy to a prior within the bounds; None where Newton finds none."""
    rows = rows.with_box()
    is_equal, columns = rows.low == rows.high, rows.columns
    side = np.where(is_equal, 1, 0)  # of each row: 1 low (or equal), -1 high, 0 free
    nothing_asked = Closest(prior, np.zeros(0), 0.0, 0.0, 0.0, True, np.zeros(len(rows.box)))
    for _ in range(_ROUNDS):
        active = np.flatnonzero(side)
        target = np.where(side > 0, rows.low, rows.high)[active]
        found = nothing_asked
        if len(active):
            found = closest_to_prior(rows.a[active], target, prior, columns[active])
        if not found.converged:
            return None
        u = found.multipliers
        wrong = ~is_equal[active] & (u * side[active] < -1e-12 * max(1.0, float(np.abs(u).max(initial=0.0))))
        if wrong.any():
            side[active[int(np.argmax(np.where(wrong, np.abs(u), -1.0)))]] = 0
            continue
        values = rows.a @ found.weights + columns @ found.moved
        below, above = (rows.low - values) / rows.size, (values - rows.high) / rows.size
        worst = np.where(side == 0, np.maximum(below, above), -np.inf)
        k = int(np.argmax(worst))
        if not worst[k] > _BINDS:
            return found
        side[k] = 1 if below[k] > above[k] else -1
    return None


def nearest(rows: Rows) -> Nearest:
    """The nearest texture and a proven bound of its deviation."""
    (m, count), columns = rows.a.shape, rows.columns
    scale = rows.size[:, None]
    a, low, high = np.c_[rows.a, columns] / scale, rows.low / rows.size, rows.high / rows.size
    has_low, has_high = np.isfinite(low), np.isfinite(high)
    upper = np.vstack([np.c_[-a, -np.eye(m)][has_low], np.c_[a, -np.eye(m)][has_high]])
    right = np.concatenate([-low[has_low], high[has_high]])
    solved = linprog(
        np.r_[np.zeros(a.shape[1]), np.ones(m)],
        A_ub=upper,
        b_ub=right,
        A_eq=np.r_[np.ones(count), np.zeros(a.shape[1] - count + m)][None],
        b_eq=[1.0],
        bounds=[*[(0, None)] * count, *map(tuple, rows.box), *[(0, None)] * m],
        method="highs",
    )
    weights = np.clip(solved.x[:count], 0, None)
    weights /= weights.sum()
    moved = solved.x[count : a.shape[1]]
    duals = -solved.ineqlin.marginals
    u = np.zeros(m)
    u[has_low] += duals[: has_low.sum()]
    u[has_high] -= duals[has_low.sum() :]
    u = np.clip(u, -1, 1) / rows.size
    wanted = np.where(u > 0, np.where(has_low, rows.low, 0.0), np.where(has_high, rows.high, 0.0))
    u = np.where((u > 0) & ~has_low | (u < 0) & ~has_high, 0.0, u)
    most = float(((u @ columns)[:, None] * rows.box).max(1).sum()) if len(rows.box) else 0.0
    bound = float(u @ wanted - (u @ rows.a).max() - most)
    values = rows.a @ weights + columns @ moved
    deviation = np.maximum(np.maximum(rows.low - values, values - rows.high), 0.0) / rows.size
    return Nearest(weights, deviation, u, bound, moved)
