"""Compiled sums over the grains of a mean field, and Schmid tensors turned into the sample frame.

| symbol | meaning | shape |
|---|---|---|
| P | Schmid tensors in the sample frame, systems last | (G, 5, S) |
| H | sum_s slope_s P P^T, derivative of a grain's strain rate by its stress | (5, 5) |
| A | interaction of the grain with its medium | (5, 5) |
"""

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import fused
from cpml.plasticity.crystal.cholesky import factor, invert


@fused
def average(
    p: NDArray,
    a: NDArray,
    weights: NDArray,
    stress: NDArray,
    slope: NDArray,
    share: float,
    first: int,
    last: int,
    out: NDArray,
    mean: NDArray,
) -> None:
    """Add the weighted sums over grains first..last: out[0] += w (H + A)^-1, out[1] += w
    (share H + A)^-1, mean += w s.

    share = 1 (affine) leaves out[1] alone: it equals out[0].
    """
    systems = p.shape[2]
    h, low, inverse, weighted = np.empty((5, 5)), np.empty((5, 5)), np.empty((5, 5)), np.empty(systems)
    part = np.empty((5, 5))
    trace = a[0, 0] + a[1, 1] + a[2, 2] + a[3, 3] + a[4, 4]
    floor = 0.0 if trace > 0 else 1e-14
    for g in range(first, last):
        w = weights[g]
        for i in range(5):
            mean[i] += w * stress[g, i]
            for k in range(systems):
                weighted[k] = slope[g, k] * p[g, i, k]
            for j in range(i + 1):
                value = 0.0
                for k in range(systems):
                    value += weighted[k] * p[g, j, k]
                h[i, j] = value
        for version in range(1 if share == 1.0 else 2):
            scale = share if version == 1 else 1.0
            for i in range(5):
                for j in range(i + 1):
                    part[i, j] = scale * h[i, j] + a[i, j]
            factor(part, floor, low)
            invert(low, inverse)
            for i in range(5):
                for j in range(5):
                    out[version, i, j] += w * inverse[i, j]


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
