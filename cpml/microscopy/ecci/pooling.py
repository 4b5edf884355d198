"""Lines of one grain together: they share its unknown frequencies of modes.

    f ~ Dirichlet(A prior),   m_r ~ f,   P(m_r | all) = E_r,m mean over draws of [c_m / sum_m E_r,m c_m]
    c_m = n_m + A prior_m,    n_m the number of the other lines drawn to mode m

f is integrated out; modes of all lines are drawn in turn given those of the others (collapsed Gibbs
sampling), and the concentration A, which says whether a grain slips on few systems or on many, among a grid
of values by its likelihood

    P(n | A) = Gamma(A) / Gamma(N + A) prod_m Gamma(n_m + A prior_m) / Gamma(A prior_m)

Frequencies are those among lines that are recorded: E is divided by the probability that a line of the mode
is recorded at all. A mode that is seldom seen is not rare for that.

Neal 2000, J. Comput. Graph. Stat. 9:249 (the sampler, for known components).
"""

import math

import numpy as np
from numpy.typing import NDArray

from cpml.compiled import compiled

CHAINS, SWEEPS, BURN_IN = 12, 60, 20
CONCENTRATIONS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0)


def pooled_prior(evidence: NDArray, prior: NDArray, *, seed: int = 0) -> NDArray:
    """(R, M) what the other lines of the grain say of the mode of each line: times its evidence, and divided
    by the sum, its posterior.

    Parameters
    ----------
    evidence : (R, M) of the first mode of every line, any scale in each row
    prior : (M,) sum 1
    """
    rng = np.random.default_rng(seed)
    scaled = evidence / evidence.max(1, keepdims=True)
    drawn = rng.random((CHAINS, SWEEPS + 1, len(scaled) + 1))
    grid = np.array(CONCENTRATIONS)
    return np.sum([_sampled(scaled, prior, grid, one, BURN_IN) for one in drawn], axis=0)


@compiled
def _sampled(evidence: NDArray, prior: NDArray, grid: NDArray, drawn: NDArray, burn_in: int) -> NDArray:
    n_lines, n_modes = evidence.shape
    count = np.zeros(n_modes)
    mode = np.zeros(n_lines, np.int64)
    chance = np.zeros(n_modes)
    for r in range(n_lines):
        mode[r] = np.searchsorted(np.cumsum(evidence[r] * prior), drawn[0, r] * (evidence[r] @ prior))
        mode[r] = min(mode[r], n_modes - 1)
        count[mode[r]] += 1
    result = np.zeros((n_lines, n_modes))
    concentration = grid[-1]
    logs = np.zeros(len(grid))
    for sweep in range(1, len(drawn)):
        for r in range(n_lines):
            count[mode[r]] -= 1
            total = 0.0
            for m in range(n_modes):
                chance[m] = evidence[r, m] * (count[m] + concentration * prior[m])
                total += chance[m]
            if sweep > burn_in:
                for m in range(n_modes):
                    result[r, m] += (count[m] + concentration * prior[m]) / total
            left = drawn[sweep, r] * total
            chosen = n_modes - 1
            for m in range(n_modes):
                left -= chance[m]
                if left <= 0.0:
                    chosen = m
                    break
            mode[r] = chosen
            count[chosen] += 1
        for k in range(len(grid)):
            a = grid[k]
            log = math.lgamma(a) - math.lgamma(n_lines + a)
            for m in range(n_modes):
                log += math.lgamma(count[m] + a * prior[m]) - math.lgamma(a * prior[m])
            logs[k] = log
        weight = np.exp(logs - logs.max())
        left = drawn[sweep, n_lines] * weight.sum()
        for k in range(len(grid)):
            left -= weight[k]
            if left <= 0.0:
                concentration = grid[k]
                break
    return result
