"""Power law: slip odd, twins polar, derivative equal to differences, validation."""

import numpy as np
import pytest
import torch

from cpml.crystallography import load_material
from cpml.errors import ParameterError
from cpml.plasticity import PowerLaw
from support.phases import FCC, MG, MG_STRENGTHS


def test_rate_is_one_at_the_strength():
    """gamma_dot = reference rate at tau = xi, for slip and twin."""
    law = PowerLaw(MG, MG_STRENGTHS, 20, 2e-3)
    rate, _ = law.rates(law.system_strength)
    assert rate.numpy() == pytest.approx(2e-3)


def test_slip_is_odd_and_twins_are_polar():
    """-tau reverses slip and stops twins."""
    law = PowerLaw(MG, MG_STRENGTHS)
    tau = torch.linspace(5, 50, len(MG), dtype=torch.float64)
    forward, backward = law.rates(tau)[0], law.rates(-tau)[0]
    assert torch.equal(backward[law.is_polar], torch.zeros(6, dtype=torch.float64))
    assert torch.equal(backward[~law.is_polar], -forward[~law.is_polar])


@pytest.mark.parametrize("n", [1.0, 2.5, 20.0])
def test_derivative(n):
    """Central differences agree to 1e-6 (truncation of the difference at n = 20); finite at tau = 0."""
    law = PowerLaw(MG, MG_STRENGTHS, n)
    tau = 0.9 * law.system_strength * torch.linspace(-1, 1, len(MG), dtype=torch.float64)
    h = 1e-5
    difference = (law.rates(tau + h)[0] - law.rates(tau - h)[0]) / (2 * h)
    slope = law.rates(tau)[1]
    assert slope.numpy() == pytest.approx(difference.numpy(), rel=1e-6, abs=1e-9)
    assert bool(torch.isfinite(law.rates(tau * 0)[1]).all())


def test_from_material():
    """A material file gives its own strengths; learned ones replace them."""
    magnesium = load_material("magnesium")
    law = PowerLaw.from_material(magnesium)
    assert law.strength.tolist() == magnesium.strengths.tolist() and float(law.n) == 20
    assert PowerLaw.from_material(magnesium, strength=[1, 2, 3, 4]).strength.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "arguments", [([-1.0],), ([1.0, 2.0],), ([float("nan")],), ([1.0], 0.5), ([1.0], 20, 0.0)]
)
def test_wrong_parameters(arguments):
    """Non-positive strength, wrong count, n below 1, rate 0: ParameterError."""
    with pytest.raises(ParameterError):
        PowerLaw(FCC, *arguments)


def test_strength_per_system():
    """(S,) strengths are used as they are."""
    strength = np.linspace(1, 2, 12)
    assert PowerLaw(FCC, strength).system_strength.numpy() == pytest.approx(strength)
