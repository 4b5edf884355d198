"""The law of a whole grain: shear shared out at many points of it, whose stresses differ, then averaged.

A grain's stress is a mean. Inside the grain the stress varies by r |Sigma| zeta, and every point shears on
the systems that its own stress loads, so the grain shears on more systems than its mean stress would, and on
hard ones less often than a lower exponent of the mean stress would say: noise of the resolved stress counts
over the strength. The share of a grain's shear on system s is

    pi_gs = 1/J sum_j softmax_s [n_s log(x_gjs / max_u x_gju)],   x_gjs = |tau_gs + r b_gjs| / xi_s
    tau_gs = P_gs : sigma_g,   b_gjs = |Sigma| P_gs : zeta_j

with |.| the part that can move a system (twins: tau > 0), n_s the rate exponents of slip and of twins, and
zeta_j fixed quasi-random standard normal deviators, in pairs of opposite sign, the same in all grains. The
most loaded system of a point sits at its strength, so that exponents that differ need no unit of stress.

| symbol | meaning | unit | shape |
|---|---|---|---|
| tau | resolved mean stress, under every draw k of it | mean stress | (G, K, S) |
| b | resolved variation at point j | mean stress | (G, J, S) |
| r | variation within a grain, relative, per component | - | scalar |
| xi, n | strength and exponent of every system | any, - | (S,) |

Forward keeps every point's shares; slopes follow from them. With g the slope by pi, p_j the shares and
q_j = n p_j (g - g . p_j) / J those by log x, less their sum at the most loaded system.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.compiled import compiled

LEAST = 1e-8
"""Of the rate of the most loaded system of a point, below which a system does nothing there."""
SHARE = 1e-7
"""Of a point's shear, below which it moves no slope."""


def shares_within(
    tau: Tensor,
    variation: Tensor,
    spread: Tensor,
    log_strength: Tensor,
    exponent: Tensor,
    is_polar: Tensor,
    *,
    floor: float,
) -> Tensor:
    """pi (G, K, S), differentiable in all but ``variation`` and ``is_polar``.

    Parameters
    ----------
    tau : (G, K, S); variation : b (G, J, S); spread : r; log_strength, exponent : (S,); is_polar : (S,) bool
    floor : in the unit of tau, below which a system counts as unloaded
    """
    return _SharesWithin.apply(tau, variation, spread, log_strength, exponent, is_polar, floor)


class _SharesWithin(torch.autograd.Function):
    """The compiled mean as an operation of torch."""

    @staticmethod
    def forward(ctx, tau, variation, spread, log_strength, exponent, is_polar, floor):
        inputs = tuple(x.detach().contiguous().numpy() for x in (tau, variation, log_strength, exponent))
        ctx.arguments = (*inputs, is_polar.numpy(), float(spread.detach()), floor)
        needs = any(x.requires_grad for x in (tau, spread, log_strength, exponent))
        n_points = inputs[1].shape[1]
        # single precision: shares below 1e-7 move nothing
        kept = np.zeros((*inputs[0].shape[:2], n_points if needs else 0, inputs[0].shape[2]), np.float32)
        ctx.kept = kept
        return torch.from_numpy(_forward(*(*ctx.arguments, kept)))

    @staticmethod
    def backward(ctx, outer):
        slopes: tuple = _backward(*(*ctx.arguments, ctx.kept, outer.contiguous().numpy()))
        by_tau, by_strength, by_exponent = (torch.from_numpy(x) for x in slopes[:3])
        by_spread = torch.tensor(slopes[3], dtype=outer.dtype)
        return by_tau, None, by_spread, by_strength, by_exponent, None, None


@compiled
def _forward(
    tau: NDArray,
    variation: NDArray,
    log_strength: NDArray,
    exponent: NDArray,
    is_polar: NDArray,
    spread: float,
    floor: float,
    kept: NDArray,
) -> NDArray:
    n_grains, n_draws, n_systems = tau.shape
    n_points = variation.shape[1]
    found = np.zeros(tau.shape)
    square, share = np.empty(n_systems), np.empty(n_systems)
    softness, idle = np.exp(-2.0 * log_strength), LEAST ** (2.0 / exponent)
    keeps = kept.shape[2] > 0
    for g in range(n_grains):
        for k in range(n_draws):
            for j in range(n_points):
                most = 0.0
                for s in range(n_systems):
                    x = tau[g, k, s] + spread * variation[g, j, s]
                    if is_polar[s] and x < 0:
                        x = 0.0
                    square[s] = (x * x + floor * floor) * softness[s]
                    most = max(most, square[s])
                total = 0.0
                for s in range(n_systems):
                    ratio = square[s] / most
                    # most systems are far below: their power is nothing, and no logarithm is taken
                    share[s] = ratio ** (0.5 * exponent[s]) if ratio > idle[s] else 0.0
                    total += share[s]
                for s in range(n_systems):
                    value = share[s] / total
                    found[g, k, s] += value / n_points
                    if keeps:
                        kept[g, k, j, s] = value
    return found


@compiled
def _backward(
    tau: NDArray,
    variation: NDArray,
    log_strength: NDArray,
    exponent: NDArray,
    is_polar: NDArray,
    spread: float,
    floor: float,
    kept: NDArray,
    outer: NDArray,
) -> tuple[NDArray, NDArray, NDArray, float]:
    n_grains, n_draws, n_systems = tau.shape
    n_points = variation.shape[1]
    by_tau = np.zeros(tau.shape)
    by_strength, by_exponent, by_spread = np.zeros(n_systems), np.zeros(n_systems), 0.0
    log_x, by_log = np.empty(n_systems), np.empty(n_systems)
    for g in range(n_grains):
        for k in range(n_draws):
            for j in range(n_points):
                mean = 0.0
                for s in range(n_systems):
                    mean += kept[g, k, j, s] * outer[g, k, s]
                most, top = -np.inf, 0
                for s in range(n_systems):
                    if kept[g, k, j, s] < SHARE:
                        continue
                    x = tau[g, k, s] + spread * variation[g, j, s]
                    if is_polar[s] and x < 0:
                        x = 0.0
                    log_x[s] = 0.5 * np.log(x * x + floor * floor) - log_strength[s]
                    if log_x[s] > most:
                        most, top = log_x[s], s
                left = 0.0
                for s in range(n_systems):
                    by_log[s] = 0.0
                    if kept[g, k, j, s] < SHARE:
                        continue
                    q = kept[g, k, j, s] * (outer[g, k, s] - mean) / n_points
                    by_exponent[s] += q * (log_x[s] - most)
                    by_log[s] = q * exponent[s]
                    left += by_log[s]
                by_log[top] -= left
                for s in range(n_systems):
                    if by_log[s] == 0.0:
                        continue
                    by_strength[s] -= by_log[s]
                    x = tau[g, k, s] + spread * variation[g, j, s]
                    if not is_polar[s] or x > 0:
                        slope = by_log[s] * x / (x * x + floor * floor)
                        by_tau[g, k, s] += slope
                        by_spread += slope * variation[g, j, s]
    return by_tau, by_strength, by_exponent, by_spread
