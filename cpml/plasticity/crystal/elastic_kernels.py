"""Fused CPU loop over points: elasto-viscoplastic crystals at finite strain, one increment by backward Euler.

    F = F_e F_p,   S = C : (F_e^T F_e - 1)/2,   P = F_e S F_p^-T
    gamma_dot_s = rate0 |x_s|^n sgn(x_s),   x_s = (S : Z_s - chi_s)/xi_s       (twins: max(x, 0))
    G = F F_p(t)^-1,   B = 1 - dt sum_s gamma_dot_s Z_s,   F_e = G B,   F_p^-1 = F_p(t)^-1 B

S itself drives the systems (DAMASK's choice; the Mandel stress F_e^T F_e S differs by the elastic strain),
and the product of two plastic increments is kept. The unknowns are the six Mandel components s of S, in
crystal axes:

    e(s) = C^-1 s - (B^T A B - 1)/2 = 0,    A = G^T G
    J    = C^-1 + dt sum_s (d gamma_dot_s/d tau_s) y_s (x) p_s,    y_s = sym(B^T A Z_s),   p_s = sym(Z_s)

J is exact; where elastic strains and dt L_p are small it is nearly symmetric and positive definite. A step is
shortened to where the fastest system still moves at most by _REACH times the strain of the increment, and
halved until |e| falls; a start that does not lead to the solution is replaced by continuation in n from the
linear problem. The tangent follows from the implicit function: J ds = sym(F_e^T dF F_p^-1).

| symbol | meaning | unit | shape |
|---|---|---|---|
| Z = b (x) n, p | dyad of a system, its Schmid tensor in the Mandel basis | | (S, 9), (S, 6) |
| xi, chi | strength, back stress, both at the end of the increment | MPa | (S,) |
| C | stiffness in the Mandel basis | MPa | (6, 6) |

References: Kalidindi, Bronkhorst & Anand 1992, J. Mech. Phys. Solids 40:537; Roters et al. 2019, Comput.
Mater. Sci. 158:420.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import TINY, fused
from cpml.plasticity.crystal.kernels import best_radius, powers

_REACH = 10.0  # of the fastest system, in units of the strain |A - 1|/2 of the increment
_ROUNDING = 4e-15  # of strains whose tensors are of order 1
_STALLED = 1e-8  # of the strain: what cancellation may leave where pressures dwarf the flow stress
_IDLE = 1e-11  # a system that is this much stiffer than the elastic crystal does not count in J
_ROOT = np.sqrt(0.5)


class Crystal(NamedTuple):
    """Constants of one phase."""

    p: NDArray  # (6, S) Schmid tensors, Mandel
    rows: NDArray  # (S, 6) the same, systems first
    dyad: NDArray  # (S, 9) b (x) n
    direction: NDArray  # (S, 3)
    plane: NDArray  # (S, 3)
    polar: NDArray  # (S,)
    stiffness: NDArray  # (6, 6) Mandel, MPa
    compliance: NDArray  # (6, 6) Mandel, 1/MPa


class Point(NamedTuple):
    """One point in its increment."""

    a: NDArray  # (3, 3) G^T G
    inverse: NDArray  # (S,) 1/xi
    back: NDArray  # (S,) chi
    move: float  # dt rate0
    strain: float  # |A - 1|/2, strain of the increment on top of the elastic one


class Scratch(NamedTuple):
    """Memory that all points share."""

    work: NDArray  # (5, S) x, f, shear, free row, tau of a step
    vectors: NDArray  # (4, 6) residual, step, trial, start
    squares: NDArray  # (9, 3, 3)
    matrices: NDArray  # (6, 6) J and its factor
    slopes: NDArray  # (9, 6) dB/ds
    moved: NDArray  # (6, 9) ds/dF as right sides
    bent: NDArray  # (9, 6) dP/ds
    first: NDArray  # (9, 6) G dB/ds
    second: NDArray  # (9, 6) F_e S dB^T/ds
    size: NDArray  # (1,) residual reached


@fused
def _shears(crystal: Crystal, point: Point, n: float, s: NDArray, scratch: Scratch) -> None:
    """Fill x, f = |x|^(n-1) and the shears of the increment."""
    p, polar, work = crystal.p, crystal.polar, scratch.work
    x, f, shear = work[0], work[1], work[2]
    if point.move == 0.0:  # an elastic increment, whatever the stress: |x|^n may overflow
        work[:3] = 0.0
        return
    s0, s1, s2, s3, s4, s5 = s[0], s[1], s[2], s[3], s[4], s[5]
    for k in range(x.shape[0]):
        tau = p[0, k] * s0 + p[1, k] * s1 + p[2, k] * s2 + p[3, k] * s3 + p[4, k] * s4 + p[5, k] * s5
        x[k] = (tau - point.back[k]) * point.inverse[k]
    for k in range(x.shape[0]):
        if polar[k]:
            x[k] = max(x[k], 0.0)
    powers(x, polar, n, f, work[3])
    for k in range(x.shape[0]):
        shear[k] = point.move * f[k] * x[k]


@fused
def _product(a: NDArray, b: NDArray, out: NDArray) -> None:
    """out = a b of (3, 3)."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@fused
