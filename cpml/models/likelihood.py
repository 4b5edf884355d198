"""Likelihood of slip traces and twins that knows what an observation can and cannot tell.

A slip plane p of a grain is active with probability a_p = 1 - exp(-kappa pi_p), leaves one trace if it is also steep
enough (v_p) and not missed (detection d), and that trace shows at its true angle with a normal error. Traces nobody can
explain come at a rate epsilon per grain, at any angle. The likelihood of the observed angles sums over every way in
which planes and false traces can have produced them, each plane at most once:

    L_slip = exp(-epsilon) sum_{assignments A} prod_{p in A} q_p N(theta_A(p) - theta_p; sigma) prod_{p not in A} (1 - q_p)
             prod_{j not in A} epsilon / 180 deg,                                              q_p = d v_p a_p

so the candidates of an ambiguous trace are summed, never picked, and a plane that should have been seen and was not
counts against the model. The sum runs over subsets of the traces of a grain (dynamic programming over planes, exact).
Twin variants are independent trials, P(variant seen) = 1 - exp(-kappa_t pi_v), and count only where the grain was
indexed. The local stress is not known: the likelihood is averaged over draws k of it, L_g = 1/K sum_k L_slip L_twin.

| symbol | meaning | shape |
|---|---|---|
| pi | share of the grain's shear, summed over the systems of a token | (G, K, T) |
| v | 1 if the plane is steep enough to leave a trace | (G, P) |
| kappa, kappa_t, d, epsilon | activity per share, same for twins, detection, false traces per grain | scalars |

Superset (partial-label) learning: Jin & Ghahramani 2003, NeurIPS 15; Liu & Dietterich 2012, NeurIPS 25.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpml.errors import CpmlError

HALF_CIRCLE_DEG = 180.0
MAX_TRACES = 6  # subsets of a grain's traces double with each one
TINY = 1e-12


@dataclass(frozen=True)
class Evidence:
    """Observations of one specimen as tensors; traces of a grain are padded to the largest number J."""

    trace_density: Tensor  # (G, J, P) per degree, 0 where padded
    trace_real: Tensor  # (G, J) float 0/1
    imaged: Tensor  # (G,) bool
    visible: Tensor  # (G, P) float 0/1
    twin: Tensor  # (G, V) 0/1, 0 where unknown
    twin_known: Tensor  # (G, V) float 0/1

    @classmethod
    def of(cls, specimen) -> "Evidence":
        """Collect what was observed in a `Specimen`.

        Raises
        ------
        CpmlError : a grain with more than MAX_TRACES traces
        """
        grain, density = specimen.trace_grain, specimen.trace_density
        count = np.bincount(grain, minlength=len(specimen))
        if count.max(initial=0) > MAX_TRACES:
            worst = specimen.grain_ids[count.argmax()]
            raise CpmlError(
                f"specimen {specimen.name!r}: grain {worst} has {count.max()} slip traces, at most {MAX_TRACES} can be used:"
                " merge parallel lines of one family into one trace"
            )
        order = np.argsort(grain, kind="stable")
        slot = np.arange(len(grain)) - np.r_[0, np.cumsum(count)][grain[order]]
        padded = np.zeros((len(specimen), max(count.max(initial=0), 1), density.shape[1]))
        padded[grain[order], slot] = density[order]
        real = np.arange(padded.shape[1])[None] < count[:, None]
        twin = specimen.twin_observed
        return cls(
            torch.tensor(padded),
            torch.tensor(real.astype(float)),
            torch.tensor(specimen.imaged),
            torch.tensor(specimen.visible.astype(float)),
            torch.tensor(np.nan_to_num(twin)),
            torch.tensor(np.isfinite(twin).astype(float)),
        )

    @property
    def count(self) -> int:
        """Number of observed traces and known variants: zero means that there is nothing to learn from."""
        return int(self.trace_real.sum() + self.twin_known.sum())


@dataclass(frozen=True)
class Detection:
    """Rates of the observation model (symbols in the module docstring)."""

    kappa: Tensor
    kappa_twin: Tensor
    detection: Tensor
    false_rate: Tensor


def token_share(log_activity: Tensor, token: Tensor, n_tokens: int) -> Tensor:
    """Share of the grain's shear on every token: softmax over systems, summed over the systems of a token.

    Parameters
    ----------
    log_activity : (..., S) log of the shear rate
    token : (S,) token of every system

    Returns
    -------
    (..., T), sums to one
    """
    share = torch.softmax(log_activity, dim=-1)
    empty = torch.zeros((*share.shape[:-1], n_tokens), dtype=share.dtype)
    return empty.index_add(-1, token, share)


def activity(share: Tensor, n_planes: int, rates: Detection) -> Tensor:
    """Probability (..., T) that a token is active above the visible limit: slip planes first, then twin variants."""
    slip, twin = share[..., :n_planes], share[..., n_planes:]
    return -torch.expm1(-torch.cat([rates.kappa * slip, rates.kappa_twin * twin], dim=-1))


def log_likelihood(share: Tensor, evidence: Evidence, rates: Detection) -> Tensor:
    """Log-likelihood (G,) of every grain's footprints, averaged over the draws of its stress.

    Parameters
    ----------
    share : (G, K, T) from :func:`token_share`
    """
    n_planes = evidence.visible.shape[1]
    active = activity(share, n_planes, rates)
    seen = rates.detection * active[..., :n_planes] * evidence.visible[:, None, :]
    traces = torch.log(_trace_likelihood(seen, evidence, rates.false_rate) + TINY) - rates.false_rate
    logs = torch.where(evidence.imaged[:, None], traces, torch.zeros_like(traces))
    variant = active[..., n_planes:].clamp(TINY, 1 - TINY)
    bernoulli = torch.where(evidence.twin[:, None, :] > 0, torch.log(variant), torch.log1p(-variant))
    logs = logs + (bernoulli * evidence.twin_known[:, None, :]).sum(-1)
    return torch.logsumexp(logs, dim=1) - np.log(share.shape[1])


def _trace_likelihood(seen: Tensor, evidence: Evidence, false_rate: Tensor) -> Tensor:
    """(G, K) sum over all assignments of traces to planes; state = subset of traces already explained.

    ``mass[..., m]`` holds the summed probability of all ways to explain exactly the traces in bit mask m by the planes
    visited so far.
    """
    n_traces = evidence.trace_density.shape[1]
    masks = torch.arange(2**n_traces)
    without = [masks[(masks >> j) % 2 == 0] for j in range(n_traces)]
    mass = torch.zeros((*seen.shape[:2], 2**n_traces), dtype=seen.dtype)
    mass[..., 0] = 1.0
    for p in range(seen.shape[-1]):
        q = seen[..., p, None]
        grown = (1 - q) * mass
        for j in range(n_traces):
            step = q * evidence.trace_density[:, j, p, None, None] * mass[..., without[j]]
            grown = grown.index_add(-1, without[j] + 2**j, step)
        mass = grown
    # what no plane explains is a false trace; a padded slot must stay unexplained and costs nothing
    taken = (masks[:, None] >> torch.arange(n_traces)) % 2
    real = evidence.trace_real[:, None, :]
    free = torch.where(real > 0, false_rate / HALF_CIRCLE_DEG, torch.ones_like(real))
    weight = torch.where(taken == 1, real, free).prod(-1)
    return (mass * weight[:, None, :]).sum(-1)
