"""The compiled adjoint equals the torch derivation, and relaxed constraints."""

import numpy as np
import pytest
import torch

from cpml.crystallography import quaternion_to_matrix, random_quaternions
from cpml.crystallography.tensors import to_matrix
from cpml.errors import ParameterError
from cpml.plasticity import Conditions, PowerLaw, Together, deform, mean_field
from cpml.plasticity.polycrystal.eshelby import directions, interaction
from cpml.plasticity.polycrystal.eshelby_gradient import UNITS, interaction_slopes
from support.phases import FCC, MG, MG_STRENGTHS, TENSION

Q = random_quaternions(12, np.random.default_rng(0))


def test_slopes_of_the_interaction():
    """d Mt and d spin along every symmetric direction equal central differences
    (1e-7), in an anisotropic medium.
    """
    m = np.random.default_rng(1).standard_normal((5, 5))
    m, sphere, h = m @ m.T + 0.5 * np.eye(5), directions(np.diag([2.0, 1, 0.6])), 1e-5
    slopes = interaction_slopes(m, *sphere, 3.0)
    for k in range(15):
        up, down = (interaction(m + s * h * UNITS[k], *sphere, 3.0) for s in (1, -1))
        for found, one, two in zip(slopes, up, down, strict=True):
            assert found[k] == pytest.approx((one - two) / (2 * h), abs=1e-7 * np.abs(found).max())


@pytest.mark.parametrize("scheme", ["taylor", "relaxed", "affine"])
def test_two_derivations_agree(scheme):
    """Compiled adjoint and torch's implicit step: the same derivatives of stress, rates, slip (1e-7)."""
    weights = torch.linspace(1, 2, 12, dtype=torch.float64)
    mix = torch.as_tensor(np.random.default_rng(2).standard_normal((12, 5)))

    def gradients(wrap):
        given = [
            torch.tensor(MG_STRENGTHS, dtype=torch.float64),
            torch.tensor(10.0, dtype=torch.float64),
            torch.as_tensor(quaternion_to_matrix(Q)),
            weights.clone(),
        ]
        given = [g.requires_grad_() for g in given]
        law = wrap(PowerLaw(MG, given[0], given[1], 1e-3))
        f = mean_field(
            law, given[2], weights=given[3], loading=Conditions.uniaxial(2, -1e-3), scheme=scheme, tol=1e-12
        )
        loss = f.von_mises + 1e4 * f.rate[0] + (mix * f.grain_stress).sum() + 1e3 * f.shear_rate.abs().sum()
        return torch.autograd.grad(loss, given)

    for one, two in zip(gradients(lambda law: law), gradients(lambda law: Together((law,))), strict=True):
        assert one.numpy() == pytest.approx(two.numpy(), abs=1e-7 * float(two.abs().max()))


def test_relaxed_constraints():
    """Free shears carry no stress, the others follow the macroscopic rate; power
    below Taylor; no freedom left out.
    """
    law = PowerLaw(FCC, [1.0])
    held = mean_field(law, Q, loading=TENSION)
    pancake, lath = (
        mean_field(law, Q, loading=TENSION, scheme="relaxed", relaxed=r) for r in (("13", "23"), ("13",))
    )
    s = to_matrix(pancake.grain_stress.numpy())
    assert np.abs(s[:, [0, 1], 2]).max() < 1e-12 and bool(pancake.converged.all())
    assert to_matrix(pancake.rate.numpy())[[0, 1, 2], [0, 1, 2]] == pytest.approx([1, -0.5, -0.5])
    power = [float(f.stress @ f.rate) for f in (held, lath, pancake)]
    assert power[0] > power[1] > power[2] > 0


@pytest.mark.parametrize("parameter", ["strength", "n", "orientation"])
def test_relaxed_gradient(parameter):
    """Derivatives of relaxed constraints through two steps of texture equal central differences (1e-6)."""
    start = {
        "strength": torch.tensor([30.0], dtype=torch.float64),
        "n": torch.tensor(10.0, dtype=torch.float64),
        "orientation": torch.zeros(3, dtype=torch.float64),
    }
    base = torch.as_tensor(quaternion_to_matrix(Q[:5]))

    def final(value):
        v = {**start, parameter: value}
        x, y, z = v["orientation"]
        o = torch.zeros_like(x)
        turn = torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o]).reshape(3, 3))
        path = deform(
            PowerLaw(FCC, v["strength"], v["n"], 1e-3),
            None,
            turn @ base,
            loading=np.diag([1.0, 0, -1]),
            increment=0.05,
            steps=2,
            scheme="relaxed",
            tol=1e-12,
        )
        return path.von_mises[-1] + 30 * path.orientations[1, 0, 1] + 20 * path.rate[-1, 3]

    value = start[parameter].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(final(value), value)
    flat, h = start[parameter].reshape(-1), 1e-4 * float(start[parameter].abs().max() or 1.0)
    step = torch.zeros_like(flat)
    step[0] = h
    with torch.no_grad():
        up, down = (final((flat + s * step).reshape(start[parameter].shape)) for s in (1, -1))
    assert float(gradient.reshape(-1)[0]) == pytest.approx(float(up - down) / (2 * h), rel=2e-6)


def test_relaxed_conditions():
    """Unknown shears, a stress on a relaxed shear and conditions that mix components are refused."""
    law, free = PowerLaw(FCC, [1.0]), np.nan
    with pytest.raises(ParameterError, match="name shears"):
        mean_field(law, Q, loading=TENSION, scheme="relaxed", relaxed=("33",))
    stressed = Conditions.mixed(
        [[1.0, 0, 0], [0, -0.5, 0], [free, 0, -0.5]], [[free, free, 5.0], [free] * 3, [5.0, free, free]]
    )
    with pytest.raises(ParameterError, match="relaxed"):
        mean_field(law, Q, loading=stressed, scheme="relaxed")
