"""Shear shared out inside a grain, and draws that a crystal at yield can have."""

import numpy as np
import pytest
import torch

from cpml.models.coupled.at_yield import BEYOND_MEAN, log_weights
from cpml.models.coupled.within_grain import shares_within
from cpml.plasticity.laws import flow

POLAR = torch.tensor([False, False, False, True])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape))


def shares(tau, variation, spread, log_strength, exponent):
    spread = torch.as_tensor(spread, dtype=torch.float64)
    return shares_within(tau, variation, spread, log_strength, exponent, POLAR, floor=1e-3)


def test_without_variation_it_is_the_flow_rule_of_the_mean_stress():
    """r = 0: shares of |tau / xi|^n, twins only where tau > 0."""
    tau, log_strength = drawn(3, 5, 4).abs() + 0.1, drawn(4, seed=1) * 0.3
    tau[..., 3] *= -1
    exponent = torch.tensor([5.0, 5.0, 5.0, 7.0], dtype=torch.float64)
    found = shares(tau, drawn(3, 8, 4, seed=2), 0.0, log_strength, exponent)
    x = flow.relative_stress(tau, log_strength.exp(), POLAR)
    # an unloaded twin keeps the floor's share: (1e-3 / 0.1)^7 and less
    np.testing.assert_allclose(found[..., :3], flow.shares(x, 5.0)[..., :3], rtol=1e-3)
    assert float(found[..., 3].max()) < 1e-9


def test_shares_are_a_mean_over_points():
    """Two points of opposite variation: the mean of the laws of both stresses; shares add up to one."""
    tau, b = drawn(2, 1, 4), drawn(2, 1, 4, seed=3)
    pair = torch.cat([b, -b], dim=1)
    exponent, log_strength = torch.full((4,), 6.0, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    both = shares(tau, pair, 0.4, log_strength, exponent)
    alone = [shares(tau + 0.4 * x, b, 0.0, log_strength, exponent) for x in (b, -b)]
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=1e-12)
    np.testing.assert_allclose(both.sum(-1), 1.0, atol=1e-12)


def test_slopes_are_those_of_differences():
    """By stress, variation, strengths and exponents, against torch's difference quotients."""
    inputs = (
        drawn(2, 3, 4).requires_grad_(),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
        (0.3 * drawn(4, seed=4)).requires_grad_(),
        (drawn(4, seed=5).abs() + 3).requires_grad_(),
    )
    b = drawn(2, 6, 4, seed=6)
    assert torch.autograd.gradcheck(
        lambda tau, r, xi, n: shares_within(tau, b, r, xi, n, POLAR, floor=1e-2), inputs
    )


def test_weights_are_the_density_of_the_shell_over_that_of_rays():
    """In the plane of two systems |x| and |y| with n -> infinity the shell is a square; draws of an isotropic
    normal law, weighed, have on each of its sides the mass of the normal density there, by quadrature.
    """
    rng = np.random.default_rng(0)
    mean = np.array([1.0, 0.5])
    draws = torch.tensor(mean + 0.3 * rng.standard_normal((200_000, 2)))[None]
    root = torch.eye(2, dtype=torch.float64)[None] / 0.3
    log_size = draws.abs().amax(-1).log()
    # X of the mean is 1: c = BEYOND_MEAN
    logs = log_weights(draws, torch.tensor(mean)[None], root, log_size, torch.zeros(1, dtype=torch.float64))
    # the weights are made for five dimensions: in two, rho^2 and 1 / r stand for rho^5 and 1 / r^4
    log_rho = np.log(BEYOND_MEAN) - log_size
    r = (draws @ torch.tensor(mean)) / (draws**2).sum(-1)
    logs = logs - 3 * log_rho + 3 * torch.log(r.clamp(min=0.05))
    weight = logs.exp()[0].numpy()
    on_right = (draws[0, :, 0].abs() >= draws[0, :, 1].abs()).numpy()
    y = np.linspace(-BEYOND_MEAN, BEYOND_MEAN, 2001)

    def density(a, b):
        return np.exp(-((a - mean[0]) ** 2 + (b - mean[1]) ** 2) / (2 * 0.3**2))

    # thickness of the shell along the ray, times the side: rho^2 d(angle) = c dy for both sides
    right, top = density(BEYOND_MEAN, y).sum(), density(y, BEYOND_MEAN).sum()
    share = weight[on_right].sum() / weight.sum()
    # Laplace's integral along the ray and 200,000 draws: two percent
    assert share == pytest.approx(right / (right + top), abs=0.02)


def test_weights_do_not_know_the_frame():
    """Turning stresses, means and covariances together changes nothing."""
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))
    turn = torch.tensor(turn)
    stress, mean, half = drawn(2, 7, 5), drawn(2, 5, seed=1), drawn(2, 5, 5, seed=2)
    root = half @ half.mT
    log_size, log_mean = 0.1 * drawn(2, 7, seed=3), 0.1 * drawn(2, seed=4)
    before = log_weights(stress, mean, root, log_size, log_mean)
    after = log_weights(stress @ turn.T, mean @ turn.T, turn @ root @ turn.T, log_size, log_mean)
    np.testing.assert_allclose(after, before, atol=1e-9)
