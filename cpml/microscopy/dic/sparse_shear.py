"""The sparsest shears that explain an in-plane displacement gradient, exact, in a compiled loop.

With h the four in-plane components of H and a_s those of b_s (x) n_s

    min sum_s |gamma_s|   with   |h - A gamma| <= t

The minimiser of lambda sum |gamma| + |h - A gamma|^2 / 2 is piecewise linear in lambda; it is followed from
lambda = max |a_s . h| down, one system joining or leaving at a time, until the residual is t (homotopy): the
exact solution, with no more than four systems.

References: Osborne, Presnell & Turlach 2000, IMA J. Numer. Anal. 20:389 (homotopy); Vermeij et al. 2022, Acta
Mater. 243:118502 (the problem).
"""

import math

import numpy as np

from cpml.compiled import compiled

MOST_ACTIVE = 4
MOST_STEPS = 64
TINY = 1e-12


@compiled
def _is_dependent(a, active, n):
    """Whether the last of n active columns lies in the span of those before it (modified Gram-Schmidt)."""
    basis = np.zeros((n, 4))
    for i in range(n):
        basis[i] = a[active[i]]
        size = np.sum(basis[i] ** 2)
        for k in range(i):
            basis[i] -= np.sum(basis[k] * basis[i]) * basis[k]
        rest = np.sum(basis[i] ** 2)
        if rest < 1e-9 * size:
            return True
        basis[i] /= math.sqrt(rest)
    return False


@compiled
def _solve(gram, right, n):
    """Cholesky solution of the leading n x n system; pivots are kept positive."""
    low = np.zeros((n, n))
    out = np.zeros(n)
    for i in range(n):
        for j in range(i + 1):
            value = gram[i, j]
            for k in range(j):
                value -= low[i, k] * low[j, k]
            if i == j:
                low[i, i] = math.sqrt(max(value, TINY))
            else:
                low[i, j] = value / low[j, j]
    for i in range(n):
        value = right[i]
        for k in range(i):
            value -= low[i, k] * out[k]
        out[i] = value / low[i, i]
    for i in range(n - 1, -1, -1):
        value = out[i]
        for k in range(i + 1, n):
            value -= low[k, i] * out[k]
        out[i] = value / low[i, i]
    return out


@compiled
def sparsest_shear(h, a, sense, limit):
    """Solution (S,) for h (4,), a (S, 4), sense (S,) in -1, 0 (free), 1; and the norm of its residual."""
    n = a.shape[0]
    gamma = np.zeros(n)
    active = np.zeros(MOST_ACTIVE, np.int64)
    sign = np.zeros(MOST_ACTIVE)
    is_active = np.zeros(n, np.bool_)
    n_active, dropped, dropped_sign, lowest = 0, -1, 0.0, 0.0
    is_barred = np.zeros(n, np.bool_)
    residual = h.copy()
    for _ in range(MOST_STEPS):
        rest = math.sqrt(np.sum(residual**2))
        if rest <= limit:
            break
        correlation = a @ residual
        level, newest, newest_sign = 0.0, -1, 0.0
        for k in range(n_active):
            level = max(level, sign[k] * correlation[active[k]])
        if n_active == 0:
            for s in range(n):
                size = abs(correlation[s]) if sense[s] == 0 else sense[s] * correlation[s]
                if size > level:
                    level, newest, newest_sign = size, s, math.copysign(1.0, correlation[s])
            if newest < 0 or level < TINY:
                break
            lowest = max(lowest, 1e-9 * level)
            active[0], sign[0], n_active = newest, newest_sign, 1
            is_active[newest] = True
        if level < lowest:  # the residual is the least that the prescribed senses allow
            break
        gram = np.zeros((MOST_ACTIVE, MOST_ACTIVE))
        for i in range(n_active):
            for j in range(n_active):
                gram[i, j] = np.sum(a[active[i]] * a[active[j]])
        step_direction = _solve(gram, sign, n_active)
        change = np.zeros(4)
        for k in range(n_active):
            change += step_direction[k] * a[active[k]]
        slope = a @ change
        step, event = level, 0
        for s in range(n):
            if is_active[s] or is_barred[s] or n_active == MOST_ACTIVE:
                continue
            for turn in (1.0, -1.0):
                if (sense[s] != 0 and sense[s] != turn) or (s == dropped and turn == dropped_sign):
                    continue
                fall = 1.0 - turn * slope[s]
                if fall > 1e-9:
                    at = max((level - turn * correlation[s]) / fall, 0.0)
                    # a column in the span of the active ones would join at the very end only
                    if at < step * (1 - 1e-9):
                        step, event, newest, newest_sign = at, 1, s, turn
        leaver = -1
        for k in range(n_active):
            moving = step_direction[k]
            if moving * gamma[active[k]] < 0:
                at = -gamma[active[k]] / moving
                if at < step:
                    step, event, leaver = at, 2, k
        # |residual - step change| = limit
        square, mixed = np.sum(change**2), np.sum(residual * change)
        if square > TINY**2:
            discriminant = mixed**2 - square * (rest**2 - limit**2)
            if discriminant >= 0:
                at = (mixed - math.sqrt(discriminant)) / square
                if 0 <= at <= step:
                    step, event = at, 3
        for k in range(n_active):
            gamma[active[k]] += step * step_direction[k]
        residual = residual - step * change
        dropped = -1
        if event == 1:
            active[n_active], sign[n_active] = newest, newest_sign
            is_active[newest] = True
            n_active += 1
            if _is_dependent(a, active, n_active):
                # its correlation is a fixed share of the level until the active set changes
                n_active -= 1
                is_active[newest], is_barred[newest] = False, True
        elif event == 2:
            dropped, dropped_sign = active[leaver], sign[leaver]
            is_barred[:] = False
            gamma[dropped] = 0.0
            is_active[dropped] = False
            for k in range(leaver, n_active - 1):
                active[k], sign[k] = active[k + 1], sign[k + 1]
            n_active -= 1
        else:
            break
    return gamma, math.sqrt(np.sum(residual**2))
