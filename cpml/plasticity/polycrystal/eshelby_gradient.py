"""Derivatives of the interaction tensor Mt and of the spin tensor by the compliance of the medium.

    K = V G V^T,  dGamma = -< K dL K >,  d(G V^T) = -G V^T dL K,  dL = -L dM L
    Y = (Gamma^-1 - L)^-1,  dY = Y (Gamma^-1 dGamma Gamma^-1 + dL) Y,  Mt = n_eff Y

with the symbols of cpml.plasticity.polycrystal.eshelby; directions dM are the 15 symmetric unit
matrices, lower triangle by rows.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import fused
from cpml.crystallography.tensors import BASIS
from cpml.plasticity.polycrystal.eshelby import eshelby, green

LOWER = np.tril_indices(5)
UNITS = np.zeros((15, 5, 5))
"""Symmetric unit matrices: 1 at (i, j) and (j, i)."""
UNITS[range(15), LOWER[0], LOWER[1]] = UNITS[range(15), LOWER[1], LOWER[0]] = 1.0


@fused
def _second_moments(
    stiffness: NDArray, zeta: NDArray, weights: NDArray, basis: NDArray, kk: NDArray, turning: NDArray
) -> None:
    """Add < K_ac K_db > to kk (a, b, c, d) and < zeta_j (G V^T)_ic K_db > to turning (i, j, b, c, d)."""
    v, lv, gv, k = np.empty((5, 3)), np.empty((5, 3)), np.empty((3, 5)), np.empty((5, 5))
    a, g, u = np.empty((3, 3)), np.empty((3, 3)), np.empty(3)
    for point in range(zeta.shape[0]):
        green(stiffness, zeta[point], basis, True, v, lv, a, g, u)
        for i in range(3):
            for b in range(5):
                gv[i, b] = g[i, 0] * v[b, 0] + g[i, 1] * v[b, 1] + g[i, 2] * v[b, 2]
        for b in range(5):
            for d in range(5):
                k[b, d] = v[b, 0] * gv[0, d] + v[b, 1] * gv[1, d] + v[b, 2] * gv[2, d]
        w = weights[point]
        for b in range(5):
            for c in range(5):
                for d in range(5):
                    for e in range(5):
                        kk[b, c, d, e] += w * k[b, d] * k[e, c]
        for i in range(3):
            for j in range(3):
                for c in range(5):
                    size = w * zeta[point, j] * gv[i, c]
                    for b in range(5):
                        for d in range(5):
                            turning[i, j, b, c, d] += size * k[d, b]


def interaction_slopes(
    compliance: NDArray, zeta: NDArray, weights: NDArray, n_eff: float
) -> tuple[NDArray, NDArray]:
    """d Mt (15, 5, 5) and d spin (15, 3, 3, 5) along UNITS, of a medium of `compliance` (5, 5)."""
    stiffness = np.linalg.inv(compliance)
    stiffness = (stiffness + stiffness.T) / 2
    gamma, spin = eshelby(stiffness, zeta, weights)
    kk, turning = np.zeros((5, 5, 5, 5)), np.zeros((3, 3, 5, 5, 5))
    _second_moments(np.ascontiguousarray(stiffness), zeta, weights, BASIS, kk, turning)
    d_stiffness = -stiffness @ UNITS @ stiffness
    flat = d_stiffness.reshape(15, 25).T
    d_gamma = -(kk.reshape(25, 25) @ flat).T.reshape(15, 5, 5)
    inverse = np.linalg.inv(gamma)
    y = np.linalg.inv(inverse - stiffness)
    d_inverse = -inverse @ d_gamma @ inverse
    d_y = y @ (d_stiffness - d_inverse) @ y
    d_turning = -(turning.reshape(45, 25) @ flat).T.reshape(15, 3, 3, 5)
    d_turning = (d_turning - d_turning.swapaxes(1, 2)) / 2
    # spin = Pi Gamma^-1 and so Pi = spin Gamma
    d_spin = (d_turning.reshape(15, 9, 5) @ inverse + (spin @ gamma).reshape(9, 5) @ d_inverse).reshape(
        15, 3, 3, 5
    )
    return n_eff * (d_y + d_y.swapaxes(1, 2)) / 2, d_spin
