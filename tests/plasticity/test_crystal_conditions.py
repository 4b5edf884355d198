"""Single crystals under stresses and mixed conditions, and crystals of any law:
equations, inverses, gradients, errors.
"""

import numpy as np
import pytest
import torch

from cpml.crystallography import load_material, quaternion_to_matrix, random_quaternions
from cpml.crystallography.tensors import to_matrix, to_vector
from cpml.errors import ParameterError
from cpml.plasticity import Conditions, DiffusionClimb, PowerLaw, ThermalGlide, Together, single_crystal
from support.laws import MG_LAW
from support.phases import FCC, TENSION, magnesium

LAWS = {"fcc": PowerLaw(FCC, [30.0], 20.0, 1e-3), "mg": MG_LAW}
Q = random_quaternions(25, np.random.default_rng(0))
SLOW = 1e-3 * TENSION
FREE = np.nan
MIXED = Conditions.mixed(
    [[FREE, 0, 0], [FREE, FREE, 0], [0, 0, 1e-3]], [[5.0, 8.0, FREE], [8.0, -3.0, FREE], [FREE, FREE, FREE]]
)


@pytest.mark.parametrize("name", LAWS)
def test_rate_of_a_stress_inverts(name):
    """The strain rate of a solved stress is the imposed one, to the tolerance
    1e-12; pressure changes nothing.
    """
    solved = single_crystal(LAWS[name], SLOW, Q, tol=1e-12)
    back = single_crystal(LAWS[name], None, Q, stress=solved.value)
    assert back.value.numpy() == pytest.approx(np.tile(to_vector(SLOW), (25, 1)), abs=1e-13)
    assert bool(back.converged.all()) and back.n_iter == 0 and back.solves_for == "rate"
    pressed = to_matrix(solved.value.numpy()) - 300 * np.eye(3)
    assert single_crystal(LAWS[name], None, Q, stress=pressed).value.numpy() == pytest.approx(
        back.value.numpy(), abs=1e-16
    )


@pytest.mark.parametrize("n", [1.0, 2.5, 7.0, 20.0, 50.0, 100.0])
@pytest.mark.parametrize("name", LAWS)
def test_mixed_conditions_are_met(name, n):
    """Imposed rates to 1e-10 and imposed stresses exactly, n from 1 to 100,
    with and without imposed stresses.
    """
    law = PowerLaw(LAWS[name].systems, LAWS[name].strength, n, 1e-3)
    found = single_crystal(law, Conditions.uniaxial(2, 1e-3), Q)
    d, s = to_matrix(found.rate.numpy()), to_matrix(found.value.numpy())
    assert bool(found.converged.all()) and d[:, 2, 2] == pytest.approx(1e-3, rel=1e-9)
    assert s[:, 0, 0] == pytest.approx(s[:, 1, 1]) and np.abs(d[:, [0, 0, 1], [1, 2, 2]]).max() < 1e-12
    found = single_crystal(law, MIXED, Q)
    d, s = to_matrix(found.rate.numpy()), to_matrix(found.value.numpy())
    assert bool(found.converged.all()) and d[:, 2, 2] == pytest.approx(1e-3, rel=1e-9)
    assert s[:, 0, 1] == pytest.approx(8.0) and s[:, 0, 0] - s[:, 1, 1] == pytest.approx(8.0)


def test_all_rates_imposed_is_the_rate_problem():
    """Conditions with every component imposed, and Together of one law, equal the compiled solver (1e-8)."""
    for law in LAWS.values():
        known = single_crystal(law, SLOW, Q).value
        for found in (
            single_crystal(law, Conditions.mixed(SLOW), Q),
            single_crystal(Together((law,)), SLOW, Q),
        ):
            assert bool(found.converged.all())
            assert found.value.numpy() == pytest.approx(known.numpy(), abs=1e-8 * float(known.abs().max()))


