"""Fused CPU loop over grains: the power-law equation of every grain by damped Newton.

Scaled problem of one grain (stress over sigma0, rate over the macroscopic one, so
that reference rate = |D| = 1):

    sum_s P_s |x_s|^n sgn(x_s) + A s = c,      x_s = P_s.s / xi_s   (twins: max(x, 0))

A = 0, c = D is the Taylor problem; A = Mt, c = D + Mt Sigma the grain in its self-consistent medium. It is
the minimum of the strictly convex sum_s xi_s |x|^(n+1)/(n+1) + s.A s/2 - c.s. A step is taken when it
lowers this objective or the residual; a start that does not lead to the minimum is replaced by
continuation in n from the linear problem.

| symbol | meaning | shape |
|---|---|---|
| P | Schmid tensors in the sample frame, systems last | (G, 5, S) |
| xi, polar | relative strengths; systems that move one way only | (G, S), (S,) |
| H | d(sum gamma P)/ds = sum (n/xi)|x|^(n-1) P P^T | (5, 5) |

References: Hutchinson 1976, Proc. R. Soc. Lond. A 348:101; Lebensohn & Tome
1993, Acta Metall. Mater. 41:2611.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import TINY, fused
from cpml.plasticity.crystal.cholesky import factor, solve

_ARMIJO = 1e-4
_FAR = 0.3  # a start with a larger residual is put on its best radius first
_DAMPING = 1e-12  # least share of the trace that a step that fails is damped by
_ROUNDING = 1e-10  # a residual that stops falling below this is as good as float64 makes it


class Grain(NamedTuple):
    """One grain in its medium (module docstring)."""

    p: NDArray  # (5, S)
    inverse: NDArray  # (S,) 1/xi
    xi: NDArray  # (S,)
    polar: NDArray  # (S,)
    a: NDArray  # (5, 5)
    c: NDArray  # (5,)


class Scratch(NamedTuple):
    """Memory that all grains share."""

    work: NDArray  # (6, S) x, f, two free rows, x and f of a trial
    vectors: NDArray  # (4, 5) residual, step, trial stress; size of the residual
    matrices: NDArray  # (2, 5, 5) Hessian, its factor


@fused
def powers(x: NDArray, polar: NDArray, n: float, f: NDArray, square: NDArray) -> None:
    """Fill f = |x|^(n-1), whole exponents by repeated squaring. `square` (S,) is scratch."""
    systems = x.shape[0]
    whole = int(n) - 1
    if n - 1 == whole and whole < 256:
        for k in range(systems):
            f[k] = 0.0 if whole == 0 and polar[k] and x[k] <= 0 else 1.0
            square[k] = abs(x[k])
        while whole > 0:
            if whole & 1:
                for k in range(systems):
                    f[k] *= square[k]
            whole >>= 1
            if whole > 0:
                for k in range(systems):
                    square[k] *= square[k]
    else:
        for k in range(systems):
            f[k] = abs(x[k]) ** (n - 1)


@fused
def _evaluate(grain: Grain, n: float, s: NDArray, x: NDArray, f: NDArray, square: NDArray) -> float:
    """Fill x = tau/xi and f = |x|^(n-1); return the objective. `square` (S,) is scratch."""
    p, inverse, xi, polar, a, c = grain
    systems = p.shape[1]
    for k in range(systems):
        tau = p[0, k] * s[0] + p[1, k] * s[1] + p[2, k] * s[2] + p[3, k] * s[3] + p[4, k] * s[4]
        x[k] = tau * inverse[k]
    for k in range(systems):
        if polar[k]:
            x[k] = max(x[k], 0.0)
    powers(x, polar, n, f, square)
    power = 0.0
    for k in range(systems):
        power += xi[k] * f[k] * x[k] * x[k]
    linear = 0.0
    for i in range(5):
        row = 0.0
        for j in range(5):
            row += a[i, j] * s[j]
        linear += s[i] * (0.5 * row - c[i])
    return power / (n + 1) + linear


@fused
def _gradient(
    grain: Grain, n: float, s: NDArray, x: NDArray, f: NDArray, r: NDArray, h: NDArray, weighted: NDArray
) -> float:
    """Fill residual r and H + A (lower triangle); return |r|. `weighted` (S,) is scratch."""
    p, inverse, _, _, a, c = grain
    systems = p.shape[1]
    for i in range(5):
        value = -c[i]
        for j in range(5):
            value += a[i, j] * s[j]
        for k in range(systems):
            value += p[i, k] * f[k] * x[k]
        r[i] = value
    for i in range(5):
        for k in range(systems):
            weighted[k] = n * f[k] * inverse[k] * p[i, k]
        for j in range(i + 1):
            value = 0.0
            for k in range(systems):
                value += weighted[k] * p[j, k]
            h[i, j] = value + a[i, j]
    return np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + r[3] * r[3] + r[4] * r[4])


@fused
def best_radius(power: float, quadratic: float, linear: float, n: float) -> float:
    """alpha > 0 with power alpha^n + quadratic alpha = linear (all positive), by Newton from above."""
    alpha = 1e300
    if power > TINY:
        alpha = (linear / power) ** (1 / n)
    if quadratic > TINY:
        alpha = min(alpha, linear / quadratic)
    if quadratic <= TINY or power <= TINY:
        return alpha
    for _ in range(60):
        top = power * alpha**n
        step = (top + quadratic * alpha - linear) / (n * top / alpha + quadratic)
        alpha -= step
        if abs(step) < 1e-3 * alpha:
            break
    return alpha


@fused
def _rescale(grain: Grain, n: float, s: NDArray, x: NDArray, f: NDArray, square: NDArray) -> bool:
    """Move s along its ray to the minimum of the objective; False where the ray does not lead downhill."""
    p, inverse, xi, polar, a, c = grain
    size = 0.0
    for i in range(5):
        size = max(size, abs(s[i]))
    if not size > 0 or not np.isfinite(size):
        return False
    top = 0.0
    for k in range(p.shape[1]):  # keeps |x|^n representable
        tau = p[0, k] * s[0] + p[1, k] * s[1] + p[2, k] * s[2] + p[3, k] * s[3] + p[4, k] * s[4]
        ratio = tau * inverse[k] if polar[k] else abs(tau * inverse[k])
        top = max(top, ratio)
    if not top > 0:
        return False
    for i in range(5):
        s[i] /= top
    _evaluate(grain, n, s, x, f, square)
    power = 0.0
    for k in range(p.shape[1]):
        power += xi[k] * f[k] * x[k] * x[k]
    quadratic, linear = 0.0, 0.0
    for i in range(5):
        linear += c[i] * s[i]
        for j in range(5):
            quadratic += s[i] * a[i, j] * s[j]
    if not linear > 0:
        return False
    alpha = best_radius(power, quadratic, linear, n)
    for i in range(5):
        s[i] *= alpha
    return True


@fused
def _newton(
    grain: Grain, n: float, s: NDArray, floor: float, tol: float, max_iter: int, scratch: Scratch
) -> int:
    """Damped Newton from s (changed in place); returns iterations, negative when it did not reach tol.

    The residual is in ``scratch.vectors[3, 0]``.
    """
    work, vectors, matrices = scratch
    x, f, square, weighted, x_try, f_try = work[0], work[1], work[2], work[3], work[4], work[5]
    r, step, trial = vectors[0], vectors[1], vectors[2]
    h, low = matrices[0], matrices[1]
    objective = _evaluate(grain, n, s, x, f, square)
    if not np.isfinite(objective):
        if not _rescale(grain, n, s, x, f, square):
            return -1
        objective = _evaluate(grain, n, s, x, f, square)
    damping, before = floor, np.inf
    for iteration in range(max_iter):
        size = _gradient(grain, n, s, x, f, r, h, weighted)
        if iteration == 0 and size > _FAR:
            _rescale(grain, n, s, x, f, square)
            objective = _evaluate(grain, n, s, x, f, square)
            size = _gradient(grain, n, s, x, f, r, h, weighted)
        is_rounding = size < _ROUNDING and size > 0.5 * before
        vectors[3, 0] = size
        if size <= tol or is_rounding:
            return iteration + 1
        before = size
        factor(h, damping, low)
        solve(low, r, step)
        slope = -(step[0] * r[0] + step[1] * r[1] + step[2] * r[2] + step[3] * r[3] + step[4] * r[4])
        share, moved = 1.0, False
        while share > 0.01:
            for i in range(5):
                trial[i] = s[i] - share * step[i]
            value = _evaluate(grain, n, trial, x_try, f_try, square)
            is_lower = value <= objective + _ARMIJO * share * slope
            # near the minimum the objective no longer changes in float64: the full step is taken as it is
            if is_lower or (size < 1e-5 and value <= objective + 1e-13 * abs(objective)):
                moved = True
                break
            share *= 0.5
        if not moved:
            if damping > 1e2:
                break
            damping = max(1e3 * damping, _DAMPING)  # the floor may be zero
            continue
        damping = max(floor, damping * 0.1)
        objective = value
        for i in range(5):
            s[i] = trial[i]
        for k in range(x.shape[0]):
            x[k] = x_try[k]
            f[k] = f_try[k]
    return -max_iter


@fused
def _cold(
    grain: Grain, n: float, s: NDArray, floor: float, tol: float, max_iter: int, scratch: Scratch
) -> int:
    """Continuation: linear problem (both senses of twins resist), then growing exponents up to n."""
    p, inverse, _, _, a, c = grain
    work, _, matrices = scratch
    h, low = matrices[0], matrices[1]
    for i in range(5):
        for j in range(i + 1):
            value = a[i, j]
            for k in range(p.shape[1]):
                value += p[i, k] * inverse[k] * p[j, k]
            h[i, j] = value
    factor(h, 1e-14, low)
    solve(low, c, s)
    exponent, total = 1.0, 0
    while True:
        exponent = n if exponent * 2.7 >= n else (3.0 if exponent == 1.0 else 2.5 * exponent)
        _rescale(grain, exponent, s, work[0], work[1], work[2])
        accuracy = tol if exponent == n else 1e-2
        used = _newton(grain, exponent, s, floor, accuracy, max_iter, scratch)
        total += abs(used)
        if exponent == n:
            return total if used > 0 else -total


@fused
def solve_one(
    grain: Grain, n: float, s: NDArray, warm: bool, tol: float, max_iter: int, scratch: Scratch
) -> int:
    """One grain, from s where `warm`, else by continuation; iterations, negative where tol was not
    reached."""
    trace = grain.a[0, 0] + grain.a[1, 1] + grain.a[2, 2] + grain.a[3, 3] + grain.a[4, 4]
    floor = 0.0 if trace > 0 else 1e-14
    used = _newton(grain, n, s, floor, tol, max_iter, scratch) if warm else 0
    if used <= 0:
        more = _cold(grain, n, s, floor, tol, max_iter, scratch)
        used = abs(used) + more if more > 0 else more - abs(used)
    return used


@fused
def solve_grains(
    p: NDArray,
    xi: NDArray,
    polar: NDArray,
    n: float,
    a: NDArray,
    c: NDArray,
    warm: bool,
    tol: float,
    max_iter: int,
    stress: NDArray,
    rate: NDArray,
    slope: NDArray,
    iterations: NDArray,
    residual: NDArray,
    first: int,
    last: int,
) -> None:
    """Solve grains first..last; stress (G, 5) holds the starts where `warm`.

    c (1 or G, 5), p (1 or G, 5, S) and xi (1 or G, S). Fills stress, rate |x|^n sgn(x) and slope
    (n/xi)|x|^(n-1) (G, S), iterations (G,; negative where tol was not reached) and residual (G,).
    """
    systems = p.shape[2]
    work, vectors = np.empty((6, systems)), np.empty((4, 5))
    scratch = Scratch(work, vectors, np.empty((2, 5, 5)))
    inverse, s = np.empty(systems), np.empty(5)
    for g in range(first, last):
        cg, pg, xg = c[min(g, c.shape[0] - 1)], p[min(g, p.shape[0] - 1)], xi[min(g, xi.shape[0] - 1)]
        for k in range(systems):
            inverse[k] = 1.0 / xg[k]
        grain = Grain(pg, inverse, xg, polar, a, cg)
        for i in range(5):
            s[i] = stress[g, i]
        used = solve_one(grain, n, s, warm, tol, max_iter, scratch)
        iterations[g], residual[g] = used, vectors[3, 0]
        for i in range(5):
            stress[g, i] = s[i]
        _evaluate(grain, n, s, work[0], work[1], work[2])
        for k in range(systems):
            rate[g, k] = work[0, k] * work[1, k]
            slope[g, k] = 0.0 if polar[k] and work[0, k] <= 0 else n * work[1, k] * inverse[k]
