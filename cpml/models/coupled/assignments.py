"""Sum over every way in which planes and false traces can have produced the traces of a grain.

    L = sum_{assignments A} prod_{p in A} q_p N_pj(p) prod_{p not in A} (1 - q_p (1 - c_p)) w^(J - |A|)

Each plane explains at most one trace and each trace has at most one plane; what no plane explains is false
(weight w). Planes are visited one after the other; state m, a bit mask, is the set of traces explained so
far, and a plane leads from m to m or to m with one trace more, so the sum takes P 2^J J steps in place of
(P + 1)^J. The slope follows from the same steps backwards (adjoint b of the masses a):

    a_0 = [m empty],   a_p = (1 - q_p (1 - c_p)) a_{p-1} + q_p sum_{j in m} N_pj a_{p-1}(m - j),
    dL/dq_p = sum_m b_p(m) (sum_{j in m} N_pj a_{p-1}(m - j) - (1 - c_p) a_{p-1}(m)),   b_P = w^(J - |m|)

| symbol | meaning | shape |
|---|---|---|
| q | probability that a plane leaves a trace | (G, K, P) |
| N | density of each trace under each plane, per degree | (G, J, P) |
| c | 1 where an active plane would be recorded together with an observed trace | (G, P) |
| w | rate of false traces per degree | scalar |

Source: the permanent of a matrix by dynamic programming over subsets; Ryser 1963, Combinatorial Mathematics,
ch. 2; adjoint: Griewank & Walther 2008, Evaluating Derivatives, ch. 3.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.compiled import compiled


def assignment_sum(seen: Tensor, density: Tensor, covered: Tensor, false_density: Tensor) -> Tensor:
    """L (G, K) with slopes in ``seen`` q (G, K, P) and ``false_density`` w (); N (G, J, P), c (G, P)."""
    return _AssignmentSum.apply(seen, density, covered, false_density)


class _AssignmentSum(torch.autograd.Function):
    """The compiled sum as an operation of torch."""

    @staticmethod
    def forward(ctx, seen: Tensor, density: Tensor, covered: Tensor, false_density: Tensor) -> Tensor:
        q, n, c = (x.detach().numpy() for x in (seen, density, covered))
        found = _sum_and_slopes(q, n, c, float(false_density))
        total, slope, slope_false = (torch.from_numpy(x) for x in found)
        ctx.save_for_backward(slope, slope_false)
        return total

    @staticmethod
    def backward(ctx, outer: Tensor):
        slope, slope_false = ctx.saved_tensors
        return outer[..., None] * slope, None, None, (outer * slope_false).sum()


@compiled
def _sum_and_slopes(
    seen: NDArray, density: NDArray, covered: NDArray, false_density: float
) -> tuple[NDArray, NDArray, NDArray]:
    """L (G, K), dL/dq (G, K, P), dL/dw (G, K)."""
    n_grains, n_draws, n_planes = seen.shape
    n_traces = density.shape[1]
    n_states = 1 << n_traces
    total, slope_false = np.zeros((n_grains, n_draws)), np.zeros((n_grains, n_draws))
    slope = np.zeros(seen.shape)
    unexplained = np.zeros(n_states, np.int64)
    for m in range(n_states):
        for j in range(n_traces):
            unexplained[m] += 1 - ((m >> j) & 1)
    mass = np.zeros((n_planes + 1, n_states))
    came = np.zeros((n_planes, n_states))
    adjoint, before = np.zeros(n_states), np.zeros(n_states)
    for g in range(n_grains):
        for k in range(n_draws):
            mass[0, 0] = 1.0
            for p in range(n_planes):
                q = seen[g, k, p]
                keep = 1.0 - q * (1.0 - covered[g, p])
                for m in range(n_states):
                    came[p, m] = 0.0
                    for j in range(n_traces):
                        if (m >> j) & 1:
                            came[p, m] += density[g, j, p] * mass[p, m ^ (1 << j)]
                    mass[p + 1, m] = keep * mass[p, m] + q * came[p, m]
            for m in range(n_states):
                adjoint[m] = false_density ** unexplained[m]
                total[g, k] += mass[n_planes, m] * adjoint[m]
                if unexplained[m]:
                    power = unexplained[m] - 1
                    slope_false[g, k] += mass[n_planes, m] * unexplained[m] * false_density**power
            for p in range(n_planes - 1, -1, -1):
                q = seen[g, k, p]
                keep = 1.0 - q * (1.0 - covered[g, p])
                for m in range(n_states):
                    slope[g, k, p] += adjoint[m] * (came[p, m] - (1.0 - covered[g, p]) * mass[p, m])
                    before[m] = keep * adjoint[m]
                    for j in range(n_traces):
                        if not (m >> j) & 1:
                            before[m] += q * density[g, j, p] * adjoint[m ^ (1 << j)]
                adjoint, before = before, adjoint
    return total, slope, slope_false
