"""Crystals that cannot make every strain: recognised, named, and solved where a scheme has a limit."""

import numpy as np
import pytest
import torch

from cpml.crystallography import random_quaternions, systems
from cpml.errors import ParameterError
from cpml.plasticity import Conditions, PowerLaw, mean_field, single_crystal
from cpml.plasticity.crystal.cone import blocked_rays, made
from support.phases import FCC, MG, TENSION

Q = random_quaternions(200, np.random.default_rng(0))


def hexagonal(*families):
    """Families of magnesium."""
    return systems("hcp", families=list(families), c_over_a=1.6236)


def law(*families, n=10.0):
    """Families of magnesium with strengths 1, 2, ..."""
    return PowerLaw(hexagonal(*families), np.arange(1.0, len(families) + 1), n)


@pytest.mark.parametrize(
    "families, count",
    [
        (("basal", "prismatic"), 2),  # neither extension nor contraction of c
        (("basal",), 6),  # three modes of five are missing, both senses each
        (("basal", "prismatic", "pyramidal2_ca"), 0),
        (("prismatic", "twin_1012", "twin_1122"), 0),  # one twin extends c, the other one shortens it
    ],
)
def test_rays(families, count):
    """As many rays as the slip geometry says (Groves & Kelly 1963: basal 2, with prismatic 4 independent)."""
    assert len(blocked_rays(law(*families))) == count


def test_polar_rays_are_the_bound_of_what_can_be_made():
    """Random combinations of basal slip and {10-12} twins are made; minus a twin's strain, beyond slip, is
    not. Every ray drives no mode.
    """
    one, rng = law("basal", "twin_1012"), np.random.default_rng(0)
    schmid, twin = one.systems.schmid5, one.systems.twin
    shear = np.where(twin, rng.random((300, len(schmid))), rng.normal(size=(300, len(schmid))))
    assert made(one, shear @ schmid).all()
    c_axis = np.array([0, 2, 0, 0, 0]) / 2  # 2 D33 - D11 - D22 > 0: c extends
    assert made(one, np.array([c_axis, -c_axis])).tolist() == [True, False]
    driven = blocked_rays(one) @ schmid.T
    assert np.abs(driven[:, ~twin]).max() < 1e-9 and driven[:, twin].max() < 1e-9


@pytest.mark.parametrize("n, expected", [(1.0, 6.280), (5.0, 6.94), (20.0, 6.94)])
def test_affine_limit_of_basal_and_prismatic_slip(n, expected):
    """Strengths 1 and 2, random grains: von Mises stress of the limit of an infinitely strong <c+a>
    (reference computed with strengths of <c+a> growing, to its printed digits); and our own limit: <c+a> of
    strength 1e5 changes the stress by less than 1 %.
    """
    found = mean_field(law("basal", "prismatic", n=n), Q, loading=TENSION, scheme="affine")
    assert bool(found.converged.all()) and float(found.von_mises) == pytest.approx(expected, abs=5e-3)
    closed = PowerLaw(hexagonal("basal", "prismatic", "pyramidal2_ca"), [1.0, 2.0, 1e5], n)
    near = mean_field(closed, Q, loading=TENSION, scheme="affine")
    assert float(near.von_mises) == pytest.approx(float(found.von_mises), rel=0.01)


@pytest.mark.parametrize(
    "families, scheme, words",
    [
        (("basal", "prismatic"), "taylor", "c of hexagonal crystals.*add a family"),
        (("basal", "twin_1012"), "taylor", "a contraction of the crystal along its z axis"),
        (("twin_1012",), "affine", "hardens without limit"),
        (
            ("basal",),
            "affine",
            "hardens without limit",
        ),  # 3 of 5 modes rigid: beyond the 2/5 of rigid spheres
    ],
)
def test_refused_in_one_line(families, scheme, words):
    """No solution: one line that names the strain which no mode makes."""
    with pytest.raises(ParameterError, match=words) as caught:
        mean_field(law(*families), Q[:30], loading=TENSION, scheme=scheme)
    assert "\n" not in str(caught.value)


def test_open_crystals_that_can_share_a_rate():
    """Two crystals whose c axes lie along one line, pulled across it with free sides: their common strain
    rate leaves c as it is, and the stress is that of a single crystal.
    """
    one, about_c = law("basal", "prismatic"), [np.cos(np.pi / 12), 0, 0, np.sin(np.pi / 12)]
    pulled = Conditions.uniaxial(0, 1.0)
    found = mean_field(one, [about_c, about_c], loading=pulled)
    alone = single_crystal(one, pulled, about_c)
    assert bool(found.converged.all())
    assert found.stress.numpy() == pytest.approx(alone.stress.numpy(), abs=1e-6)


def test_some_crystals_of_a_batch():
    """A batch is refused only where no crystal can deform; otherwise those that cannot are flagged."""
    one = PowerLaw(hexagonal("basal", "prismatic", "twin_1012"), [10.0, 55, 40])
    shorten_z = np.diag([0.5, 0.5, -1.0])
    lying = [np.cos(np.pi / 4), np.sin(np.pi / 4), 0, 0]
    assert single_crystal(one, shorten_z, [[1.0, 0, 0, 0], lying]).converged.tolist()[0] is False
    with pytest.raises(ParameterError, match="1 of 1 crystals would need"):
        single_crystal(one, shorten_z, [1.0, 0, 0, 0])


def test_closed_surfaces_have_no_rays():
    """Crystals with five independent systems, and any law of them."""
    assert not len(blocked_rays(PowerLaw(FCC, [1.0]))) and not len(blocked_rays(PowerLaw(MG, [1.0] * 4)))


def test_gradient_of_an_open_medium():
    """The implicit gradient of the affine limit equals central differences (1e-6)."""
    strength = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def stress(values):
        one = PowerLaw(hexagonal("basal", "prismatic"), values, 5.0)
        return mean_field(one, Q[:40], loading=TENSION, scheme="affine", tol=1e-11).von_mises

    (gradient,) = torch.autograd.grad(stress(strength), strength)
    for k in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[k] = 1e-4
        fixed = strength.detach()
        slope = float(stress(fixed + step) - stress(fixed - step)) / 2e-4
        assert float(gradient[k]) == pytest.approx(slope, rel=1e-6)
