"""What the footprints leave open of each strength ratio: its density along the ridge of the posterior.

A family that hardly acts shows no upper limit of its strength, only a lower one, and the posterior of its
ratio has one steep and one long side; a normal distribution about the maximum is wrong on both. The density
of a ratio rho = c . theta is therefore followed along the line on which all other parameters have their
conditional mean under Laplace's approximation,

    theta(t) = theta* + t C c / (c . C c),      log p(rho* + t) = log posterior(theta(t)) + const

and its quantiles are read off. Exact where the posterior is normal, with other parameters marginalised; the
change of their volume along the line is neglected (Rue, Martino & Chopin 2009, J. R. Stat. Soc. B 71:319).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cpml.intervals import NINETY_PERCENT
from cpml.models.coupled.posterior import Posterior
from cpml.models.coupled.prior import Prior

STEP = 0.75
"""Standard deviations of Laplace's approximation from point to point of the line."""
DEPTH = 6.0
"""Nats below the maximum to which the line is followed: 0.05 % of the density lies beyond."""
MOST_STEPS = 16
"""On either side: a side that is still no lower ends where the prior ends it."""
QUANTILES = (0.05, 0.5, 0.95)


def ratio_quantiles(posterior: Posterior, vector: torch.Tensor, covariance: NDArray) -> NDArray:
    """(K, 3) 5 %, 50 % and 95 % quantiles of the log strength ratios to the reference; 0 for itself.

    Parameters
    ----------
    vector : of the maximum; covariance : Laplace's, of the base parameters
    """
    prior = posterior.prior
    k, ref = len(prior.families), prior.reference
    found = np.zeros((k, 3))
    for family in range(k):
        if family == ref:
            continue
        contrast = np.zeros(len(prior.names))
        contrast[family], contrast[ref] = 1.0, -1.0
        along = covariance @ contrast
        variance = float(contrast @ along)
        if variance <= 0:
            found[family] = contrast @ vector[: len(prior.names)].numpy()
            continue
        where, log_density = _followed(posterior, vector, along / variance, np.sqrt(variance))
        start = float(contrast @ vector[: len(prior.names)].numpy())
        found[family] = start + _quantiles(where, log_density)
    return found


def normal_quantiles(prior: Prior, vector: torch.Tensor, covariance: NDArray) -> NDArray:
    """(K, 3) the same of a normal density."""
    k, ref = len(prior.families), prior.reference
    contrast = np.eye(k) - np.eye(k)[ref]
    middle = contrast @ vector[:k].numpy()
    sd = np.sqrt(np.einsum("ij,jk,ik->i", contrast, covariance[:k, :k], contrast).clip(min=0))
    return middle[:, None] + NINETY_PERCENT * sd[:, None] * np.array([-1.0, 0.0, 1.0])


def sampled_quantiles(prior: Prior, draws: NDArray) -> NDArray:
    """(K, 3) the same of draws (N, P) from the posterior."""
    k = len(prior.families)
    log_ratio = draws[:, :k] - draws[:, [prior.reference]]
    return np.quantile(log_ratio, QUANTILES, axis=0).T


def _followed(
    posterior: Posterior, vector: torch.Tensor, direction: NDArray, sd: float
) -> tuple[NDArray, NDArray]:
    """Places along the line and the log posterior there, relative to the maximum."""
    step = torch.zeros_like(vector)
    step[: len(direction)] = torch.tensor(direction)

    def height(t: float) -> float:
        with torch.no_grad():
            return -float(posterior.cost(vector + t * step))

    peak = height(0.0)
    known = {0.0: 0.0}
    for side in (-1, 1):
        for j in range(1, MOST_STEPS + 1):
            t = side * j * STEP * sd
            known[t] = height(t) - peak
            if known[t] < -DEPTH:
                break
    where = np.array(sorted(known))
    return where, np.array([known[t] for t in where])


def _quantiles(where: NDArray, log_density: NDArray) -> NDArray:
    """Of the density between and, as its slope there goes on, at the ends of a line."""
    fine = np.linspace(where[0], where[-1], 2001)
    smooth = PchipInterpolator(where, log_density)(fine)
    mass = np.cumsum(np.exp(smooth - smooth.max()))
    return np.interp(QUANTILES, mass / mass[-1], fine)
