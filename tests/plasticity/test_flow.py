"""The flow rule in closed form, the same for numpy and torch, and the compiled kernels held to it."""

import numpy as np
import pytest
import torch

from cpml.crystallography import random_quaternions
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import rotation_5x5
from cpml.plasticity import PowerLaw
from cpml.plasticity.crystal.kernels import solve_grains
from cpml.plasticity.laws import flow
from support.phases import MG, MG_STRENGTHS

EXPONENTS = [1.0, 2.5, 7.0, 20.0]
XI = MG_STRENGTHS[MG.family]
TAU = np.random.default_rng(0).normal(0, 40, (50, len(MG)))


def test_one_at_the_strength():
    """Slip and twins move with the reference rate at tau = xi, slip with its
    negative at -xi, twins not at all.
    """
    rate, slope = flow.rates(
        np.array([10.0, -10.0, 10.0, -10.0]), 10.0, np.array([0, 0, 1, 1], bool), 5.0, 2e-3
    )
    assert rate == pytest.approx([2e-3, -2e-3, 2e-3, 0])
    assert slope == pytest.approx([5 * 2e-3 / 10] * 3 + [0])


@pytest.mark.parametrize("n", EXPONENTS)
def test_power_and_slope(n):
    """rate = rate0 |x|^n sgn x; the slope equals central differences (1e-6) and is finite at rest."""
    rate, slope = flow.rates(TAU, XI, MG.twin, n, 1e-3)
    x = flow.relative_stress(TAU, XI, MG.twin)
    assert rate == pytest.approx(1e-3 * np.sign(x) * np.abs(x) ** n, rel=1e-12)
    h = 1e-5 * XI
    up, down = (flow.rates(TAU + s * h, XI, MG.twin, n, 1e-3)[0] for s in (1, -1))
    assert slope == pytest.approx((up - down) / (2 * h), rel=1e-6, abs=1e-8 * np.abs(slope).max())
    at_rest = flow.rates(0 * TAU, XI, MG.twin, n, 1e-3)[1]
    assert np.isfinite(at_rest).all() and (at_rest[:, MG.twin] == 0).all()


@pytest.mark.parametrize("n", EXPONENTS)
def test_numpy_equals_torch(n):
    """Every function gives arrays of numbers and tensors of the same numbers."""
    tensors = (torch.as_tensor(TAU), torch.as_tensor(XI), torch.as_tensor(MG.twin))
    for one, two in zip(flow.rates(TAU, XI, MG.twin, n, 1e-3), flow.rates(*tensors, n, 1e-3), strict=True):
        assert two.numpy() == pytest.approx(one, rel=1e-13)
    x = flow.relative_stress(TAU, XI, MG.twin)
    assert flow.relative_stress(*tensors).numpy() == pytest.approx(x)
    assert flow.shares(torch.as_tensor(x), n).numpy() == pytest.approx(flow.shares(x, n), rel=1e-13)


def test_shares():
    """They add up to one and do not depend on the size of the stress; nothing loaded, nothing shared."""
    x = flow.relative_stress(TAU, XI, MG.twin)
    assert flow.shares(x, 20.0).sum(-1) == pytest.approx(1)
    assert flow.shares(1e-9 * x, 20.0) == pytest.approx(flow.shares(x, 20.0))
    assert flow.shares(0 * x, 20.0).sum() == 0
    rate, _ = flow.rates(TAU, XI, MG.twin, 5.0, 1.0)
    assert flow.shares(x, 5.0) == pytest.approx(np.abs(rate) / np.abs(rate).sum(-1, keepdims=True))


def test_log_activity():
    """n log |x| of loaded systems; below the floor smooth, with a finite slope at rest."""
    tau = torch.tensor([8.0, -8.0, -8.0, 0.0], dtype=torch.float64, requires_grad=True)
    log_xi, polar = (
        torch.full((4,), 10.0, dtype=torch.float64).log(),
        torch.tensor([False, False, True, False]),
    )
    value = flow.log_activity(tau, log_xi, polar, 20.0, floor=1e-3)
    assert value[:2].tolist() == pytest.approx([20 * np.log(0.8)] * 2, rel=1e-6)
    assert value[2:].tolist() == pytest.approx([20 * np.log(1e-4)] * 2)
    (slope,) = torch.autograd.grad(value.sum(), tau)
    assert torch.isfinite(slope).all() and slope[2:].tolist() == [0, 0]


@pytest.mark.parametrize("exponent", [0, 1, 2, 7, 19, 20, 2.5, 63])
def test_whole_power(exponent):
    """Repeated squaring equals pow."""
    base = np.linspace(0, 1.5, 31)
    for value in (base, torch.as_tensor(base)):
        assert np.asarray(flow.whole_power(value, exponent)) == pytest.approx(base**exponent, rel=1e-13)


@pytest.mark.parametrize("n", EXPONENTS)
def test_compiled_kernels_keep_the_rule(n):
    """Rates and slopes of the compiled loop are those of the flow rule at the stresses that it returns.

    Crystals in a stiff medium under random right sides, so that the stresses are of every direction.
    """
    rng, count, size = np.random.default_rng(1), 40, len(MG)
    turn = rotation_5x5(quaternion_to_matrix(random_quaternions(count, rng)))
    schmid = np.ascontiguousarray(np.swapaxes(MG.schmid5 @ turn.swapaxes(1, 2), 1, 2))
    xi = np.ascontiguousarray(np.tile(XI / XI.mean(), (count, 1)))
    stress, rate, slope = np.zeros((count, 5)), np.empty((count, size)), np.empty((count, size))
    iterations, residual = np.zeros(count, np.int64), np.empty(count)
    solve_grains(
        schmid,
        xi,
        MG.twin,
        n,
        0.5 * np.eye(5),
        rng.normal(0, 2, (count, 5)),
        False,
        1e-10,
        100,
        stress,
        rate,
        slope,
        iterations,
        residual,
        0,
        count,
    )
    assert (iterations > 0).all()
    tau = np.einsum("gis,gi->gs", schmid, stress)
    assert (tau[:, MG.twin] < 0).any()
    for compiled, rule in zip((rate, slope), flow.rates(tau, xi, MG.twin, n, 1.0), strict=True):
        assert compiled == pytest.approx(rule, rel=1e-12, abs=1e-14 * np.abs(rule).max())


def test_the_power_law_is_the_rule():
    """PowerLaw.rates are the flow rule with the numbers of its families."""
    law = PowerLaw(MG, MG_STRENGTHS, 7.0, 1e-3)
    for one, two in zip(
        law.rates(torch.as_tensor(TAU)), flow.rates(TAU, XI, MG.twin, 7.0, 1e-3), strict=True
    ):
        assert one.numpy() == pytest.approx(two)
