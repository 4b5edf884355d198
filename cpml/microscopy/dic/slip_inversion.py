"""Compiled loops of the slip-system inversion: all small sets of active systems, weighed.

With h the four in-plane components of H, a_s those of b_s (x) n_s and sigma the noise of a component

    p(S | h)  ~  p(S) integral N(h; A_S gamma, sigma^2) N(gamma; 0, tau^2) d gamma                  (1)
              ~  p(S) det(K_S tau^2/sigma^2)^-1/2 exp(c_S . K_S^-1 c_S / 2 sigma^2),
    K_S = A_S^T A_S + sigma^2/tau^2,   c_S = A_S^T h

is summed over every set S of at most three systems, so that nothing is sampled. A system whose sense
is prescribed multiplies (1) by 2 P(gamma has that sign | h, S); for two and three such systems P is
taken one after the other from normal densities with the moments of the truncated ones (Mendell &
Elston 1974, Biometrics 30:41).
"""

import math

import numpy as np

from cpml.compiled import compiled
from cpml.microscopy.dic.sparse_shear import TINY, sparsest_shear


@compiled
def _log_normal_cdf(z):
    """log Phi(z), with its asymptote far below zero."""
    if z > -8.0:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    return -0.5 * z * z - math.log(-z * math.sqrt(2 * math.pi))


@compiled
def _mills(z):
    """phi(z) / Phi(z)."""
    return math.exp(-0.5 * z * z - 0.5 * math.log(2 * math.pi) - _log_normal_cdf(z))


@compiled
def _log_orthant(m, v, turn, n):
    """log P(turn_i x_i > 0 for all i with turn_i != 0) of a normal vector, one component after the other.

    Mean m (n,) and covariance v (n, n) are overwritten.
    """
    total = 0.0
    for i in range(n):
        if turn[i] == 0:
            continue
        spread = math.sqrt(max(v[i, i], 1e-300))
        z = turn[i] * m[i] / spread
        total += _log_normal_cdf(z)
        ratio = _mills(z)
        shrink = ratio * (ratio + z)
        for j in range(i + 1, n):
            m[j] += turn[i] * v[i, j] / spread * ratio
            for k in range(i + 1, n):
                v[j, k] -= v[i, j] * v[i, k] / v[i, i] * shrink
    return total


@compiled
def _means(low, z, n, gamma):
    """gamma = low^-T z, the posterior mean shears of a set."""
    for i in range(n - 1, -1, -1):
        value = z[i]
        for k in range(i + 1, n):
            value -= low[k, i] * gamma[k]
        gamma[i] = value / low[i, i]


@compiled
def _senses(low, turn, n, noise, gamma, work):
    """log of the product of 2 P over the prescribed senses; gamma becomes the mean under them (each
    on its own).
    """
    inverse, cov, left, mean = work[0], work[1], work[2], work[3, 0]
    inverse[:] = 0.0
    cov[:] = 0.0
    for column in range(n):
        for i in range(column, n):
            entry = 1.0 if i == column else 0.0
            for k in range(column, i):
                entry -= low[i, k] * inverse[k, column]
            inverse[i, column] = entry / low[i, i]
    for i in range(n):
        mean[i] = gamma[i]
        for j in range(n):
            for k in range(max(i, j), n):
                cov[i, j] += noise**2 * inverse[k, i] * inverse[k, j]
            left[i, j] = cov[i, j]
    weight = _log_orthant(mean, left, turn, n)
    for i in range(n):
        if turn[i] != 0:
            weight += math.log(2.0)
            spread = math.sqrt(cov[i, i])
            gamma[i] += turn[i] * spread * _mills(turn[i] * gamma[i] / spread)
    return weight


@compiled
def _member(chosen, n, low, z, turn, weight, noise, state, inclusion, mean, work):
    """Add one set to the sums; state holds their common exponent and the sum of all weights.

    chosen (n,) systems, low (n, n) Cholesky factor of K_S, z = low^-1 c_S, weight: log of (1) but
    for the senses.
    """
    gamma = work[3, 1]
    _means(low, z, n, gamma)
    constrained = 0
    for i in range(n):
        constrained += abs(turn[i])
    if constrained:
        weight += _senses(low, turn, n, noise, gamma, work)
    if weight > state[0]:
        scale = math.exp(state[0] - weight)
        state[1] *= scale
        for s in range(len(mean)):
            inclusion[s] *= scale
            mean[s] *= scale
        state[0] = weight
    share = math.exp(weight - state[0])
    state[1] += share
    for k in range(n):
        inclusion[chosen[k]] += share
        mean[chosen[k]] += share * gamma[k]