def _transposed(a: NDArray, b: NDArray, out: NDArray) -> None:
    """out = a^T b of (3, 3)."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[0, i] * b[0, j] + a[1, i] * b[1, j] + a[2, i] * b[2, j]


@fused
def _determinant(m: NDArray) -> float:
    """Of (3, 3)."""
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


@fused
def _residual(crystal: Crystal, point: Point, s: NDArray, scratch: Scratch, r: NDArray) -> float:
    """Fill B, A B and r = C^-1 s - (B^T A B - 1)/2 from the shears; return |r|."""
    shear, dyad, c = scratch.work[2], crystal.dyad, crystal.compliance
    b, ab, bab = scratch.squares[0], scratch.squares[1], scratch.squares[2]
    for i in range(3):
        for j in range(3):
            b[i, j] = 1.0 if i == j else 0.0
    flat = b.reshape(9)
    for k in range(shear.shape[0]):
        size = shear[k]
        if size != 0.0:
            for i in range(9):
                flat[i] -= size * dyad[k, i]
    _product(point.a, b, ab)
    _transposed(b, ab, bab)
    for i in range(6):
        value = 0.0
        for j in range(6):
            value += c[i, j] * s[j]
        r[i] = value
    r[0] -= 0.5 * (bab[0, 0] - 1.0)
    r[1] -= 0.5 * (bab[1, 1] - 1.0)
    r[2] -= 0.5 * (bab[2, 2] - 1.0)
    r[3] -= _ROOT * bab[1, 2]
    r[4] -= _ROOT * bab[0, 2]
    r[5] -= _ROOT * bab[0, 1]
    return np.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + r[3] * r[3] + r[4] * r[4] + r[5] * r[5])


@fused
def _jacobian(crystal: Crystal, point: Point, n: float, is_exact: bool, scratch: Scratch) -> None:
    """Fill J; with B^T A = 1 in place of itself where it shall be positive definite."""
    jac, c, f, ab = scratch.matrices, crystal.compliance, scratch.work[1], scratch.squares[1]
    for i in range(6):
        for j in range(6):
            jac[i, j] = c[i, j]
    least = _IDLE * c[0, 0]
    for k in range(f.shape[0]):
        slope = point.move * n * f[k] * point.inverse[k]
        if slope < least:
            continue
        row, b, m = crystal.rows[k], crystal.direction[k], crystal.plane[k]
        u0, u1, u2 = b[0], b[1], b[2]
        if is_exact:
            u0 = ab[0, 0] * b[0] + ab[1, 0] * b[1] + ab[2, 0] * b[2]
            u1 = ab[0, 1] * b[0] + ab[1, 1] * b[1] + ab[2, 1] * b[2]
            u2 = ab[0, 2] * b[0] + ab[1, 2] * b[1] + ab[2, 2] * b[2]
        y0, y1, y2 = slope * u0 * m[0], slope * u1 * m[1], slope * u2 * m[2]
        y3 = slope * _ROOT * (u1 * m[2] + u2 * m[1])
        y4 = slope * _ROOT * (u0 * m[2] + u2 * m[0])
        y5 = slope * _ROOT * (u0 * m[1] + u1 * m[0])
        for j in range(6):
            value = row[j]
            jac[0, j] += y0 * value
            jac[1, j] += y1 * value
            jac[2, j] += y2 * value
            jac[3, j] += y3 * value
            jac[4, j] += y4 * value
            jac[5, j] += y5 * value


@fused
def _factor(jac: NDArray) -> bool:
    """LU without pivoting, in place, inverse pivots on the diagonal; False where a pivot is not positive."""
    for i in range(6):
        if not jac[i, i] > 0.0:
            return False
        pivot = 1.0 / jac[i, i]
        jac[i, i] = pivot
        for j in range(i + 1, 6):
            share = jac[j, i] * pivot
            jac[j, i] = share
            for k in range(i + 1, 6):
                jac[j, k] -= share * jac[i, k]
    return True


@fused
def _solve(jac: NDArray, right: NDArray, out: NDArray) -> None:
    """Solve with the factor."""
    for i in range(6):
        value = right[i]
        for j in range(i):
            value -= jac[i, j] * out[j]
        out[i] = value
    for back in range(6):
        i = 5 - back
        value = out[i]
        for j in range(i + 1, 6):
            value -= jac[i, j] * out[j]
        out[i] = value * jac[i, i]


@fused
def _reach(crystal: Crystal, point: Point, n: float, step: NDArray, scratch: Scratch) -> float:
    """Share of -step that keeps every |x| below its cap, or lets it grow by a tenth where it is above."""
    p, x, toward = crystal.p, scratch.work[0], scratch.work[4]
    if point.move <= 0.0:
        return 1.0
    cap = (_REACH * point.strain / point.move + TINY) ** (1.0 / n)
    s0, s1, s2, s3, s4, s5 = step[0], step[1], step[2], step[3], step[4], step[5]
    for k in range(x.shape[0]):
        tau = p[0, k] * s0 + p[1, k] * s1 + p[2, k] * s2 + p[3, k] * s3 + p[4, k] * s4 + p[5, k] * s5
        toward[k] = tau * point.inverse[k]
    share = 1.0
    for k in range(x.shape[0]):
        now, full = x[k], x[k] - toward[k]
        if crystal.polar[k]:
            full = max(full, 0.0)
        limit = max(cap, 1.1 * abs(now))
        if abs(full) > limit:
            share = min(share, (limit - abs(now)) / (abs(full) - abs(now)))
    return share


@fused
def _newton(
    crystal: Crystal, point: Point, n: float, s: NDArray, tol: float, max_iter: int, scratch: Scratch
) -> int:
    """Safeguarded Newton from s (changed in place); iterations, negative when it did not reach tol."""
    r, step, trial = scratch.vectors[0], scratch.vectors[1], scratch.vectors[2]
    c = crystal.compliance
    _shears(crystal, point, n, s, scratch)
    size = _residual(crystal, point, s, scratch, r)
    scratch.size[0] = size
    if not np.isfinite(size):
        return -1
    for iteration in range(max_iter):
        elastic = 0.0
        for i in range(6):
            value = 0.0
            for j in range(6):
                value += c[i, j] * s[j]
            elastic += value * value
        if size <= tol * np.sqrt(elastic) + _ROUNDING:
            return iteration + 1
        moved = False
        for is_exact in (True, False):
            if not is_exact:
                _shears(crystal, point, n, s, scratch)
                _residual(crystal, point, s, scratch, r)
            _jacobian(crystal, point, n, is_exact, scratch)
            if not _factor(scratch.matrices):
                continue
            _solve(scratch.matrices, r, step)
            share = _reach(crystal, point, n, step, scratch)
            for _ in range(12):
                for i in range(6):
                    trial[i] = s[i] - share * step[i]
                _shears(crystal, point, n, trial, scratch)
                reached = _residual(crystal, point, trial, scratch, r)
                if reached <= (1.0 - 1e-4 * share) * size:
                    moved = True
                    break
                share *= 0.5
            if moved:
                break
        if not moved:
            _shears(crystal, point, n, s, scratch)
            _residual(crystal, point, s, scratch, r)
            return iteration + 1 if size <= _STALLED * point.strain else -iteration - 1
        for i in range(6):
            s[i] = trial[i]
        size = reached
        scratch.size[0] = size
    return -max_iter


@fused
def _rescale(crystal: Crystal, point: Point, n: float, s: NDArray, scratch: Scratch) -> None:
    """Put the deviator of s on the scale that minimises s.C^-1 s/2 - s.e + sum_s xi |x|^(n+1) move/(n+1), the
    potential of small strains, e = (A - 1)/2.
    """
    c, x, f = crystal.compliance, scratch.work[0], scratch.work[1]
    deviator, e = scratch.vectors[1], scratch.vectors[2]
    mean = (s[0] + s[1] + s[2]) / 3.0
    _strain(point, e)
    for i in range(6):
        deviator[i] = s[i] - (mean if i < 3 else 0.0)
    _shears(crystal, point, n, deviator, scratch)
    top = 0.0
    for k in range(x.shape[0]):
        top = max(top, abs(x[k]))
    if not top > 0.0:
        return
    for i in range(6):  # keeps |x|^n representable
        deviator[i] /= top
    _shears(crystal, point, n, deviator, scratch)
    power, quadratic, linear = 0.0, 0.0, 0.0
    for k in range(x.shape[0]):
        power += point.move * f[k] * x[k] * x[k] / point.inverse[k]
    for i in range(6):
        linear += deviator[i] * e[i]
        for j in range(6):
            quadratic += deviator[i] * c[i, j] * deviator[j]
            linear -= deviator[i] * c[i, j] * (mean if j < 3 else 0.0)
    if not linear > 0.0:
        return
    alpha = best_radius(power, quadratic, linear, n)
    for i in range(6):
        s[i] = alpha * deviator[i] + (mean if i < 3 else 0.0)


@fused
def _strain(point: Point, e: NDArray) -> None:
    """e = (A - 1)/2, Mandel."""
    a = point.a
    e[0], e[1], e[2] = 0.5 * (a[0, 0] - 1.0), 0.5 * (a[1, 1] - 1.0), 0.5 * (a[2, 2] - 1.0)
    e[3], e[4], e[5] = _ROOT * a[1, 2], _ROOT * a[0, 2], _ROOT * a[0, 1]


@fused
def _cold(
    crystal: Crystal, point: Point, n: float, s: NDArray, tol: float, max_iter: int, scratch: Scratch
) -> int:
    """From the elastic stress of the increment; where that fails, growing exponents from the linear law."""
    e = scratch.vectors[3]
    total = 0
    for attempt in range(2):
        exponent = n if attempt == 0 else 1.0
        _strain(point, e)
        for i in range(6):
            s[i] = 0.0
            for j in range(6):
                s[i] += crystal.stiffness[i, j] * e[j]
        while True:
            _rescale(crystal, point, exponent, s, scratch)
            accuracy = tol if exponent == n else 1e-2
            used = _newton(crystal, point, exponent, s, accuracy, max_iter, scratch)
            total += abs(used)
            if exponent == n:
                break
            exponent = n if exponent * 2.0 >= n else 1.8 * exponent
        if used > 0:
            return total
    return -total


@fused
def _finish(
    s: NDArray,
    start: NDArray,
    scratch: Scratch,
    piola: NDArray,
    inverse: NDArray,
) -> None:
    """P and the new F_p^-1 of the solution; leaves M = F_p^-1 (not of det 1), F_e, S M^T
    and F_e S behind.
    """
    b, g, m = scratch.squares[0], scratch.squares[3], scratch.squares[4]
    fe, sm, fs, full = scratch.squares[5], scratch.squares[6], scratch.squares[7], scratch.squares[8]
    _product(start, b, m)
    _product(g, b, fe)
    full[0, 0], full[1, 1], full[2, 2] = s[0], s[1], s[2]
    full[1, 2] = full[2, 1] = _ROOT * s[3]
    full[0, 2] = full[2, 0] = _ROOT * s[4]
    full[0, 1] = full[1, 0] = _ROOT * s[5]
    _product(fe, full, fs)
    for i in range(3):
        for j in range(3):
            sm[i, j] = full[i, 0] * m[j, 0] + full[i, 1] * m[j, 1] + full[i, 2] * m[j, 2]
    _product(fe, sm, piola)
    scale = max(_determinant(m), TINY) ** (-1.0 / 3.0)
    for i in range(3):
        for j in range(3):
            inverse[i, j] = scale * m[i, j]


@fused
def _tangent(
    crystal: Crystal, point: Point, n: float, start: NDArray, scratch: Scratch, out: NDArray
) -> None:
    """dP/dF (9, 9) of the solution that _finish has left behind."""
    g, m, fe, sm, fs = (
        scratch.squares[3],
        scratch.squares[4],
        scratch.squares[5],
        scratch.squares[6],
        scratch.squares[7],
    )
    jac, f, slopes, moved, bent = (
        scratch.matrices,
        scratch.work[1],
        scratch.slopes,
        scratch.moved,
        scratch.bent,
    )
    _jacobian(crystal, point, n, True, scratch)
    if not _factor(jac):
        _jacobian(crystal, point, n, False, scratch)
        _factor(jac)
    # ds/dF by forward and backward substitution of all nine right sides sym(F_e^T dF M)
    for i in range(3):
        f0, f1, f2 = fe[i, 0], fe[i, 1], fe[i, 2]
        for j in range(3):
            at, m0, m1, m2 = 3 * i + j, m[j, 0], m[j, 1], m[j, 2]
            moved[0, at], moved[1, at], moved[2, at] = f0 * m0, f1 * m1, f2 * m2
            moved[3, at] = _ROOT * (f1 * m2 + f2 * m1)
            moved[4, at] = _ROOT * (f0 * m2 + f2 * m0)
            moved[5, at] = _ROOT * (f0 * m1 + f1 * m0)
    for i in range(6):
        for j in range(i):
            for at in range(9):
                moved[i, at] -= jac[i, j] * moved[j, at]
    for back in range(6):
        i = 5 - back
        for j in range(i + 1, 6):
            for at in range(9):
                moved[i, at] -= jac[i, j] * moved[j, at]
        for at in range(9):
            moved[i, at] *= jac[i, i]
    # dB/ds
    for i in range(9):
        for a in range(6):
            slopes[i, a] = 0.0
    least = _IDLE * crystal.compliance[0, 0]
    for k in range(f.shape[0]):
        slope = point.move * n * f[k] * point.inverse[k]
        if slope < least:
            continue
        row, dyad = crystal.rows[k], crystal.dyad[k]
        for i in range(9):
            size = slope * dyad[i]
            for a in range(6):
                slopes[i, a] -= size * row[a]
    # dP/ds = G dB (S M^T) + (F_e S) dB^T K^T + F_e dS M^T,  K = F_p(t)^-1
    first, second = scratch.first, scratch.second
    for i in range(3):
        for j in range(3):
            for a in range(6):
                first[3 * i + j, a] = (
                    g[i, 0] * slopes[j, a] + g[i, 1] * slopes[3 + j, a] + g[i, 2] * slopes[6 + j, a]
                )
                second[3 * i + j, a] = (
                    fs[i, 0] * slopes[3 * j, a]
                    + fs[i, 1] * slopes[3 * j + 1, a]
                    + fs[i, 2] * slopes[3 * j + 2, a]
                )
    for i in range(3):
        for j in range(3):
            at = 3 * i + j
            bent[at, 0], bent[at, 1], bent[at, 2] = fe[i, 0] * m[j, 0], fe[i, 1] * m[j, 1], fe[i, 2] * m[j, 2]
            bent[at, 3] = _ROOT * (fe[i, 1] * m[j, 2] + fe[i, 2] * m[j, 1])
            bent[at, 4] = _ROOT * (fe[i, 0] * m[j, 2] + fe[i, 2] * m[j, 0])
            bent[at, 5] = _ROOT * (fe[i, 0] * m[j, 1] + fe[i, 1] * m[j, 0])
            for k in range(3):
                left, right = sm[k, j], start[j, k]
                for a in range(6):
                    bent[at, a] += left * first[3 * i + k, a] + right * second[3 * i + k, a]
    for i in range(9):
        for at in range(9):
            out[i, at] = 0.0
        for a in range(6):
            size = bent[i, a]
            for at in range(9):
                out[i, at] += size * moved[a, at]
    # dF (M S M^T)
    for j in range(3):
        for k in range(3):
            value = m[j, 0] * sm[0, k] + m[j, 1] * sm[1, k] + m[j, 2] * sm[2, k]
            for i in range(3):
                out[3 * i + k, 3 * i + j] += value


@fused
def solve_points(
    crystal: Crystal,
    n: float,
    rate0: float,
    dt: float,
    gradient: NDArray,
    before: NDArray,
    strength: NDArray,
    back_stress: NDArray,
    is_warm: bool,
    tol: float,
    max_iter: int,
    stress: NDArray,
    piola: NDArray,
    inverse: NDArray,
    shear_rate: NDArray,
    tangent: NDArray,
    iterations: NDArray,
    residual: NDArray,
    first: int,
    last: int,
) -> None:
    """Solve points first..last; stress (N, 6) holds the starts where `is_warm`.

    gradient F and before F_p(t)^-1 (N, 3, 3), strength and back_stress (1 or N, S). Fills stress, piola,
    inverse, shear_rate, tangent (N, 9, 9; with no rows: left out), iterations (N,; negative where tol was
    not reached) and residual (N,), a strain.
    """
    systems = crystal.p.shape[1]
    scratch = Scratch(
        np.empty((5, systems)),
        np.empty((4, 6)),
        np.empty((9, 3, 3)),
        np.empty((6, 6)),
        np.empty((9, 6)),
        np.empty((6, 9)),
        np.empty((9, 6)),
        np.empty((9, 6)),
        np.empty((9, 6)),
        np.empty(1),
    )
    a, inverse_strength, s, e = np.empty((3, 3)), np.empty(systems), np.empty(6), np.empty(6)
    for at in range(first, last):
        xi = strength[min(at, strength.shape[0] - 1)]
        back = back_stress[min(at, back_stress.shape[0] - 1)]
        for k in range(systems):
            inverse_strength[k] = 1.0 / xi[k]
        g = scratch.squares[3]
        _product(gradient[at], before[at], g)
        _transposed(g, g, a)
        point = Point(a, inverse_strength, back, dt * rate0, 0.0)
        _strain(point, e)
        size = np.sqrt(e[0] * e[0] + e[1] * e[1] + e[2] * e[2] + e[3] * e[3] + e[4] * e[4] + e[5] * e[5])
        point = Point(a, inverse_strength, back, dt * rate0, size)
        used = 0
        if is_warm:
            for i in range(6):
                s[i] = stress[at, i]
            used = _newton(crystal, point, n, s, tol, max_iter, scratch)
        if used <= 0:
            more = _cold(crystal, point, n, s, tol, max_iter, scratch)
            used = abs(used) + more if more > 0 else more - abs(used)
        if not _determinant(gradient[at]) > 0.0:  # turned inside out
            used = -abs(used)
        iterations[at], residual[at] = used, scratch.size[0]
        for i in range(6):
            stress[at, i] = s[i]
        for k in range(systems):
            shear_rate[at, k] = rate0 * scratch.work[0, k] * scratch.work[1, k]
        _finish(s, before[at], scratch, piola[at], inverse[at])
        if tangent.shape[0] > 0:
            _tangent(crystal, point, n, before[at], scratch, tangent[at])
