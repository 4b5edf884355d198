"""Eshelby tensors of an ellipsoid in a homogeneous medium: incompressible viscous
(5-basis) and elastic (Mandel).

    viscous:  Gamma_ab = < T^a_ij T^b_kl zeta_j zeta_l G_ik >,   A = V^T L V,  V_ai = (T^a zeta)_i
              G = A^-1 - A^-1 zeta zeta^T A^-1 / (zeta.A^-1 zeta)      (pressure enforces incompressibility)
              Mt = n_eff (Gamma^-1 - L)^-1
    elastic:  the same with V (6, 3) of the Mandel basis and G = A^-1
    spin:     Pi_ij,b = < skw(zeta_j zeta_l G_ik) T^b_kl >;  rotation = Pi Gamma^-1 (strain-rate deviation)

The mean < > runs over unit vectors chi, zeta = F^-T chi, F the map from the unit sphere to the ellipsoid.
The integrand does not depend on the length of zeta and is even: half a sphere is enough, Gauss-Legendre
in cos(theta), uniform in phi.

| symbol | meaning | shape |
|---|---|---|
| L | stiffness of the medium, inverse of its compliance | (5, 5) or (6, 6) |
| F | ellipsoid, identity = sphere | (3, 3) |

References: Mura 1987; Molinari, Canova & Ahzi 1987, Acta Metall. 35:2983; Lebensohn & Tome 1993.
"""

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.compiled import fused
from cpml.crystallography.elasticity import MANDEL
from cpml.crystallography.tensors import BASIS

Sphere: TypeAlias = tuple[NDArray, NDArray]
"""Directions zeta (N, 3), unit vectors, and their weights (N,)."""

QUADRATURE = (32, 64)  # points in cos(theta) and phi over the whole sphere
VPSC = "vpsc"
"""For comparison: 40 x 40 Gauss-Legendre in theta and phi over (0, pi), pole along the second axis."""