@compiled
def _least_best(c, gram, sense, log_size, half, ridge, log_root):
    """A weight that the best set of at most two systems reaches; sets of the wrong sense do not count."""
    n_systems, best = len(c), log_size[0]
    for i in range(n_systems):
        low = math.sqrt(gram[i, i] + ridge)
        z = c[i] / low
        first = half * z * z - math.log(low) + log_root
        if z * sense[i] >= 0:
            best = max(best, first + log_size[1])
        for j in range(i + 1, n_systems):
            side = gram[j, i] / low
            square = max(gram[j, j] + ridge - side * side, TINY)
            value = c[j] - side * z
            second = first + half * value * value / square - 0.5 * math.log(square) + log_root + log_size[2]
            if second > best:
                shear = value / square
                if shear * sense[j] >= 0 and (z - side * shear) * sense[i] >= 0:
                    best = second
    return best


@compiled
def weigh_sets(c, gram, sense, log_size, noise, slab):
    """Posterior of one pixel over all sets of at most three systems.

    c = A^T h (S,), gram = A^T A (S, S), sense (S,), log_size (4,) of the prior, noise sigma, slab tau. Sets
    too improbable to count (e^-18 of a better one) are passed over.

    Returns inclusion probability (S,), posterior mean shear (S,), probability of no slip.
    """
    n_systems = len(c)
    ridge = (noise / slab) ** 2
    half, log_root = 0.5 / noise**2, 0.5 * math.log(ridge)
    inclusion, mean = np.zeros(n_systems), np.zeros(n_systems)
    state = np.array([log_size[0], 1.0])
    chosen, turn = np.zeros(3, np.int64), np.zeros(3, np.int64)
    low, z, row, work = np.zeros((3, 3)), np.zeros(3), np.zeros(n_systems), np.zeros((4, 3, 3))
    # each prescribed sense can raise a weight by log 2 at most
    least = _least_best(c, gram, sense, log_size, half, ridge, log_root) - 18.0 - 3 * math.log(2.0)
    for i in range(n_systems):
        chosen[0], turn[0] = i, sense[i]
        low[0, 0] = math.sqrt(gram[i, i] + ridge)
        z[0] = c[i] / low[0, 0]
        first = half * z[0] ** 2 - math.log(low[0, 0]) + log_root
        if first + log_size[1] > least:
            _member(chosen, 1, low, z, turn, first + log_size[1], noise, state, inclusion, mean, work)
        for k in range(i + 1, n_systems):
            row[k] = gram[k, i] / low[0, 0]
        for j in range(i + 1, n_systems):
            chosen[1], turn[1] = j, sense[j]
            low[1, 0] = row[j]
            low[1, 1] = math.sqrt(max(gram[j, j] + ridge - row[j] ** 2, TINY))
            z[1] = (c[j] - row[j] * z[0]) / low[1, 1]
            second = first + half * z[1] ** 2 - math.log(low[1, 1]) + log_root
            if second + log_size[2] > least:
                _member(chosen, 2, low, z, turn, second + log_size[2], noise, state, inclusion, mean, work)
            bound = least - second - log_size[3]
            factor, z0, z1, inverse = row[j], z[0], z[1], 1.0 / low[1, 1]
            for k in range(j + 1, n_systems):
                side = row[k]
                other = (gram[k, j] - factor * side) * inverse
                square = max(gram[k, k] + ridge - side * side - other * other, TINY)
                value = c[k] - side * z0 - other * z1
                gain = half * value * value / square
                if gain > bound:  # the factor of the determinant only lowers it
                    third = second + gain - 0.5 * math.log(square) + log_root + log_size[3]
                    if third > least:
                        chosen[2], turn[2] = k, sense[k]
                        low[2, 0], low[2, 1], low[2, 2] = side, other, math.sqrt(square)
                        z[2] = value / low[2, 2]
                        _member(chosen, 3, low, z, turn, third, noise, state, inclusion, mean, work)
    none = math.exp(log_size[0] - state[0]) / state[1]
    return inclusion / state[1], mean / state[1], none


@compiled
def invert_all(h, a, sense, of_pixel, log_size, limit, noise, slab):
    """Sparsest shears and (1) for pixels h (N, 4) with a (G, S, 4) and sense (G, S), of_pixel (N,)
    row of each.
    """
    n, n_systems = len(h), a.shape[1]
    shear, residual = np.zeros((n, n_systems)), np.zeros(n)
    posterior, mean, none = np.zeros((n, n_systems)), np.zeros((n, n_systems)), np.zeros(n)
    gram, last = np.zeros((n_systems, n_systems)), -1
    for i in range(n):
        g = of_pixel[i]
        if g != last:
            gram, last = a[g] @ a[g].T, g
        shear[i], residual[i] = sparsest_shear(h[i], a[g], sense[g], limit)
        size = math.sqrt(np.sum(h[i] ** 2))
        # in units of |h| the width of the slab is one number for weak and strong bands alike
        posterior[i], mean[i], none[i] = weigh_sets(
            a[g] @ h[i], gram, sense[g], log_size, noise, slab * max(size, noise)
        )
    return shear, residual, posterior, mean, none
