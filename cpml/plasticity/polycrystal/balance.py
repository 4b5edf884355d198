"""Grains in balance: one Newton iteration for all grains and the mean stress together, at a fixed
interaction.

    D_g(s_g) + A (s_g - Sigma) = D  (every grain),   Sigma = <s_g>,   N^T D = v,   Z^T Sigma = Z^T s0

are the conditions of the minimum of a convex potential,

    <phi_g(s_g)> + 1/2 <(s_g - Sigma).A (s_g - Sigma)> - v.N^T Sigma     subject to  Z^T <s_g> = Z^T s0

(phi_g: d phi_g / d s = D_g; A positive semi-definite: Mt of a medium, 0 for Taylor, 1 on relaxed components).
In stresses it is smooth at every rate exponent; in strain rates it would be nearly kinked where few systems
move. With C_g = (H_g + A)^-1 and r_g = D - D_g - A (s_g - Sigma) a step is

    M = <C>^-1 - A,   q = <C>^-1 <C r>,   dD = M dSigma - q  with the conditions,
    ds_g = C_g (r_g + dD + A dSigma)

It is halved until the potential no longer rises along it: the slope there, monotone by convexity, is negative
or has become small. A power law is reached by growing exponents, the solution of each the start of the next.

| symbol | meaning | unit | shape |
|---|---|---|---|
| N, v | basis and values of the imposed rates | 1/s | (5, k), (k,) |
| Z, s0 | complement of N; imposed stresses | MPa | (5, 5 - k), (5,) |

All numbers are in the scaled units of the aggregate. References: Boyd & Vandenberghe 2004, Convex
Optimization, section 10.3 (Newton with linear constraints); Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.polycrystal.aggregate import Pass

_DAMPING, _MOST_DAMPING = 1e-13, 1e-2  # of the trace of H + A
_CLOSE = 0.65  # of the next exponent, at which it is left out for n itself
_FLAT = 0.3  # share of the slope at its start at which a step is long enough
_FAR = 0.3  # residual of a grain, of the rate, that is first solved on its own
_APART_TOL = 1e-3  # of grains that are then solved together
_ROUNDING = 1e-9  # a residual that stops falling below this is as good as float64 makes it
_MAX_ITER = 100


def stages(n: float | None, growth: float) -> list[float]:
    """Exponents on the way to n, each `growth` times the one before and itself last; [] for a law
    without one.
    """
    if n is None:
        return []
    way = [1.0]
    while way[-1] * growth * _CLOSE < n:
        way.append(float(round(way[-1] * growth + 0.49)))
    return [*(m for m in way if m < n), n]


@dataclass
class Balance:
    """The grains of a pass and their mean stress under conditions (scaled); the last solution is kept."""

    one: Pass
    conditions: Conditions
    stress: NDArray  # (G, 5)
    rate: NDArray  # (5,) D
    flow: NDArray = field(init=False)  # (G, 5)
    residual: NDArray = field(init=False)  # (G,) relative to |D|
    tangent: NDArray = field(init=False)  # (5, 5) <(H + A)^-1>
    converged: bool = False
    passes: int = 0

    def __post_init__(self) -> None:
        self.offset, self.basis, self.wanted = self.conditions.split
        self.free = self.conditions.free
        self.weights = self.one.weights

    @property
    def sigma(self) -> NDArray:
        """(5,) Sigma."""
        return self.weights @ self.stress

    def put(self, stress: NDArray) -> None:
        """Go on from other stresses (G, 5), moved together onto the imposed stresses."""
        self.stress = stress + self.free @ (self.free.T @ (self.offset - self.weights @ stress))
        self.flow = self.one.flow(self.stress)

    def gap(self, a: NDArray) -> NDArray:
        """r (G, 5)."""
        return self.rate - self.flow - (self.stress - self.sigma) @ a

    def gather_stragglers(self, a: NDArray) -> None:
        """Grains that are far from balance, such as those just turned, are solved on their own first."""
        size = np.linalg.norm(self.rate)
        if not (np.linalg.norm(self.gap(a), axis=1) <= _FAR * size).all():
            self.solve_apart(a, self.stress, _APART_TOL)

    def solve_apart(self, a: NDArray, stress: NDArray | None, tol: float) -> None:
        """Every grain on its own at the present D and Sigma, from stresses (G, 5) or cold."""
        found = self.one.apart(a, self.rate + a @ self.sigma, stress, tol)
        self.passes += round(found.n_iter)
        self.put(found.stress)

    def solve_imposed(self, tol: float) -> None:
        """Grains that all have the imposed strain rate and no interaction: nothing is shared."""
        self.rate = self.rate_imposed
        known = self.stress if self.stress.any() else None
        found = self.one.apart(np.zeros((5, 5)), self.rate, known, tol)
        self.stress, self.passes = found.stress, self.passes + round(found.n_iter)
        self.residual = found.residual / np.linalg.norm(self.rate)
        self.tangent = self.one.mean_inverse(np.zeros((5, 5)), 1.0)
        self.converged = bool((self.residual <= max(tol, _ROUNDING)).all())

    def rescale(self, a: NDArray) -> None:
        """All stresses by one factor to the minimum of the potential along it, where no stress is imposed."""
        if self.offset.any() or not self.basis.shape[1]:
            return
        work = self.rate_imposed @ self.sigma
        apart = self.stress - self.sigma
        quadratic = self.weights @ np.einsum("gi,ij,gj->g", apart, a, apart)
        if work > 0:
            self.put(self.stress * self.one.best_radius(self.stress, quadratic, work))

    @property
    def is_imposed(self) -> bool:
        """Whether every component of D is imposed."""
        return self.basis.shape[1] == 5

    @property
    def rate_imposed(self) -> NDArray:
        """(5,) N v."""
        return self.basis @ self.wanted

    def solve(self, a: NDArray, tol: float) -> None:
        """Newton to residuals of `tol` of |D| at interaction A (5, 5)."""
        damping, before = _DAMPING, np.inf
        self.converged = False
        if self.is_imposed and not a.any():
            self.solve_imposed(tol)
            return
        for _ in range(_MAX_ITER):
            gap = self.gap(a)
            mean, moved = self.one.linearise(a, gap, damping)
            d_sigma, d_rate = self._mean_step(a, mean, moved)
            step = self.one.step(gap, d_rate + a @ d_sigma)
            self.rate = self.rate + d_rate
            gap = gap + d_rate
            self.tangent, self.passes = mean, self.passes + 1
            self.residual = np.linalg.norm(gap, axis=1) / max(float(np.linalg.norm(self.rate)), 1e-300)
            worst = float(self.residual.max())
            if not np.isfinite(worst):
                return
            if worst <= tol or (worst <= _ROUNDING and worst > 0.5 * before):
                self.converged = True
                return
            if self._search(a, step, float(self.weights @ np.einsum("gi,gi->g", gap, step))):
                before, damping = worst, max(0.1 * damping, _DAMPING)
            elif damping > _MOST_DAMPING:
                self.converged = worst <= _ROUNDING
                return
            else:
                damping *= 1e3

    def _mean_step(self, a: NDArray, mean: NDArray, moved: NDArray) -> tuple[NDArray, NDArray]:
        """dSigma and dD (5,) of a step, from <C> and <C r>."""
        inverse = np.linalg.inv(mean)
        compliance = inverse - a
        compliance = (compliance + compliance.T) / 2
        q = inverse @ moved
        n = self.basis
        d_sigma = self.free @ (self.free.T @ (self.offset - self.sigma))
        missing = self.wanted - n.T @ self.rate
        if n.shape[1]:
            matrix = n.T @ compliance @ n + 1e-14 * np.trace(compliance) * np.eye(n.shape[1])
            d_sigma = d_sigma + n @ np.linalg.solve(matrix, missing + n.T @ (q - compliance @ d_sigma))
        d_rate = compliance @ d_sigma - q
        return d_sigma, d_rate + n @ (missing - n.T @ d_rate)

    def _search(self, a: NDArray, step: NDArray, slope: float) -> bool:
        """Move along `step` (G, 5), shortened where the potential would rise; whether it moved."""
        start, flow, share = self.stress, self.flow, 1.0
        for _ in range(40):
            self.stress = start + share * step
            self.flow = self.one.flow(self.stress)
            along = -float(self.weights @ np.einsum("gi,gi->g", self.gap(a), step))
            if along <= _FLAT * abs(slope) and np.isfinite(self.flow).all():  # NaN and infinity are not
                return True
            share *= 0.5
        self.stress, self.flow = start, flow
        self.one.flow(start)
        return False
