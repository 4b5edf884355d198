"""Slip of bcc crystals that is not Schmid's: closed forms, symmetry, and where the law may work."""

import numpy as np
import pytest
import torch

from cpml.crystallography import load_material, random_quaternions, systems
from cpml.crystallography.rotations import quaternion_multiply
from cpml.crystallography.symmetry import proper_group
from cpml.crystallography.tensors import to_vector
from cpml.errors import ParameterError
from cpml.plasticity import Conditions, NonSchmid, PowerLaw, Together, deform, mean_field, single_crystal
from cpml.plasticity.laws.non_schmid import TUNGSTEN

CUBE = [1.0, 0, 0, 0]
BCC = systems("bcc", families=["110"])
MILD = (0.24, 0.0, 0.35)


def test_no_weights_is_schmid():
    """a = 0 gives the stress of the power law, both senses of a system in one."""
    grains, rate = random_quaternions(10, np.random.default_rng(0)), 1e-3 * np.diag([1.0, -0.5, -0.5])
    ours = single_crystal(NonSchmid((0, 0, 0), 50.0, reference_rate=1e-3), rate, grains)
    plain = single_crystal(PowerLaw(BCC, [50.0], 20.0, 1e-3), rate, grains)
    assert bool(ours.converged.all())
    assert ours.stress.numpy() == pytest.approx(plain.stress.numpy(), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("weights, ratio", [((0, 0, 0), 1.0), (TUNGSTEN, 1.8780), (MILD, 1.4875)])
def test_asymmetry_along_the_cube_axis(weights, ratio):
    """[001] tension against compression, by hand from the criterion: of the systems of one <111>,
    tau*/sigma = [1 + a1]/sqrt(6) + (a3 - a2)/(2 sqrt(3)) in tension, and in compression the larger of
    1/sqrt(6) - a2/(2 sqrt(3)) and a1/sqrt(6) + a3/(2 sqrt(3)) (tungsten; the second set is molybdenum's
    order).
    """
    a1, a2, a3 = weights
    root = 2 * np.sqrt(3)
    pulled = (1 + a1) / np.sqrt(6) + (a3 - a2) / root
    pressed = max(1 / np.sqrt(6) - a2 / root, a1 / np.sqrt(6) + a3 / root)
    assert pulled / pressed == pytest.approx(ratio, abs=1e-4)
    law = NonSchmid(weights, 100.0, n=400.0, reference_rate=1e-3)
    found = [single_crystal(law, Conditions.uniaxial(2, s * 1e-3), CUBE) for s in (1, -1)]
    assert all(bool(f.converged) for f in found)
    sizes = [float(f.stress.norm()) for f in found]
    # n = 400: (rate over the number of modes)^(1/400) leaves half a percent
    assert sizes[1] / sizes[0] == pytest.approx(ratio, rel=0.006)


def test_copies_of_a_crystal():
    """All 24 orientations of one cubic crystal move alike under one stress, the 3-fold axes of <111>
    included; and need one stress for one strain rate, with weights (of molybdenum's order) that leave it
    unique.
    """
    grain = random_quaternions(1, np.random.default_rng(4))[0]
    copies, shape = quaternion_multiply(grain, proper_group("432")), np.diag([0.2, -0.9, 0.7])
    loaded = single_crystal(NonSchmid(TUNGSTEN, 100.0), None, copies, stress=150 * shape)
    assert loaded.rate.numpy() == pytest.approx(np.tile(loaded.rate[0].numpy(), (24, 1)), rel=1e-9, abs=1e-12)
    moved = single_crystal(NonSchmid(MILD, 100.0, reference_rate=1e-3), 1e-3 * shape, copies)
    assert bool(moved.converged.all())
    assert moved.stress.numpy() == pytest.approx(np.tile(moved.stress[0].numpy(), (24, 1)), rel=1e-8)


def test_strain_rate_is_met_and_reversed_load_differs():
    """The flow of the solution is the one that was asked for, in both senses; the stresses are not
    opposite.
    """
    grains, rate = random_quaternions(20, np.random.default_rng(1)), 1e-3 * np.diag([1.0, -0.5, -0.5])
    law, size = NonSchmid(MILD, 100.0, reference_rate=1e-3), []
    for sign in (1, -1):
        found = single_crystal(law, sign * rate, grains, tol=1e-10)
        assert bool(found.converged.all())
        again = single_crystal(law, None, grains, stress=found.stress)
        expected = np.tile(to_vector(sign * rate), (20, 1))
        assert again.rate.numpy() == pytest.approx(expected, abs=1e-12)
        size.append(found.stress)
    assert float((size[0] + size[1]).norm(dim=-1).mean()) > 0.1 * float(size[0].norm(dim=-1).mean())


def test_a_crystal_without_an_answer_says_so():
    """Tungsten's weights under an imposed strain rate: some of 20 crystals have no answer, are marked, and
    the others meet the rate.
    """
    grains, rate = random_quaternions(20, np.random.default_rng(1)), 1e-3 * np.diag([1.0, -0.5, -0.5])
    found = single_crystal(NonSchmid(TUNGSTEN, 100.0, reference_rate=1e-3), rate, grains)
    assert 10 < int(found.converged.sum()) < 20
    met = found.rate[found.converged].numpy()
    assert met == pytest.approx(np.tile(to_vector(rate), (len(met), 1)), abs=1e-11)


def test_gradient_by_strength():
    """Stresses scale with the strength: d ln |s| / d ln xi = 1."""
    xi = torch.tensor(100.0, dtype=torch.float64, requires_grad=True)
    law = NonSchmid(TUNGSTEN, xi, reference_rate=1e-3)
    size = single_crystal(law, 1e-3 * np.diag([1.0, -0.5, -0.5]), CUBE).stress.norm()
    size.backward()
    assert float(xi.grad) * 100.0 == pytest.approx(size.item(), rel=1e-8)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda law: mean_field(law, [CUBE], loading=Conditions.uniaxial(2, 1e-3)), "not associated"),
        (lambda law: Together((law,)), "not associated"),
        (
            lambda law: deform(
                law, None, [CUBE], loading=Conditions.uniaxial(2, 1e-3), increment=0.1, steps=1
            ),
            "not associated",
        ),
        (lambda law: NonSchmid((0, 1), 1.0), "a1, a2 and a3"),
        (lambda law: NonSchmid((0, 1, np.nan), 1.0), "a1, a2 and a3"),
        (lambda law: NonSchmid(TUNGSTEN, -1.0), "positive"),
        (lambda law: NonSchmid.from_material(load_material("copper"), TUNGSTEN), "bcc"),
    ],
)
def test_where_it_does_not_work(call, words):
    """One line each."""
    with pytest.raises(ParameterError, match=words):
        call(NonSchmid(TUNGSTEN, 100.0))


def test_from_a_material_file():
    """Strength, exponent and rate of {110} slip."""
    law = NonSchmid.from_material(load_material("ferrite"), TUNGSTEN)
    assert (law.strength, law.n, law.reference_rate) == (61.0, 20.0, 4e-2)
