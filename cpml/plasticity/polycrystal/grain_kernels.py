"""Compiled loops over the grains of a power-law aggregate: Schmid tensors in the sample frame, flow at given
stresses, and the linear algebra of one Newton step (cpml.plasticity.polycrystal.balance states the
equations).

| symbol | meaning | shape |
|---|---|---|
| P | Schmid tensors in the sample frame, systems last | (G, 5, S) |
| xi, polar | relative strengths; systems that move one way only | (G, S), (S,) |
| C | (share H + A)^-1 of every grain, H = d flow / d stress | (G, 5, 5) |
"""

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import fused
from cpml.plasticity.crystal.cholesky import factor, invert
from cpml.plasticity.crystal.kernels import powers


@fused
def respond(
    p: NDArray,
    xi: NDArray,
    polar: NDArray,
    n: float,
    stress: NDArray,
    first: int,
    last: int,
    rate: NDArray,
    slope: NDArray,
    flow: NDArray,
) -> None:
    """Fill shear rates and slopes (G, S) and strain rates (G, 5) of grains first..last at stress (G, 5)."""
    systems = p.shape[2]
    x, f, square = np.empty(systems), np.empty(systems), np.empty(systems)
    for g in range(first, last):
        for k in range(systems):
            tau = 0.0
            for i in range(5):
                tau += p[g, i, k] * stress[g, i]
            if polar[k]:
                tau = max(tau, 0.0)
            x[k] = tau / xi[g, k]
        powers(x, polar, n, f, square)
        for k in range(systems):
            rate[g, k] = f[k] * x[k]
            slope[g, k] = 0.0 if polar[k] and x[k] <= 0 else n * f[k] / xi[g, k]
        for i in range(5):
            value = 0.0
            for k in range(systems):
                value += p[g, i, k] * rate[g, k]
            flow[g, i] = value


@fused
def linearise(
    p: NDArray,
    slope: NDArray,
    a: NDArray,
    share: float,
    damping: float,
    weights: NDArray,
    residual: NDArray,
    first: int,
    last: int,
    inverse: NDArray,
    mean: NDArray,
    moved: NDArray,
) -> None:
    """Fill C of grains first..last into inverse (G, 5, 5); add w C to mean (5, 5) and w C residual to moved
    (5,).
    """
    systems = p.shape[2]
    h, low, weighted = np.empty((5, 5)), np.empty((5, 5)), np.empty(systems)
    for g in range(first, last):
        w = weights[g]
        for i in range(5):
            for k in range(systems):
                weighted[k] = share * slope[g, k] * p[g, i, k]
            for j in range(i + 1):
                value = a[i, j]
                for k in range(systems):
                    value += weighted[k] * p[g, j, k]
                h[i, j] = value
        factor(h, damping, low)
        c = inverse[g]
        invert(low, c)
        for i in range(5):
            value = 0.0
            for j in range(5):
                mean[i, j] += w * c[i, j]
                value += c[i, j] * residual[g, j]
            moved[i] += w * value


@fused
def rotate_schmid(
    matrices: NDArray, schmid: NDArray, basis: NDArray, first: int, last: int, out: NDArray
) -> None:
    """Schmid tensors (S, 5) turned by crystal_to_sample matrices (G, 3, 3), into out (G, 5, S)."""
    q, half, full = np.empty((5, 5)), np.empty((3, 3)), np.empty((3, 3))
    r2, r6 = np.sqrt(2.0), np.sqrt(6.0)
    for g in range(first, last):
        r = matrices[g]
        for b in range(5):
            for i in range(3):
                for j in range(3):
                    half[i, j] = (
                        r[i, 0] * basis[b, 0, j] + r[i, 1] * basis[b, 1, j] + r[i, 2] * basis[b, 2, j]
                    )
            for i in range(3):
                for j in range(i + 1):
                    full[i, j] = half[i, 0] * r[j, 0] + half[i, 1] * r[j, 1] + half[i, 2] * r[j, 2]
            q[0, b] = (full[1, 1] - full[0, 0]) / r2
            q[1, b] = (2 * full[2, 2] - full[0, 0] - full[1, 1]) / r6
            q[2, b], q[3, b], q[4, b] = r2 * full[2, 1], r2 * full[2, 0], r2 * full[1, 0]
        for i in range(5):
            for s in range(schmid.shape[0]):
                out[g, i, s] = (
                    q[i, 0] * schmid[s, 0]
                    + q[i, 1] * schmid[s, 1]
                    + q[i, 2] * schmid[s, 2]
                    + q[i, 3] * schmid[s, 3]
                    + q[i, 4] * schmid[s, 4]
                )
