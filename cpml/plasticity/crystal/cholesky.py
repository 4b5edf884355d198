"""Compiled Cholesky factor, solution and inverse of symmetric 5 x 5 matrices (lower triangle given)."""

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import TINY, fused


@fused
def factor(h: NDArray, damping: float, low: NDArray) -> None:
    """Cholesky factor (inverse diagonal) of the lower triangle h + damping tr(h) I."""
    floor = damping * (h[0, 0] + h[1, 1] + h[2, 2] + h[3, 3] + h[4, 4]) + TINY
    for i in range(5):
        for j in range(i + 1):
            value = h[i, j]
            if i == j:
                value += floor
            for k in range(j):
                value -= low[i, k] * low[j, k]
            if i == j:
                low[i, i] = 1.0 / np.sqrt(max(value, floor))
            else:
                low[i, j] = value * low[j, j]


@fused
def solve(low: NDArray, right: NDArray, out: NDArray) -> None:
    """Solve with the factor of factor."""
    for i in range(5):
        value = right[i]
        for k in range(i):
            value -= low[i, k] * out[k]
        out[i] = value * low[i, i]
    for back in range(5):
        i = 4 - back
        value = out[i]
        for k in range(i + 1, 5):
            value -= low[k, i] * out[k]
        out[i] = value * low[i, i]


@fused
def invert(low: NDArray, out: NDArray) -> None:
    """Full symmetric inverse from the factor: L^-T L^-1."""
    inv = np.zeros((5, 5))
    for j in range(5):
        inv[j, j] = low[j, j]
        for i in range(j + 1, 5):
            value = 0.0
            for k in range(j, i):
                value -= low[i, k] * inv[k, j]
            inv[i, j] = value * low[i, i]
    for i in range(5):
        for j in range(i + 1):
            value = 0.0
            for k in range(i, 5):
                value += inv[k, i] * inv[k, j]
            out[i, j] = value
            out[j, i] = value