def test_a_bad_point_stays_alone():
    """A crystal that cannot do what is asked is flagged; its neighbour has the solution that it has alone."""
    law = PowerLaw(magnesium("basal", "twin_1012"), [10.0, 40], 20.0, 1e-3)
    squeeze = Conditions.uniaxial(2, -1e-3)  # along c of the first: no basal slip, and no twin in this sense
    lying = [np.cos(np.pi / 5), np.sin(np.pi / 5), 0, 0]
    both, alone = (
        single_crystal(law, squeeze, np.array([[1.0, 0, 0, 0], lying])),
        single_crystal(law, squeeze, lying),
    )
    assert both.converged.tolist() == [False, bool(alone.converged)] and bool(alone.converged)
    assert both.value[1].numpy() == pytest.approx(alone.value.numpy(), rel=1e-6)


def build(kind, v):
    """A law from the parameters of `v`."""
    if kind == "thermal":
        return ThermalGlide(
            FCC, 300.0, energy=v["energy"], strength0=v["strength"] * 8, burgers=2.5e-10, density=1e13
        )
    glide = PowerLaw(FCC, v["strength"], v["n"], v["rate0"])
    if kind == "power":
        return glide
    return Together((glide, DiffusionClimb.from_material(load_material("aluminium"), 430.0)))


@pytest.mark.parametrize("kind", ["power", "climb", "thermal"])
@pytest.mark.parametrize("condition", ["mixed", "stress", "rate"])
def test_gradients(kind, condition):
    """Orientation, strength, n, reference rate, obstacle energy and load by
    central differences: 1e-6 relative.
    """
    start = {
        "strength": torch.tensor([30.0]),
        "n": torch.tensor(12.0),
        "rate0": torch.tensor(1e-3),
        "energy": torch.tensor(2.0e-19),
        "load": torch.as_tensor(to_vector(SLOW)),
        "tilt": torch.zeros(3),
    }
    start = {k: v.to(torch.float64) for k, v in start.items()}
    sizes = {"strength": 30.0, "n": 12.0, "rate0": 1e-3, "energy": 2e-19, "load": 1e-3, "tilt": 0.1}
    base = torch.as_tensor(quaternion_to_matrix(Q[:4]))
    mix = torch.as_tensor(np.random.default_rng(1).standard_normal((4, 5)))

    def loss(v):
        x, y, z = v["tilt"]
        o = torch.zeros_like(x)
        turn = torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o]).reshape(3, 3))
        law, q = build(kind, v), turn @ base
        if condition == "mixed":
            found = single_crystal(law, MIXED, q, tol=1e-12)
        elif condition == "rate":
            found = single_crystal(law, v["load"], q, tol=1e-12)
        else:
            found = single_crystal(law, None, q, stress=5e4 * v["load"])
        return (
            (mix * found.stress).sum() + 1e4 * (mix * found.rate).sum() + 1e3 * found.shear_rate.abs().sum()
        )

    names = {
        "power": ["strength", "n", "rate0"],
        "climb": ["strength", "n"],
        "thermal": ["strength", "energy"],
    }[kind]
    for name in [*names, "tilt", *(["load"] if condition != "mixed" else [])]:
        value = start[name].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss({**start, name: value}), value)
        flat, h = start[name].reshape(-1), 1e-3 * sizes[name]
        for k in [len(flat) // 2]:
            step = torch.zeros_like(flat)
            step[k] = h
            f = {
                m: float(loss({**start, name: (flat + m * step).reshape(start[name].shape)}).detach())
                for m in (1, -1, 2, -2)
            }
            # fourth order: truncation (h/size)^4
            difference = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
            scale = float(gradient.abs().max())
            assert float(gradient.reshape(-1)[k]) == pytest.approx(difference, abs=2e-6 * scale), name


@pytest.mark.parametrize(
    "rate, stress, words",
    [
        (None, None, "either"),
        (SLOW, np.eye(3), "either"),
        (None, np.full(5, np.nan), "NaN"),
        (None, np.triu(np.ones((3, 3))), "symmetric"),
        (None, np.ones(4), "shape"),
    ],
)
def test_wrong_input(rate, stress, words):
    """Both or neither of rate and stress, NaN, a stress that is not symmetric or has
    the wrong shape: ParameterError.
    """
    with pytest.raises(ParameterError, match=words):
        single_crystal(LAWS["fcc"], rate, Q, stress=stress)


def test_no_law():
    """An object without schmid and rates is refused by name."""
    with pytest.raises(ParameterError, match="float is no flow law"):
        single_crystal(3.0, SLOW, Q)
