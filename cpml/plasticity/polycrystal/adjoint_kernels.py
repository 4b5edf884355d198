"""Compiled passes over the grains for the derivatives of a mean field (equations and
symbols: cpml.plasticity.polycrystal.adjoint).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import fused
from cpml.plasticity.crystal.cholesky import factor, invert

_FLOOR = 1e-10  # of the trace: fewer than five active systems make H singular, and what is below it idle


class SolvedGrains(NamedTuple):
    """The grains of a solution, in its units."""

    p: NDArray  # (G, 5, S) Schmid tensors, sample frame
    xi: NDArray  # (G, S)
    weights: NDArray  # (G,)
    stress: NDArray  # (G, 5)
    shear: NDArray  # (G, S)
    slope: NDArray  # (G, S)
    sigma: NDArray  # (5,) macroscopic stress
    a: NDArray  # (5, 5) Mt, or the constant A of relaxed constraints
    n: float
    share: float
    has_medium: bool


class Sums(NamedTuple):
    """What `gather` adds up; C = (share H + A)^-1, x the outer product."""

    lam: NDArray  # (G, 5) (H + A)^-1 (stress_bar + P slope shear_bar)
    moved: NDArray  # (5, 5) sum of lam (sigma - s)
    flow: NDArray  # (5, 5) <(H + A)^-1>
    compliance: NDArray  # (15,) <C>, lower triangle
    spread: NDArray  # (5, 5, 5) <(H + A)^-1 x (sigma - s)>
    turned: NDArray  # (15, 5) scratch
    product: NDArray  # (15, 5, 5) <C x C>
    curved: NDArray  # (15, 5)
    curved_turned: NDArray  # (15, 5, 5)


class Frame(NamedTuple):
    """How the Schmid tensors of the grains come about: P = keep Q(R) P_crystal."""

    keep: NDArray  # (5,)
    matrices: NDArray  # (G, 3, 3) R
    schmid: NDArray  # (S, 5) P_crystal
    basis: NDArray  # (5, 3, 3)


class Bars(NamedTuple):
    """Derivatives of the loss that `scatter` fills."""

    xi: NDArray  # (G, S)
    matrices: NDArray  # (G, 3, 3)
    n: NDArray  # (G,)
    weights: NDArray  # (G,)
    moved: NDArray  # (5, 5) sum of lam (sigma - s)
    pushed: NDArray  # (5, 5) sum of w C pull C
    share: NDArray  # (1,) sum of w tr(pull C H C)


@fused
def _inverses(
    p: NDArray,
    slope: NDArray,
    a: NDArray,
    share: float,
    h: NDArray,
    part: NDArray,
    low: NDArray,
    tangent: NDArray,
    linear: NDArray,
) -> None:
    """Fill h = H (lower), tangent = (H + A)^-1 and linear = (share H + A)^-1."""
    for i in range(5):
        for j in range(i + 1):
            value = 0.0
            for k in range(p.shape[1]):
                value += slope[k] * p[i, k] * p[j, k]
            h[i, j] = value
    for i in range(5):
        for j in range(i + 1):
            part[i, j] = h[i, j] + a[i, j]
    factor(part, _FLOOR, low)
    invert(low, tangent)
    if share == 1.0:
        linear[:] = tangent
        return
    for i in range(5):
        for j in range(i + 1):
            part[i, j] = share * h[i, j] + a[i, j]
    factor(part, _FLOOR, low)
    invert(low, linear)


@fused
def _curvature(p: NDArray, s: NDArray, slope: NDArray, n: float, out: NDArray) -> None:
    """Fill d slope / d tau = (n - 1) slope / tau of one grain."""
    for k in range(p.shape[1]):
        tau = p[0, k] * s[0] + p[1, k] * s[1] + p[2, k] * s[2] + p[3, k] * s[3] + p[4, k] * s[4]
        out[k] = (n - 1) * slope[k] / tau if slope[k] > 0 and tau != 0 else 0.0


@fused
def gather(grains: SolvedGrains, stress_bar: NDArray, shear_bar: NDArray, sums: Sums) -> None:
    """Sums over the grains that make up the reduced system, and lam; curved and curved_turned are the change
    of <C> with the right sides of the grains.
    """
    p, _, weights, stress, _, slope, sigma, a, n, share, has_medium = grains
    lam, moved, flow, compliance, spread, turned, product, curved, curved_turned = sums
    systems = p.shape[2]
    h, part, low = np.empty((5, 5)), np.empty((5, 5)), np.empty((5, 5))
    tangent, linear = np.empty((5, 5)), np.empty((5, 5))
    bend, right, away, one, two = np.empty(systems), np.empty(5), np.empty(5), np.empty(5), np.empty(5)
    for g in range(p.shape[0]):
        w, pg, slope_g = weights[g], p[g], slope[g]
        _inverses(pg, slope_g, a, share, h, part, low, tangent, linear)
        for i in range(5):
            value = stress_bar[g, i]
            for k in range(systems):
                value += shear_bar[g, k] * slope_g[k] * pg[i, k]
            right[i] = value
            away[i] = sigma[i] - stress[g, i]
        for i in range(5):
            value = 0.0
            for j in range(5):
                value += tangent[i, j] * right[j]
                flow[i, j] += w * tangent[i, j]
                for k in range(5):
                    spread[i, j, k] += w * tangent[i, j] * away[k]
            lam[g, i] = value
            for j in range(5):
                moved[i, j] += value * away[j]
        if not has_medium:
            continue
        _curvature(pg, stress[g], slope_g, n, bend)
        turned[:] = 0.0
        for k in range(systems):
            size = w * share * bend[k]
            if size == 0.0:
                continue
            for i in range(5):
                one[i], two[i] = 0.0, 0.0
                for j in range(5):
                    one[i] += linear[i, j] * pg[j, k]
                    two[i] += tangent[i, j] * pg[j, k]
            row = 0
            for i in range(5):
                for j in range(i + 1):
                    value = size * one[i] * one[j]
                    for m in range(5):
                        turned[row, m] += value * two[m]
                    row += 1
        row = 0
        for i in range(5):
            for j in range(i + 1):
                compliance[row] += w * linear[i, j]
                for k in range(5):
                    curved[row, k] += turned[row, k]
                    for m in range(5):
                        product[row, k, m] += w * linear[i, k] * linear[j, m]
                        curved_turned[row, k, m] += turned[row, k] * away[m]
                row += 1


@fused
def _turn_back(
    p_bar: NDArray, schmid: NDArray, r: NDArray, basis: NDArray, out: NDArray, q: NDArray, half: NDArray
) -> None:
    """out (3, 3) = derivative by R of what depends on P = Q(R) P_crystal through p_bar (5, S)."""
    for i in range(5):
        for j in range(5):
            value = 0.0
            for k in range(schmid.shape[0]):
                value += p_bar[i, k] * schmid[k, j]
            q[i, j] = value
    out[:] = 0.0
    for b in range(5):  # Q_ab = T_a : R T_b R^T, so dQ_ab = 2 T_a R T_b : dR
        for i in range(3):
            for j in range(3):
                half[i, j] = 2 * (
                    r[i, 0] * basis[b, 0, j] + r[i, 1] * basis[b, 1, j] + r[i, 2] * basis[b, 2, j]
                )
        for a in range(5):
            for i in range(3):
                for j in range(3):
                    out[i, j] += q[a, b] * (
                        basis[a, i, 0] * half[0, j]
                        + basis[a, i, 1] * half[1, j]
                        + basis[a, i, 2] * half[2, j]
                    )


@fused
def scatter(
    grains: SolvedGrains,
    frame: Frame,
    stress_bar: NDArray,
    shear_bar: NDArray,
    mu: NDArray,
    pull: NDArray,
    bars: Bars,
) -> None:
    """Derivatives once the multipliers mu (5,) and pull (5, 5) are known."""
    p, xi, weights, stress, shear, slope, sigma, a, n, share, has_medium = grains
    keep, matrices, schmid, basis = frame
    xi_bar, matrix_bar, n_bar, weight_bar, moved, pushed, share_bar = bars
    systems = p.shape[2]
    h, part, low = np.empty((5, 5)), np.empty((5, 5)), np.empty((5, 5))
    tangent, linear = np.empty((5, 5)), np.empty((5, 5))
    core, half5, q, half = np.zeros((5, 5)), np.empty((5, 5)), np.empty((5, 5)), np.empty((3, 3))
    bend, size, p_bar = np.empty(systems), np.zeros(systems), np.empty((5, systems))
    lam, right = np.empty(5), np.empty(5)
    for g in range(p.shape[0]):
        w, pg, slope_g, s = weights[g], p[g], slope[g], stress[g]
        _inverses(pg, slope_g, a, share, h, part, low, tangent, linear)
        _curvature(pg, s, slope_g, n, bend)
        if has_medium:  # core = C pull C, size_s = w share P_s.core.P_s
            for i in range(5):
                for j in range(5):
                    half5[i, j] = (
                        linear[i, 0] * pull[0, j]
                        + linear[i, 1] * pull[1, j]
                        + linear[i, 2] * pull[2, j]
                        + linear[i, 3] * pull[3, j]
                        + linear[i, 4] * pull[4, j]
                    )
            inner = 0.0
            for i in range(5):
                for j in range(5):
                    value = 0.0
                    for k in range(5):
                        value += half5[i, k] * linear[k, j]
                    core[i, j] = value
                    pushed[i, j] += w * value
                    inner += pull[i, j] * linear[i, j]
            weight_bar[g] -= inner
            for k in range(systems):
                value = 0.0
                for i in range(5):
                    for j in range(5):
                        value += pg[i, k] * core[i, j] * pg[j, k]
                size[k] = w * share * value
                share_bar[0] += w * value * slope_g[k]
        for i in range(5):
            value = stress_bar[g, i] + w * mu[i]
            for k in range(systems):
                value += (shear_bar[g, k] * slope_g[k] + size[k] * bend[k]) * pg[i, k]
            right[i] = value
            weight_bar[g] += mu[i] * s[i]
        for i in range(5):
            lam[i] = (
                tangent[i, 0] * right[0]
                + tangent[i, 1] * right[1]
                + tangent[i, 2] * right[2]
                + tangent[i, 3] * right[3]
                + tangent[i, 4] * right[4]
            )
            for j in range(5):
                moved[i, j] += lam[i] * (sigma[j] - s[j])
        total = 0.0
        for k in range(systems):
            tau = pg[0, k] * s[0] + pg[1, k] * s[1] + pg[2, k] * s[2] + pg[3, k] * s[3] + pg[4, k] * s[4]
            along = (
                lam[0] * pg[0, k]
                + lam[1] * pg[1, k]
                + lam[2] * pg[2, k]
                + lam[3] * pg[3, k]
                + lam[4] * pg[4, k]
            )
            e = shear_bar[g, k] - along
            xi_bar[g, k] = -n * (shear[g, k] * e + size[k] * slope_g[k]) / xi[g, k]
            if slope_g[k] > 0 and tau != 0:
                log_x = np.log(abs(tau / xi[g, k]))
                total += shear[g, k] * log_x * e + size[k] * slope_g[k] * (1 / n + log_x)
            push = e * slope_g[k] + size[k] * bend[k]
            for i in range(5):
                value = 0.0
                for j in range(5):
                    value += core[i, j] * pg[j, k]
                p_bar[i, k] = keep[i] * (
                    push * s[i] - lam[i] * shear[g, k] + 2 * w * share * slope_g[k] * value
                )
        n_bar[g] = total
        _turn_back(p_bar, schmid, matrices[g], basis, matrix_bar[g], q, half)
