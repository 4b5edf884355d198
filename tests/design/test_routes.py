"""Properties of textures: gradients against differences, Considere and r-values in closed form."""

import numpy as np
import pytest
import torch

from cpml import design
from cpml.crystallography import load_material, random_quaternions, systems
from cpml.crystallography.materials import FOLDER
from cpml.crystallography.transfer import sample_systems
from cpml.design.goals import goals_of
from cpml.design.grid import orientation_grid, prior_texture, sample_copies
from cpml.design.routes import Route
from cpml.errors import CpmlError, ParameterError
from cpml.plasticity import NoHardening, PowerLaw, Voce, lankford, material_hardening

AZ31 = load_material("magnesium_az31")
LAW, RISE = PowerLaw.from_material(AZ31), material_hardening(AZ31)
GRADED = {
    "yield_stress_mpa": 1.0,
    "compression_yield_mpa": 1.0,
    "strength_differential": 0.1,
    "r_value": 1.0,
    "normal_anisotropy": 1.0,
    "planar_anisotropy": 0.1,
    "uniform_elongation": 0.15,
    "tensile_strength_mpa": 1.0,
    "stress_mpa": {"strain": 0.02, "value": 1.0},
    "stress_spread": {"strain": 0.02, "value": 1.0},
    "twin_fraction": {"strain": 0.02, "value": 0.1},
    "activity": {"family": "basal", "strain": 0.02, "value": 0.5},
}


@pytest.fixture(scope="module")
def graded():
    """A texture on a coarse grid, its route, and what the route says of it."""
    grid = orientation_grid("hcp", 30.0)
    weights = 0.7 * prior_texture("hcp", "transverse", grid) + 0.3 / len(grid)
    copies, route = sample_copies(grid, "orthotropic"), Route(LAW, RISE, tol=1e-10)
    return route, copies, weights, route.solved(copies, weights, goals_of(GRADED))


def test_gradients_are_differences(graded):
    """Derivatives by weights, along a random direction, and by every strength, of all goals that the
    polycrystal has gradients of: central differences of solved paths, to 1e-5 of the largest.
    """
    route, copies, weights, solved = graded
    goals = goals_of(GRADED)
    by_weight, by_strength = solved.slopes()
    direction = weights * np.random.default_rng(0).standard_normal(len(weights))
    direction -= weights * direction.sum()
    step = 1e-3
    ends = [route.solved(copies, weights + s * step * direction, goals).values for s in (1, -1)]
    assert by_weight @ direction == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-6)
    tau = LAW.strength.numpy()
    for k in range(len(tau)):
        moved = [tau + s * 1e-4 * tau[k] * np.eye(len(tau))[k] for s in (1, -1)]
        ends = [
            Route(PowerLaw(LAW.systems, t, LAW.n, LAW.reference_rate), RISE, tol=1e-10)
            .solved(copies, weights, goals)
            .values
            for t in moved
        ]
        difference = (ends[0] - ends[1]) / (2e-4 * tau[k])
        assert by_strength[:, k] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_values_with_gradients_are_the_values(graded):
    """One number, by whichever door; twins as the path itself counts them."""
    route, copies, weights, solved = graded
    full = np.tile(weights / len(copies), len(copies))
    values = route.values(copies.reshape(-1, 4), full, goals_of(GRADED))
    assert values == pytest.approx(solved.values, rel=2e-3)  # without the lightest orientations
    path = route.path(copies.reshape(-1, 4), full, 0.02)
    assert solved.values[10] == pytest.approx(path.twin_fraction[-1].sum(), rel=1e-6)


@pytest.mark.parametrize(("theta0", "tau1"), [(300.0, 60.0), (400.0, 30.0)])
def test_considere_of_voce(theta0, tau1):
    """One orientation of fixed Taylor factor, Voce hardening without latent differences: sigma = M (tau0 +
    tau1 (1 - e)), e = exp(-M eps theta0/tau1), so that d sigma/d eps = sigma at
    e = (tau0 + tau1)/(tau1 + M theta0); increments of .5 % to a strain of .1, of 2 % beyond: within .002. The
    strength is the largest sigma exp(-eps).
    """
    fcc = systems("fcc", families=["octahedral"])
    law, tau0 = PowerLaw(fcc, [20.0], n=200.0), 20.0
    route = Route(law, Voce(fcc, tau1, theta0, 0.0), scheme="taylor", tol=1e-8)
    cube = np.array([[1.0, 0, 0, 0]])  # eight systems alike: stays where it is, M = sqrt(6)
    factor = np.sqrt(6)
    end = np.log((tau1 + factor * theta0) / (tau0 + tau1)) * tau1 / (factor * theta0)
    strongest = factor * (tau0 + tau1 * (1 - np.exp(-factor * end * theta0 / tau1))) * np.exp(-end)
    goals = goals_of({"uniform_elongation": float(end), "tensile_strength_mpa": 1.0})
    found = route.values(cube, None, goals)
    rated = float((route.path(cube, None, 0.0).von_mises[0]) / (factor * tau0))  # of n = 200
    assert found[0] == pytest.approx(end, abs=0.002)
    assert found[1] == pytest.approx(strongest * rated, rel=0.01)


