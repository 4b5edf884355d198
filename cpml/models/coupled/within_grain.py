"""The law of a whole grain: shear shared out at many points of it, whose stresses differ, then averaged.

A grain's stress is a mean. Inside the grain the stress varies by r |Sigma| zeta, and every point shears on
the systems that its own stress loads, so the grain shears on more systems than its mean stress would, and on
hard ones less often than a lower exponent of the mean stress would say: noise of the resolved stress counts
over the strength. The share of a grain's shear on system s is

    pi_gs = 1/J sum_j softmax_s [n_s log(|tau_gs + r b_gjs| / xi_s)],    tau_gs = P_gs : sigma_g
                                                                        b_gjs = |Sigma| P_gs : zeta_j

with |.| the part that can move a system (twins: tau > 0), n_s the rate exponents of slip and of twins, and
zeta_j fixed quasi-random standard normal deviators, in pairs of opposite sign, the same in all grains.

| symbol | meaning | unit | shape |
|---|---|---|---|
| tau | resolved mean stress, under every draw k of it | mean stress | (G, K, S) |
| b | resolved variation at point j | mean stress | (G, J, S) |
| r | variation within a grain, relative, per component | - | scalar |
| xi, n | strength and exponent of every system | any, - | (S,) |

The slopes follow from the same points again: with g the slope by pi, p_j the softmax and
q_j = p_j (g - g . p_j) / J, those by tau, log xi, n and r are sums over j of q_j n / x', -q_j n,
q_j log(|x| / xi) and q_j n b / x'.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.compiled import compiled


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
        return torch.from_numpy(_forward(*ctx.arguments))

    @staticmethod
    def backward(ctx, outer):
        slopes: tuple = _backward(*(*ctx.arguments, outer.contiguous().numpy()))
        by_tau, by_strength, by_exponent = (torch.from_numpy(x) for x in slopes[:3])
        by_spread = torch.tensor(slopes[3], dtype=outer.dtype)
        return by_tau, None, by_spread, by_strength, by_exponent, None, None


@compiled
def _point(tau, shift, log_strength, exponent, is_polar, spread, floor, log_x, share):
    """Fill ``log_x`` (S,) log of stress over strength and ``share`` (S,) at one point."""
    n_systems = len(log_strength)
    most = -np.inf
    for s in range(n_systems):
        x = tau[s] + spread * shift[s]
        if is_polar[s] and x < 0:
            x = 0.0
        log_x[s] = 0.5 * np.log(x * x + floor * floor) - log_strength[s]
        share[s] = exponent[s] * log_x[s]
        most = max(most, share[s])
    total = 0.0
    for s in range(n_systems):
        below = share[s] - most
        share[s] = np.exp(below) if below > -40.0 else 0.0
        total += share[s]
    for s in range(n_systems):
        share[s] /= total


@compiled
def _forward(
    tau: NDArray,
    variation: NDArray,
    log_strength: NDArray,
    exponent: NDArray,
    is_polar: NDArray,
    spread: float,
    floor: float,
) -> NDArray:
    n_grains, n_draws, n_systems = tau.shape
    n_points = variation.shape[1]
    found = np.zeros(tau.shape)
    log_x, share = np.empty(n_systems), np.empty(n_systems)
    for g in range(n_grains):
        for k in range(n_draws):
            for j in range(n_points):
                _point(
                    tau[g, k], variation[g, j], log_strength, exponent, is_polar, spread, floor, log_x, share
                )
                for s in range(n_systems):
                    found[g, k, s] += share[s] / n_points
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
    outer: NDArray,
) -> tuple[NDArray, NDArray, NDArray, float]:
    n_grains, n_draws, n_systems = tau.shape
    n_points = variation.shape[1]
    by_tau = np.zeros(tau.shape)
    by_strength, by_exponent, by_spread = np.zeros(n_systems), np.zeros(n_systems), 0.0
    log_x, share = np.empty(n_systems), np.empty(n_systems)
    for g in range(n_grains):
        for k in range(n_draws):
            for j in range(n_points):
                _point(
                    tau[g, k], variation[g, j], log_strength, exponent, is_polar, spread, floor, log_x, share
                )
                mean = 0.0
                for s in range(n_systems):
                    mean += share[s] * outer[g, k, s]
                for s in range(n_systems):
                    if share[s] == 0.0:
                        continue
                    q = share[s] * (outer[g, k, s] - mean) / n_points
                    by_exponent[s] += q * log_x[s]
                    by_strength[s] -= q * exponent[s]
                    x = tau[g, k, s] + spread * variation[g, j, s]
                    if not is_polar[s] or x > 0:
                        slope = q * exponent[s] * x / (x * x + floor * floor)
                        by_tau[g, k, s] += slope
                        by_spread += slope * variation[g, j, s]
    return by_tau, by_strength, by_exponent, by_spread
