"""Draws of the local stress where a grain's footprints say it is, weighted back to the prior.

The likelihood of a grain is a mean over draws eta of its unexplained stress. Footprints leave only a part of
the five-dimensional space; draws from the prior rarely hit it, and the logarithm of a mean of few hits is too
low, the more so the sharper the law: strengths of rare families then come out high and n low. So the part is
found first, by many draws r = softmax_k log L(eta_k), and sampled:

    q = (1 - a) N(mu_g, C_g) + a N(0, I),    L_g = 1/K sum_k w_k L(eta_k),    w_k = N(eta_k; 0, I) / q(eta_k)

with mu_g and C_g the mean and covariance of eta under r (C_g widened and drawn to I where few
draws count). The mixture keeps every weight below 1 / a. Unbiased for every parameter value; best
where the adaptation was made.

Reference: Owen & Zhou 2000, J. Am. Stat. Assoc. 95:135 (safe importance sampling).
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cpml.models.coupled.likelihood import per_draw
from cpml.models.coupled.posterior import Forward
from cpml.models.coupled.prior import rates
from cpml.models.mechanics.localisation import stress_draws

LOOK = 512  # draws that search
INFLATION = 1.3  # of the covariance: tails must be sampled, not cut
SHRINK = 4.0  # draws' worth of identity in the covariance


def adapt(data: Forward, theta: dict[str, Tensor], head, *, gate: float, n_draws: int, seed: int) -> Forward:
    """The same specimen with draws of its own for every grain, made for the parameters ``theta``.

    ``n_draws`` come from N(mu_g, C_g) and a quarter as many from the prior, so a = 1/5.
    """
    frame = data.medium.frame
    looking = replace(data, medium=replace(data.medium, draws=_prior(LOOK, seed + 1, frame), log_weight=None))
    with torch.no_grad():
        active, _ = looking.active(theta, head, gate=gate)
        belief = torch.softmax(per_draw(active, data.evidence, rates(theta)), dim=1)
    # two sets of their own: every fourth point of one quasi-random set would lie in one corner of the space
    narrow, wide = _prior(n_draws, seed, frame), _prior(max(n_draws // 4, 2), seed + 2, frame)
    draws, log_weight = _mixture(belief, looking.medium.draws, narrow, wide)
    return replace(data, medium=replace(data.medium, draws=draws, log_weight=log_weight))


def _prior(n: int, seed: int, frame: Tensor) -> Tensor:
    return torch.as_tensor(stress_draws(n, seed)) @ frame.T


def _mixture(belief: Tensor, eta: Tensor, narrow: Tensor, wide: Tensor) -> tuple[Tensor, Tensor]:
    """Draws (G, K, 5) of the mixture from standard ones for its two parts, and log w (G,
    K); belief (G, L) on eta (L, 5).
    """
    mean = belief @ eta
    apart = eta[None] - mean[:, None]
    covariance = torch.einsum("gl,gli,glj->gij", belief, apart, apart)
    count = 1.0 / (belief**2).sum(1)[:, None, None]  # draws that count
    identity = torch.eye(5, dtype=eta.dtype)
    covariance = INFLATION * (count * covariance + SHRINK * identity) / (count + SHRINK)
    value, vector = torch.linalg.eigh(covariance)
    # the symmetric root turns with the specimen; a triangular one would not
    root = (vector * value.sqrt()[:, None, :]) @ vector.mT
    local = mean[:, None] + narrow @ root
    draws = torch.cat([local, wide.expand(len(mean), -1, -1)], dim=1)
    inside = (draws - mean[:, None]) @ vector / value.sqrt()[:, None, :]
    log_prior = -0.5 * (draws**2).sum(-1)
    log_local = -0.5 * (inside**2).sum(-1) - 0.5 * value.log().sum(1)[:, None]
    share = len(wide) / draws.shape[1]
    mixed = torch.logaddexp(log_local + np.log1p(-share), log_prior + np.log(share))
    return draws, log_prior - mixed
