"""Weighted L1 solutions of six equations for every pixel: an exact primal simplex in compiled loops.

    minimise sum_s u_s |rho_s|   subject to   A rho = y,      A (6, S), u > 0

Both signs of a rho are allowed, so every choice of six independent columns is feasible: the signs follow from
A_B^-1 y and no first phase is needed. With pi = A_B^-T (u_B sign rho_B) a column with |pi . a_s| > u_s
enters; the line search goes on through every rho_i that changes sign (each bends the objective by 2 u_i
|d_i|) until it would rise, so one pivot does the work of several. The optimal basis of one pixel starts the
next. y is perturbed by 1e-12 of its size against ties; the solution returned is that of the exact y in the
same basis. Against HiGHS the objective agrees to 1e-9.

References: Barrodale & Roberts 1973, SIAM J. Numer. Anal. 10:839 (L1 simplex); Pantleon 2008,
Scripta Mater. 58:994.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import compiled

M = 6
PIVOT = 1e-7
MAX_PIVOTS = 400


@compiled
def _inverse(a, basis, work, out):
    """out = inverse of the columns `basis` of a; False where they are (nearly) dependent."""
    for i in range(M):
        for j in range(M):
            work[i, j] = a[i, basis[j]]
            out[i, j] = 1.0 if i == j else 0.0
    for c in range(M):
        p, largest = c, abs(work[c, c])
        for r in range(c + 1, M):
            if abs(work[r, c]) > largest:
                p, largest = r, abs(work[r, c])
        if largest < PIVOT:
            return False
        if p != c:
            for j in range(M):
                work[p, j], work[c, j] = work[c, j], work[p, j]
                out[p, j], out[c, j] = out[c, j], out[p, j]
        scale = 1.0 / work[c, c]
        for j in range(M):
            work[c, j] *= scale
            out[c, j] *= scale
        for r in range(M):
            if r != c and work[r, c] != 0.0:
                f = work[r, c]
                for j in range(M):
                    work[r, j] -= f * work[c, j]
                    out[r, j] -= f * out[c, j]
    return True


@compiled
def _independent(a, basis, work):
    """Six well-conditioned columns by elimination with full pivoting; False where the rank is below six."""
    for i in range(M):
        for j in range(a.shape[1]):
            work[i, j] = a[i, j]
    for step in range(M):
        p, q, largest = -1, -1, 1e-9
        for i in range(step, M):
            for j in range(a.shape[1]):
                if abs(work[i, j]) > largest:
                    p, q, largest = i, j, abs(work[i, j])
        if p < 0:
            return False
        for j in range(a.shape[1]):
            work[p, j], work[step, j] = work[step, j], work[p, j]
        basis[step] = q
        for i in range(step + 1, M):
            f = work[i, q] / work[step, q]
            for j in range(a.shape[1]):
                work[i, j] -= f * work[step, j]
        for i in range(step, M):  # a chosen column is not chosen again
            if i > step:
                work[i, q] = 0.0
    return True


@compiled
def _descend(a, u, y, basis, inverse, x, pi, d, work):
    """Pivots from a basis with its inverse to the optimum; returns the number of them, -1 when it
    was not reached.
    """
    n_columns = a.shape[1]
    for pivot in range(MAX_PIVOTS):
        if pivot % 24 == 23 and not _inverse(a, basis, work, inverse):
            return -1
        for i in range(M):
            x[i] = 0.0
            for j in range(M):
                x[i] += inverse[i, j] * y[j]
        for j in range(M):
            pi[j] = 0.0
            for i in range(M):
                pi[j] += u[basis[i]] * (inverse[i, j] if x[i] >= 0 else -inverse[i, j])
        entering, slope = -1, 1.0 + 1e-9
        for s in range(n_columns):
            dot = 0.0
            for j in range(M):
                dot += pi[j] * a[j, s]
            ratio = abs(dot) / u[s]
            if ratio > slope:
                entering, slope = s, ratio
        if entering < 0:
            return pivot
        dot = 0.0
        for j in range(M):
            dot += pi[j] * a[j, entering]
        sign = 1.0 if dot > 0 else -1.0
        for i in range(M):
            d[i] = 0.0
            for j in range(M):
                d[i] += inverse[i, j] * a[j, entering] * sign
        gain = abs(dot) - u[entering]
        leaving = -1
        reached = 0.0
        while gain > 0:  # next sign change along the ray, in order of distance
            nearest, at = -1, np.inf
            for i in range(M):
                if abs(d[i]) > 1e-10 and i != leaving:
                    t = x[i] / d[i]
                    if t > reached and t < at:
                        nearest, at = i, t
            if nearest < 0:
                break
            leaving, reached = nearest, at
            gain -= 2.0 * u[basis[leaving]] * abs(d[leaving])
        if leaving < 0 or abs(d[leaving]) < PIVOT:
            return -1
        scale = 1.0 / (d[leaving] * sign)
        for j in range(M):
            inverse[leaving, j] *= scale
        for i in range(M):
            if i != leaving:
                f = d[i] * sign
                for j in range(M):
                    inverse[i, j] -= f * inverse[leaving, j]
        basis[leaving] = entering
    return -1


@compiled
def fill_columns(r, burgers, line, a):
    """a (6, S): what each density of burgers (S, 3), line (S, 3) adds to the known Nye components
    in frame r.
    """
    for s in range(burgers.shape[0]):
        b0 = r[0, 0] * burgers[s, 0] + r[0, 1] * burgers[s, 1] + r[0, 2] * burgers[s, 2]
        b1 = r[1, 0] * burgers[s, 0] + r[1, 1] * burgers[s, 1] + r[1, 2] * burgers[s, 2]
        b2 = r[2, 0] * burgers[s, 0] + r[2, 1] * burgers[s, 1] + r[2, 2] * burgers[s, 2]
        l0 = r[0, 0] * line[s, 0] + r[0, 1] * line[s, 1] + r[0, 2] * line[s, 2]
        l1 = r[1, 0] * line[s, 0] + r[1, 1] * line[s, 1] + r[1, 2] * line[s, 2]
        l2 = r[2, 0] * line[s, 0] + r[2, 1] * line[s, 1] + r[2, 2] * line[s, 2]
        a[0, s], a[1, s] = b0 * l1, b1 * l0
        a[2, s], a[3, s], a[4, s] = b0 * l2, b1 * l2, b2 * l2
        a[5, s] = b0 * l0 - b1 * l1


@compiled
def solve_l1(rotations, y, burgers, line, u, out, pivots):
    """rho (n, S) of pixels with rotations (n, 3, 3) and right sides y (n, 6); pivots (n,)
    counts, -1: failed.
    """
    n_columns = burgers.shape[0]
    a, wide = np.empty((M, n_columns)), np.empty((M, n_columns))
    work, inverse = np.empty((M, M)), np.empty((M, M))
    x, pi, d, target = np.empty(M), np.empty(M), np.empty(M), np.empty(M)
    basis = np.zeros(M, np.int64)
    nudge = np.array([0.61, -0.37, 0.83, 0.29, -0.71, 0.53])
    warm = False
    for n in range(y.shape[0]):
        for s in range(n_columns):
            out[n, s] = 0.0
        size = 0.0
        for j in range(M):
            size = max(size, abs(y[n, j]))
        pivots[n] = 0
        if not size > 0.0:
            continue
        for j in range(M):
            target[j] = y[n, j] / size + 1e-12 * nudge[j]
        fill_columns(rotations[n], burgers, line, a)
        found = -1
        if warm and _inverse(a, basis, work, inverse):
            found = _descend(a, u, target, basis, inverse, x, pi, d, work)
        if found < 0 and _independent(a, basis, wide) and _inverse(a, basis, work, inverse):
            found = _descend(a, u, target, basis, inverse, x, pi, d, work)
        pivots[n] = found
        warm = found >= 0
        if not warm or not _inverse(a, basis, work, inverse):
            pivots[n], warm = -1, False
            for s in range(n_columns):
                out[n, s] = np.nan
            continue
        for i in range(M):
            value = 0.0
            for j in range(M):
                value += inverse[i, j] * y[n, j]
            out[n, basis[i]] = value


@compiled
def solve_l2(rotations, y, burgers, line, u, out):
    """rho = U^-1 A^T (A U^-1 A^T)^-1 y of every pixel; shapes as in `solve_l1`."""
    n_columns = burgers.shape[0]
    a = np.empty((M, n_columns))
    gram, work, inverse = np.empty((M, M)), np.empty((M, M)), np.empty((M, M))
    z, straight = np.empty(M), np.arange(M)
    for n in range(y.shape[0]):
        fill_columns(rotations[n], burgers, line, a)
        for i in range(M):
            for j in range(M):
                gram[i, j] = 0.0
                for s in range(n_columns):
                    gram[i, j] += a[i, s] * a[j, s] / u[s]
        if not _inverse(gram, straight, work, inverse):
            out[n] = np.nan
            continue
        for i in range(M):
            z[i] = 0.0
            for j in range(M):
                z[i] += inverse[i, j] * y[n, j]
        for s in range(n_columns):
            value = 0.0
            for i in range(M):
                value += a[i, s] * z[i]
            out[n, s] = value / u[s]


def columns_of(rotation: NDArray, burgers: NDArray, line: NDArray) -> NDArray:
    """A (6, S) of one rotation (3, 3), for tests and for readers."""
    a = np.empty((M, len(burgers)))
    fill_columns(
        np.ascontiguousarray(rotation, float),
        np.ascontiguousarray(burgers, float),
        np.ascontiguousarray(line, float),
        a,
    )
    return a