@lru_cache(maxsize=8)
def sphere_rule(n_cosine: int, n_angle: int) -> Sphere:
    """Unit vectors (N, 3) over half the sphere and weights (N,), sum 1; n_angle is even."""
    cosine, weight = np.polynomial.legendre.leggauss(n_cosine)
    angle = (np.arange(n_angle // 2) + 0.5) * 2 * np.pi / n_angle
    c, a = (grid.ravel() for grid in np.meshgrid(cosine, angle, indexing="ij"))
    sine = np.sqrt(1 - c**2)
    points = np.stack([sine * np.cos(a), sine * np.sin(a), c], -1)
    return np.ascontiguousarray(points), np.repeat(weight, n_angle // 2) / (n_angle // 2) / 2


@lru_cache(maxsize=2)
def _vpsc_rule() -> Sphere:
    node, weight = np.polynomial.legendre.leggauss(40)
    theta, phi = (
        grid.ravel() for grid in np.meshgrid((node + 1) * np.pi / 2, (node + 1) * np.pi / 2, indexing="ij")
    )
    share = np.outer(weight, weight).ravel() * np.sin(theta)
    points = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1)
    return np.ascontiguousarray(points), share / share.sum()


def directions(shape: NDArray | None, quadrature: tuple[int, int] | str = QUADRATURE) -> Sphere:
    """zeta (N, 3) of an ellipsoid F (3, 3), None = sphere, scaled to unit length, and weights (N,)."""
    points, weights = _vpsc_rule() if isinstance(quadrature, str) else sphere_rule(*quadrature)
    if shape is None:
        return points, weights
    zeta = points @ np.linalg.inv(np.asarray(shape, float))
    return zeta / np.linalg.norm(zeta, axis=1, keepdims=True), weights


@fused
def green(
    stiffness: NDArray,
    zeta: NDArray,
    basis: NDArray,
    incompressible: bool,
    v: NDArray,
    lv: NDArray,
    a: NDArray,
    g: NDArray,
    u: NDArray,
) -> None:
    """Fill V (B, 3) and G (3, 3) of one direction zeta (3,); lv, a, u are scratch."""
    size = basis.shape[0]
    for b in range(size):
        for i in range(3):
            v[b, i] = basis[b, i, 0] * zeta[0] + basis[b, i, 1] * zeta[1] + basis[b, i, 2] * zeta[2]
    for b in range(size):
        for i in range(3):
            value = 0.0
            for d in range(size):
                value += stiffness[b, d] * v[d, i]
            lv[b, i] = value
    for i in range(3):
        for j in range(3):
            value = 0.0
            for b in range(size):
                value += v[b, i] * lv[b, j]
            a[i, j] = value
    g[0, 0] = a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1]
    g[0, 1] = a[0, 2] * a[2, 1] - a[0, 1] * a[2, 2]
    g[0, 2] = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
    g[1, 1] = a[0, 0] * a[2, 2] - a[0, 2] * a[2, 0]
    g[1, 2] = a[0, 2] * a[1, 0] - a[0, 0] * a[1, 2]
    g[2, 2] = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    det = a[0, 0] * g[0, 0] + a[1, 0] * g[0, 1] + a[2, 0] * g[0, 2]
    for i in range(3):
        for j in range(i, 3):
            g[i, j] /= det
            g[j, i] = g[i, j]
    if incompressible:
        length = 0.0
        for i in range(3):
            u[i] = g[i, 0] * zeta[0] + g[i, 1] * zeta[1] + g[i, 2] * zeta[2]
            length += u[i] * zeta[i]
        for i in range(3):
            for j in range(3):
                g[i, j] -= u[i] * u[j] / length


@fused
def _gamma(
    stiffness: NDArray,
    zeta: NDArray,
    weights: NDArray,
    basis: NDArray,
    incompressible: bool,
    out: NDArray,
    spin: NDArray,
) -> None:
    """Add Gamma to out (B, B) and < zeta_j (G V^T)_ib > to spin (3, 3, B)."""
    size = basis.shape[0]
    v, lv, gv = np.empty((size, 3)), np.empty((size, 3)), np.empty((3, size))
    a, g, u = np.empty((3, 3)), np.empty((3, 3)), np.empty(3)
    for point in range(zeta.shape[0]):
        green(stiffness, zeta[point], basis, incompressible, v, lv, a, g, u)
        w = weights[point]
        for i in range(3):
            for b in range(size):
                gv[i, b] = w * (g[i, 0] * v[b, 0] + g[i, 1] * v[b, 1] + g[i, 2] * v[b, 2])
        for b in range(size):
            for d in range(size):
                out[b, d] += v[b, 0] * gv[0, d] + v[b, 1] * gv[1, d] + v[b, 2] * gv[2, d]
        for i in range(3):
            for j in range(3):
                for b in range(size):
                    spin[i, j, b] += zeta[point, j] * gv[i, b]


def eshelby(stiffness: NDArray, zeta: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Gamma (B, B) and the spin tensor Pi Gamma^-1 (3, 3, B) of a medium: B = 5
    incompressible, B = 6 elastic.
    """
    size = len(stiffness)
    out, spin = np.zeros((size, size)), np.zeros((3, 3, size))
    _gamma(
        np.ascontiguousarray(stiffness), zeta, weights, BASIS if size == 5 else MANDEL, size == 5, out, spin
    )
    out = (out + out.T) / 2
    spin = (spin - spin.swapaxes(0, 1)) / 2
    return out, spin @ np.linalg.inv(out)


def interaction(
    compliance: NDArray, zeta: NDArray, weights: NDArray, n_eff: float = 1.0
) -> tuple[NDArray, NDArray]:
    """Mt (5, 5) = n_eff (Gamma^-1 - L)^-1 and the spin tensor (3, 3, 5), of a compliance (5, 5)."""
    stiffness = np.linalg.inv(compliance)
    gamma, spin = eshelby((stiffness + stiffness.T) / 2, zeta, weights)
    found = np.linalg.inv(np.linalg.inv(gamma) - stiffness)
    return n_eff * (found + found.T) / 2, spin


def interaction_torch(
    compliance: Tensor, directions: NDArray, shares: NDArray, n_eff: float = 1.0
) -> tuple[Tensor, Tensor]:
    """`interaction` in torch operations, differentiable in the compliance (5, 5)."""
    zeta, weights, basis = (torch.as_tensor(x.copy()) for x in (directions, shares, BASIS))
    stiffness = torch.linalg.inv(compliance)
    v = torch.einsum("bij,pj->pbi", basis, zeta)
    g = torch.linalg.inv(torch.einsum("pbi,bd,pdj->pij", v, stiffness, v))
    u = (g @ zeta[:, :, None])[:, :, 0]
    g = g - u[:, :, None] * u[:, None, :] / (u * zeta).sum(-1)[:, None, None]
    gv = torch.einsum("p,pij,pdj->pid", weights, g, v)
    gamma = torch.einsum("pbi,pid->bd", v, gv)
    inverse = torch.linalg.inv((gamma + gamma.T) / 2)
    found = torch.linalg.inv(inverse - stiffness)
    turning = torch.einsum("pj,pib->ijb", zeta, gv)
    return n_eff * (found + found.T) / 2, (turning - turning.transpose(0, 1)) / 2 @ inverse
