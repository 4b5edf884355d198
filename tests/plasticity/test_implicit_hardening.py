"""Hardening by backward Euler, back stresses, and hardening of slip and twins by each other."""

import numpy as np
import pytest
import torch

from cpml.errors import ParameterError
from cpml.plasticity import KocksMecking, NoHardening, Saturation, TwinFraction, Voce
from cpml.plasticity.laws.phenopowerlaw import Phenopowerlaw
from cpml.plasticity.laws.strength.back_stress import BackStress
from cpml.plasticity.laws.strength.implicit_step import change, implicit_step
from support.phases import FCC, MG, MG_STRENGTHS

RATES = torch.as_tensor(np.random.default_rng(0).uniform(-1e-3, 1e-3, (7, len(MG))))
FCC_RATES = RATES[:, :12]
AT = {"rate": 1e-3, "temperature": 300.0}
PHENO = Phenopowerlaw(
    MG,
    Saturation(MG, 500.0, 150.0, 2.25, 1.0, twin_saturation=10.0),
    slip_by_twin=10.0,
    twin_by_slip=150.0,
    twin_by_twin=50.0,
)
DISLOCATIONS = KocksMecking(FCC, 10.0, 1e8, 100.0, 0.01, 27e3, 2.86e-10)


def strengths(systems, value=20.0):
    return torch.full((7, len(systems)), value, dtype=torch.float64)


def settled(law, state, rates, dt):
    """The state at the end of a step, by 60 passes."""
    now = state
    for _ in range(60):
        before, now = now, implicit_step(law, state, now, rates, dt, **AT)
    assert change(now, before) < 1e-12
    return now


def test_saturation_against_its_equation():
    """xi1 = xi0 + h0 |1 - xi1/s|^a d gamma of one system without latent hardening, row by row."""
    law = Saturation(FCC, 300.0, 60.0, 1.5, np.eye(12))
    after = settled(law, law.start(strengths(FCC)), FCC_RATES, 20.0)["strength"]
    grown = 20.0 + 300.0 * (1 - after / 60.0) ** 1.5 * FCC_RATES.abs() * 20.0
    assert torch.allclose(after, grown, rtol=1e-13)
    assert not torch.allclose(
        after, law.harden(law.start(strengths(FCC)), FCC_RATES, 20.0)["strength"], rtol=1e-4
    )