def test_elongation_that_the_test_does_not_reach():
    """Hardening that goes on: told as beyond the test, and never beyond twice its strain; without hardening
    less than the first increment.
    """
    fcc = systems("fcc", families=["octahedral"])
    law, goals = PowerLaw(fcc, [20.0], n=50.0), goals_of({"uniform_elongation": {"min": 0.1}})
    q = random_quaternions(20, np.random.default_rng(0))
    on = Route(law, Voce(fcc, 0.0, 0.0, 200.0), scheme="taylor").values(q, None, goals)[0]
    assert goals[0].strain < on <= 2 * goals[0].strain
    assert 0 < Route(law, NoHardening(), scheme="taylor").values(q, None, goals)[0] < 0.005


def test_r_values_over_the_sheet():
    """r at 0, 45 and 90 degrees, and what is made of them, as `cpml.plasticity.lankford` has them."""
    grains = design.suggest({"r_value": 1.8}, law=LAW, grid_deg=15.0, verify=False).draw(200)
    sheet = lankford(LAW, grains, angle_deg=[0.0, 45.0, 90.0], scheme="affine")
    keys = dict.fromkeys(
        ("r_value", "r_value_45", "r_value_90", "normal_anisotropy", "planar_anisotropy"), 1.0
    )
    values = Route(LAW, NoHardening(), tol=1e-8).values(grains, None, goals_of(keys))
    assert values == pytest.approx([*sheet.r, sheet.mean, sheet.planar], rel=1e-4)


def test_transmission_between_two_components():
    """Half cube, half anything else: 1 between grains alike, m' between the others, pairs at random."""
    fcc = systems("fcc", families=["octahedral"])
    goals = goals_of({"slip_transmission": 0.5})
    law = PowerLaw(fcc, [20.0], n=20.0)
    one = random_quaternions(1, np.random.default_rng(2))
    route = Route(law, NoHardening())
    alone = route.values(one, None, goals)[0]
    assert alone == pytest.approx(1.0)
    two = np.concatenate([one, random_quaternions(1, np.random.default_rng(4))])
    both = route.values(two, np.array([0.5, 0.5]), goals)[0]
    field = route.path(two, None, 0.0).first
    plane, direction = (
        v[np.arange(2), field.shear_rate.abs().argmax(1).numpy()] for v in sample_systems(fcc, two)
    )
    across = abs(plane[0] @ plane[1]) * abs(direction[0] @ direction[1])
    assert both == pytest.approx(0.5 + 0.5 * across)


def test_what_the_law_has_not():
    """A family that is not there, moduli without constants: one line; no solution stops a search."""
    route = Route(LAW, RISE)
    with pytest.raises(ParameterError, match="no family 'octahedral'; it has basal"):
        route.check(goals_of({"activity": {"family": "octahedral", "strain": 0.02, "max": 0.5}}))
    with pytest.raises(ParameterError, match="elastic constants"):
        route.check(goals_of({"young_modulus_gpa": 45.0}))
    few = PowerLaw(systems("hcp", families=["basal"], c_over_a=1.624), [10.0], n=20.0)
    with pytest.raises(CpmlError):
        Route(few, NoHardening(), scheme="taylor").solved(
            np.array([[[1.0, 0, 0, 0]]]), np.ones(1), goals_of({"yield_stress_mpa": 10.0})
        )


def test_torch_is_left_alone(graded):
    """Values without a graph."""
    route, copies, weights, _ = graded
    goals = goals_of({"yield_stress_mpa": 1.0})
    route.values(copies.reshape(-1, 4), np.tile(weights, 4) / 4, goals)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.yml")))
def test_gradients_of_every_material(name):
    """Dislocation densities and back stresses included: the stress at 2 % by the strength of one family,
    against central differences.
    """
    metal = load_material(name)
    law, rise = PowerLaw.from_material(metal), material_hardening(metal)
    grid = orientation_grid(metal.lattice, 30.0)
    copies, weights = sample_copies(grid, "orthotropic"), np.full(len(grid), 1 / len(grid))
    goals = goals_of({"stress_mpa": {"strain": 0.02, "value": 1.0}})

    def at(strength):
        own = PowerLaw(law.systems, strength, law.n, law.reference_rate)
        return Route(own, rise, tol=1e-10).solved(copies, weights, goals)

    tau = 1.5 * law.strength.numpy()  # above what densities alone give
    step = 1e-4 * tau[0] * np.eye(len(tau))[0]
    by_weight, by_strength = at(tau).slopes()
    difference = (at(tau + step).values - at(tau - step).values) / (2 * step[0])
    assert np.isfinite(by_weight).all()
    assert by_strength[0, 0] == pytest.approx(difference[0], rel=1e-4)
