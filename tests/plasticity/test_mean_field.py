"""Mean fields: bounds, limits, weights and the free lateral strain (beside VPSC8: test_vpsc.py)."""

import numpy as np
import pytest
import torch

from cpml.crystallography import random_quaternions, schmid_factors
from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import PowerLaw, mean_field
from support.laws import MG_LAW
from support.phases import FCC, MG, MG_STRENGTHS, TENSION

FCC_LAW = PowerLaw(FCC, [1.0])
Q = random_quaternions(300, np.random.default_rng(0))


def test_taylor_bounds_sachs():
    """The uniform-rate stress power is not below the uniform-stress one, for both lattices and signs."""
    for law in (FCC_LAW, MG_LAW):
        for sign in (1, -1):
            taylor, sachs = (
                mean_field(law, Q, loading=sign * TENSION, scheme=s) for s in ("taylor", "sachs")
            )
            work = [
                float((f.grain_stress @ torch.as_tensor(to_vector(sign * TENSION))).mean())
                for f in (taylor, sachs)
            ]
            assert work[0] >= work[1] > 0


def test_sachs_tends_to_schmid():
    """As n grows a grain's Sachs stress tends to 1/m_max; at n = 200 within 2 %
    (a few systems share the slip).
    """
    law = PowerLaw(FCC, [1.0], 200.0)
    found = mean_field(law, Q, loading=TENSION, scheme="sachs")
    amplitude = (found.grain_stress @ torch.as_tensor(to_vector(TENSION))).numpy()  # uniaxial size, D_vM = 1
    m = np.abs(schmid_factors(law.systems, Q, np.diag([1.0, 0, 0]))).max(axis=1)
    assert amplitude == pytest.approx(1 / m, rel=0.02)


def test_sachs_rate():
    """Every grain of a Sachs solution moves with the imposed von Mises rate under one stress direction."""
    found = mean_field(MG_LAW, Q, loading=TENSION, scheme="sachs")
    local = found.shear_rate @ MG_LAW.schmid
    assert torch.sqrt((local**2).sum(1) / 1.5).numpy() == pytest.approx(1)
    unit = found.grain_stress / found.grain_stress.norm(dim=1, keepdim=True)
    assert float((unit - unit[0]).abs().max()) < 1e-12


def test_load_and_matrix_agree():
    """A tension Load equals its axisymmetric strain rate; rows of the activities add up to 1."""
    load = Load.from_dict({"kind": "tension", "axis": "x", "rate": 1e-3})
    first = mean_field(MG_LAW, Q, loading=load)
    second = mean_field(MG_LAW, Q, loading=1e-3 * TENSION)
    assert first.stress.numpy() == pytest.approx(second.stress.numpy())
    assert first.activity.sum(1).numpy() == pytest.approx(1)


def test_weights_are_shares():
    """Doubling a grain equals doubling its weight; weights need not be normalised."""
    doubled = mean_field(FCC_LAW, np.concatenate([Q[:3], Q[:1]]), loading=TENSION)
    weighted = mean_field(FCC_LAW, Q[:3], weights=[4.0, 2.0, 2.0], loading=TENSION)
    assert doubled.stress.numpy() == pytest.approx(weighted.stress.numpy())


def test_taylor_factor_of_mean_field():
    """With large n the shear sum over D_vM tends to the linear programme (1 % at n = 100)."""
    from cpml.plasticity import taylor_factor

    found = mean_field(PowerLaw(FCC, [1.0], 100.0), Q, loading=TENSION)
    assert found.taylor_factor.numpy() == pytest.approx(taylor_factor(FCC, TENSION, Q), rel=0.01)


@pytest.mark.parametrize("law", [FCC_LAW, MG_LAW])
@pytest.mark.parametrize("kind", ["tension", "compression"])
def test_free_lateral_strain(law, kind):
    """The mean stress becomes uniaxial (1e-8), the axial work rate is lower than
    with prescribed axisymmetric flow.
    """
    load = Load.from_dict({"kind": kind, "axis": [1, 2, 0.5], "rate": 1e-3})
    held, free = (mean_field(law, Q[:60], loading=load, lateral=x) for x in ("axisymmetric", "free"))
    stress = to_matrix(free.stress.numpy())
    uniaxial = load.stress - np.trace(load.stress) / 3 * np.eye(3)
    size = np.sum(stress * uniaxial) / np.sum(uniaxial**2)
    assert np.abs(stress - size * uniaxial).max() < 1e-8 * abs(size)
    assert float(free.stress @ free.rate) <= float(held.stress @ held.rate)


@pytest.mark.parametrize("options", [{"scheme": "taylor"}, {"scheme": "sachs"}, {"lateral": "free"}])
def test_gradient_to_strengths(options):
    """Stress is homogeneous of degree 1 in the strengths: sum xi dSigma/dxi = Sigma; single derivatives equal
    central differences to 1e-6 of Sigma per strength, the motion of the free strain rate included.
    """
    strength = torch.tensor(MG_STRENGTHS, dtype=torch.float64, requires_grad=True)
    load = Load.from_dict({"kind": "tension", "axis": "x", "rate": 1e-3})

    def size(value):
        return mean_field(PowerLaw(MG, value, 20.0, 1e-3), Q[:40], loading=load, **options).von_mises

    value = size(strength)
    (gradient,) = torch.autograd.grad(value, strength)
    assert float(gradient @ strength.detach()) == pytest.approx(value.item(), rel=1e-6)
    for k in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[k] = 1e-4 * strength[k].item()
        up, down = float(size(strength.detach() + step)), float(size(strength.detach() - step))
        assert float(gradient[k]) == pytest.approx(
            (up - down) / (2 * float(step[k])), abs=1e-6 * value.item()
        )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"scheme": "relax"}, "taylor, sachs"),
        ({"lateral": "loose"}, "axisymmetric, free"),
        ({"scheme": "sachs", "lateral": "free"}, "taylor"),
        ({"weights": [1.0]}, "weights"),
        ({"weights": -np.ones(300)}, "weights"),
    ],
)
def test_wrong_options(options, words):
    """Unknown scheme (available ones are listed), unknown lateral condition, wrong weights."""
    with pytest.raises(ParameterError, match=words):
        mean_field(FCC_LAW, Q, loading=TENSION, **options)