@pytest.mark.parametrize(
    "law, rates",
    [
        (Saturation(FCC, 300.0, 60.0), FCC_RATES),
        (DISLOCATIONS, FCC_RATES),
        (PHENO, RATES),
        (TwinFraction(MG, PHENO, 20.0, slip=False), RATES),
        (BackStress(FCC, Saturation(FCC, 300.0, 60.0), 500.0, 30.0), FCC_RATES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_implicit_and_explicit_steps_meet(law, rates):
    """Both are of first order: their difference halves with the step."""
    systems, differences = law.systems, []
    for count in (8, 16):
        explicit = implicit = law.start(strengths(systems))
        for _ in range(count):
            explicit = law.harden(explicit, rates, 20.0 / count, **AT)
            implicit = settled(law, implicit, rates, 20.0 / count)
        differences.append((explicit["strength"] - implicit["strength"]).abs().max().item())
    assert differences[0] / differences[1] == pytest.approx(2, rel=0.1)


def test_laws_that_are_exact_take_their_own_step():
    """Two halves of a Voce step are the whole one, whatever the estimate."""
    law = Voce(FCC, 20.0, 200.0, 5.0, 1.4)
    state = law.start(strengths(FCC))
    half = implicit_step(law, state, law.start(strengths(FCC, 99.0)), FCC_RATES, 10.0)
    whole = implicit_step(law, state, state, FCC_RATES, 20.0)
    assert torch.allclose(
        implicit_step(law, half, half, FCC_RATES, 10.0)["strength"], whole["strength"], rtol=1e-13
    )
    constant = NoHardening().start(strengths(FCC))
    assert implicit_step(NoHardening(), constant, constant, FCC_RATES, 1.0) is constant


def test_dislocations_keep_their_strength():
    """The strength after an implicit step is that of its densities."""
    after = settled(DISLOCATIONS, DISLOCATIONS.start(strengths(FCC)), FCC_RATES, 2.0)
    forest = (after["density"].sum(-1, keepdim=True)).sqrt()
    assert torch.allclose(after["strength"], 10.0 + 0.9 * 27e3 * 2.86e-10 * forest.expand(-1, 12), rtol=1e-12)


def test_slip_and_twins_harden_each_other():
    """Every term of the law, written out."""
    twin, dt = torch.as_tensor(MG.twin), 3.0
    state = PHENO.start(torch.as_tensor(MG_STRENGTHS[MG.family]).expand(7, -1))
    state = PHENO.harden(state, RATES, 5.0)
    after = PHENO.harden(state, RATES, dt)
    slip, twins = RATES[:, ~twin].abs().sum(-1) * dt, RATES[:, twin].abs().sum(-1) * dt
    fraction = state["twinned"][:, 0]
    assert torch.allclose(fraction, RATES[:, twin].abs().sum(-1) * 5.0 / MG.twin_shear.max(), rtol=1e-13)
    left = 1 - state["strength"][:, ~twin] / (150.0 + 10.0 * fraction.sqrt())[:, None]
    on_slip = 500.0 * left**2.25 * slip[:, None] + 10.0 * twins[:, None]
    on_twins = 150.0 * state["shear"][:, 0] * slip + 50.0 * twins
    added = after["strength"] - state["strength"]
    assert torch.allclose(added[:, ~twin], on_slip, rtol=1e-11)
    assert torch.allclose(added[:, twin], on_twins[:, None].expand(-1, int(twin.sum())), rtol=1e-11)


def test_twin_fraction_on_twins_alone():
    """(1 - F) multiplies the rate of twinning; strengths of slip stay as they are."""
    law = TwinFraction(MG, NoHardening(), 20.0, slip=False)
    after = implicit_step(law, law.start(strengths(MG)), law.start(strengths(MG)), RATES, 30.0)
    twin = torch.as_tensor(MG.twin)
    left = 1 - (RATES.clamp(min=0) * 30.0)[:, twin].sum(-1) / MG.twin_shear.max()
    assert (left > 0.1).all() and (left < 0.9).all()
    assert torch.allclose((20.0 / after["strength"][:, twin]) ** 20, left[:, None].expand(-1, 6), rtol=1e-12)
    assert (after["strength"][:, ~twin] == 20.0).all()


def test_back_stress_loop_and_limits():
    """A loop of amplitude a ends at +-(c/d) tanh(d a); without recovery the back stress is c gamma."""
    c, d, amplitude = 600.0, 25.0, 0.02
    law = BackStress(FCC, NoHardening(), c, d)
    state, one = law.start(strengths(FCC)), torch.ones(7, 12, dtype=torch.float64)
    for sense in (1, -1) * 30:
        for _ in range(3):  # exact steps: how many does not matter
            state = implicit_step(law, state, state, sense * one, 2 * amplitude / 3)
    assert torch.allclose(state["back_stress"], -c / d * np.tanh(d * amplitude) * one, rtol=1e-12)
    for _ in range(200):
        state = law.harden(state, one, 0.02)
    assert torch.allclose(state["back_stress"], c / d * one, rtol=1e-12)
    linear = BackStress(FCC, NoHardening(), c)
    assert torch.allclose(
        linear.harden(linear.start(one), -one, 0.3)["back_stress"], -0.3 * c * one, rtol=1e-14
    )


def test_bad_input():
    with pytest.raises(ParameterError, match="exponents"):
        Phenopowerlaw(MG, PHENO.slip, exponents=(-1.0, 0.0))
    with pytest.raises(ParameterError, match="slip_by_twin"):
        Phenopowerlaw(MG, PHENO.slip, slip_by_twin=np.ones((3, 3)))
    with pytest.raises(ParameterError, match="12 systems"):
        Phenopowerlaw(MG, Saturation(FCC, 300.0, 60.0))
    with pytest.raises(ParameterError, match="modulus"):
        BackStress(FCC, NoHardening(), -1.0)


def test_many_grains_are_stepped_in_blocks():
    """Grains do not see each other: 5,000 of them at once are as seven at a time."""
    law, rates = TwinFraction(MG, PHENO, 20.0, slip=False), RATES.repeat(715, 1)
    state = law.harden(law.start(torch.full(rates.shape, 20.0, dtype=torch.float64)), rates, 1.0)
    whole = implicit_step(law, state, state, rates, 2.0)
    few = law.harden(law.start(strengths(MG)), RATES, 1.0)
    assert change(whole, repeated(implicit_step(law, few, few, RATES, 2.0))) < 1e-13


def repeated(state):
    return {k: repeated(v) if isinstance(v, dict) else v.repeat(715, 1) for k, v in state.items()}
