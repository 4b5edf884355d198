"""Likelihood of slip traces and twins that knows what an observation can and cannot tell.

A trace on a surface has an angle; several planes may explain it. The traces of a grain are a Poisson process on the
half circle whose intensity sums over all slip planes p, plus a uniform floor of false traces:

    Lambda(theta) = kappa sum_p v_p pi_p N(theta - theta_p; sigma_p) + epsilon / 180 deg
    log L_slip    = sum_j log Lambda(theta_j) - kappa sum_p v_p pi_p - epsilon

so the candidates of a trace are summed, never picked; a plane that should have been seen and was not counts against
the model (the second term); and P(plane seen) = 1 - exp(-kappa pi_p). Twin variants are independent Bernoulli trials
with the same form, P(variant seen) = 1 - exp(-kappa_t pi_v), and count only where the grain was indexed.
The local stress of a grain is not known: the likelihood is averaged over draws k of it,

    L_g = 1/K sum_k L_slip(pi_gk) L_twin(pi_gk)

| symbol | meaning | shape |
|---|---|---|
| pi | share of the grain's shear, summed over the systems of a token | (G, K, T) |
| v | 1 if the plane is steep enough to leave a trace | (G, P) |
| kappa, kappa_t, epsilon | expected traces per unit share, same for twins, false traces per grain | scalars |

Superset (partial-label) learning: Jin & Ghahramani 2003, NeurIPS 15; Liu & Dietterich 2012, NeurIPS 25.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

HALF_CIRCLE_DEG = 180.0


@dataclass(frozen=True)
class Evidence:
    """Observations of one specimen as tensors (shapes in the module docstring)."""

    trace_grain: Tensor  # (J,) long
    trace_density: Tensor  # (J, P) per degree
    imaged: Tensor  # (G,) bool
    visible: Tensor  # (G, P) float 0/1
    twin: Tensor  # (G, V) 0/1, 0 where unknown
    twin_known: Tensor  # (G, V) float 0/1

    @classmethod
    def of(cls, specimen) -> "Evidence":
        """Collect what was observed in a `Specimen`."""
        twin = specimen.twin_observed
        return cls(
            torch.as_tensor(specimen.trace_grain),
            torch.as_tensor(specimen.trace_density),
            torch.as_tensor(specimen.imaged),
            torch.as_tensor(specimen.visible.astype(float)),
            torch.as_tensor(np.nan_to_num(twin)),
            torch.as_tensor(np.isfinite(twin).astype(float)),
        )

    @property
    def count(self) -> int:
        """Number of observed traces and known variants: zero means that there is nothing to learn from."""
        return int(len(self.trace_grain) + self.twin_known.sum())

    @property
    def grains(self) -> Tensor:
        """(G,) bool, grains that carry any observation."""
        return self.imaged | (self.twin_known.sum(-1) > 0)


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
    shape = (*share.shape[:-1], n_tokens)
    return torch.zeros(shape, dtype=share.dtype).index_add(-1, token, share)


def log_likelihood(share: Tensor, evidence: Evidence, *, kappa: Tensor, kappa_twin: Tensor, false_rate: Tensor) -> Tensor:
    """Log-likelihood (G,) of every grain's footprints, averaged over the draws of its stress.

    Parameters
    ----------
    share : (G, K, T) from :func:`token_share`
    """
    n_planes = evidence.visible.shape[1]
    slip, twin = share[..., :n_planes], share[..., n_planes:]
    seen = kappa * slip * evidence.visible[:, None, :]
    intensity = torch.einsum("jkp,jp->jk", seen[evidence.trace_grain], evidence.trace_density)
    per_trace = torch.log(intensity + false_rate / HALF_CIRCLE_DEG)
    logs = torch.zeros(share.shape[:2], dtype=share.dtype).index_add(0, evidence.trace_grain, per_trace)
    logs = logs - torch.where(evidence.imaged[:, None], seen.sum(-1) + false_rate, 0.0)
    expected = kappa_twin * twin
    # log(1 - exp(-x)) through expm1; the floor keeps a variant that no draw explains from costing infinity
    log_seen = torch.log(-torch.expm1(-expected) + 1e-6)
    bernoulli = torch.where(evidence.twin[:, None, :] > 0, log_seen, -expected)
    logs = logs + (bernoulli * evidence.twin_known[:, None, :]).sum(-1)
    return torch.logsumexp(logs, dim=1) - np.log(share.shape[1])


def detection_probability(share: Tensor, n_planes: int, *, kappa: Tensor, kappa_twin: Tensor) -> Tensor:
    """Probability (G, T) that a token is active above the visible limit, averaged over the draws of the stress."""
    rate = torch.cat([kappa * share[..., :n_planes], kappa_twin * share[..., n_planes:]], dim=-1)
    return (-torch.expm1(-rate)).mean(dim=1)
