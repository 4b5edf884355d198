"""Draws adapted to footprints: weights lead back to the prior, and the likelihood needs fewer of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.synthetic import synthetic_specimen
from cpml.models import CoupledClassifier
from cpml.models.coupled.adapted_draws import adapt, mixture, with_prior_draws
from cpml.models.coupled.likelihood import log_likelihood
from cpml.models.mechanics.localisation import stress_draws


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def test_weights_lead_back_to_the_prior():
    """Under any belief, weighted draws have mass 1, mean 0 and covariance I (5120
    quasi-random draws: a few percent).
    """
    eta, narrow, wide = (torch.tensor(stress_draws(n, seed)) for n, seed in ((512, 1), (4096, 0), (1024, 2)))
    logit = torch.stack(
        [3.0 * eta[:, 0], -4.0 * (eta[:, 1] - 1.0) ** 2, torch.zeros(len(eta), dtype=torch.float64)]
    )
    draws, log_weight = mixture(torch.softmax(logit, 1), eta, narrow, wide)
    weight = log_weight.exp()
    assert weight.max() <= 5 + 1e-9  # one draw in five is from the prior
    assert weight.mean(1).numpy() == pytest.approx(np.ones(3), abs=0.03)
    mean = torch.einsum("gk,gki->gi", weight, draws) / draws.shape[1]
    spread = torch.einsum("gk,gki,gkj->gij", weight, draws, draws) / draws.shape[1]
    assert mean.abs().max() < 0.06 and (spread - torch.eye(5)).abs().max() < 0.15


def test_adapted_draws_take_the_bias_away():
    """Log-likelihood of 200 grains under a sharp law, mean over five sets of 128 draws,
    against 8192 draws of the prior.

    With the prior alone the mean over few draws misses what footprints need, and its logarithm is too low:
    measured 2.6 nats, with adapted draws 0.4.
    """
    specimen = synthetic_specimen(200, seed=2).specimen
    model = CoupledClassifier(residual=False, scheme="sachs", edges=False, n_draws=16).fit([specimen])
    data, theta = model.forward(specimen)
    rates = replace(
        theta.rates,
        steepness=number(8.0),
        slip_limit=0.1 * number(np.exp(data.log_mean_shear)),
        outlier=number(1e-3),
        detection=number(0.85),
        false_rate=number(0.03),
    )
    theta = replace(theta, n=number(20.0), scatter=number(0.15), variation=number(1e-6), rates=rates)

    def total(forward):
        with torch.no_grad():
            sheared = forward.at(theta)
            logs = log_likelihood(sheared.active, forward.evidence, rates, sheared.log_weight)
            return float(logs.sum())

    def plain(seed):
        return with_prior_draws(data, 128, seed)

    def adapted(seed):
        return adapt(data, theta, n_draws=128, seed=seed)

    truth = total(with_prior_draws(data, 8192, 7))
    few, ours = (np.mean([total(draws(seed)) for seed in range(5)]) for draws in (plain, adapted))
    assert few < truth - 1.0 and abs(ours - truth) < 0.5 * abs(few - truth)
