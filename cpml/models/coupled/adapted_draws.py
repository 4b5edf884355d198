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
from cpml.models.coupled.prior import Theta
from cpml.models.mechanics.localisation import Localisation, stress_draws
from cpml.models.numerics import STANDARD, Numerics


def adapt(data: Forward, theta: Theta, *, n_draws: int, seed: int) -> Forward:
    """The same specimen with draws of its own for every grain, made for the parameters ``theta``.

    ``n_draws`` come from N(mu_g, C_g), and so many from the prior that their
    share a is `Numerics.prior_share`.
    """
    localisation, numerics = data.localisation, data.localisation.numerics
    looking = with_prior_draws(data, numerics.looking_draws, seed + 1)
    with torch.no_grad():
        sheared = looking.at(theta)
        logs, told = per_draw(sheared.found, data.evidence, theta.rates), looking.told(sheared, theta)
        logs = logs + sheared.log_weight if told is None else logs + sheared.log_weight + told
        belief = torch.softmax(logs, dim=1)
    # two sets of their own: every fourth point of one quasi-random set would lie in one corner of the space
    n_wide = max(int(n_draws * numerics.prior_share / (1 - numerics.prior_share)), 2)
    narrow, wide = prior_draws(localisation, n_draws, seed), prior_draws(localisation, n_wide, seed + 2)
    draws, log_weight = mixture(belief, looking.localisation.draws, narrow, wide, numerics)
    return replace(data, localisation=replace(localisation, draws=draws, log_weight=log_weight))


def with_prior_draws(data: Forward, n: int, seed: int) -> Forward:
    """The same specimen with ``n`` draws from the prior, the same for all grains."""
    draws = prior_draws(data.localisation, n, seed)
    return replace(data, localisation=replace(data.localisation, draws=draws, log_weight=None))


def prior_draws(localisation: Localisation, n: int, seed: int) -> Tensor:
    """(n, 5) standard normal draws that turn with the specimen."""
    return torch.as_tensor(stress_draws(n, seed)) @ localisation.frame.T


def mixture(
    belief: Tensor, eta: Tensor, narrow: Tensor, wide: Tensor, numerics: Numerics = STANDARD
) -> tuple[Tensor, Tensor]:
    """Draws (G, K, 5) of the mixture q and log w (G, K).

    Parameters
    ----------
    belief : (G, L) weights, sum 1, on the draws eta (L, 5) that looked
    narrow, wide : standard normal draws (N, 5) for the adapted part, and for the part from the prior
    """
    mean = belief @ eta
    apart = eta[None] - mean[:, None]
    covariance = torch.einsum("gl,gli,glj->gij", belief, apart, apart)
    count = 1.0 / (belief**2).sum(1)[:, None, None]  # draws that count
    few, identity = numerics.identity_draws, torch.eye(5, dtype=eta.dtype)
    covariance = numerics.inflation * (count * covariance + few * identity) / (count + few)
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
