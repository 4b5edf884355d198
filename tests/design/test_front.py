"""Fronts between two goals: effort spent, ends that are extremes, nothing beaten, bad input."""

import numpy as np
import pytest

from cpml import design
from cpml.crystallography import load_material, random_quaternions, systems
from cpml.design.goals import goals_of
from cpml.design.routes import Route
from cpml.design.search.front import _tilted
from cpml.design.search.refine import cost
from cpml.errors import ParameterError
from cpml.plasticity import NoHardening, PowerLaw, material_hardening

AZ31 = load_material("magnesium_az31")
WAY = Route(PowerLaw.from_material(AZ31), material_hardening(AZ31))
TWO = goals_of({"yield_stress_mpa": {"min": 150.0}, "twin_fraction": {"strain": 0.02, "max": 0.05}})


def test_tilting_is_exponential():
    """Equal steps of the gradient are equal factors of weight over prior, and the effort is spent."""
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    weights = _tilted(np.array([0.0, 1.0, 2.0, 3.0]), prior, 0.3)
    factor = np.diff(np.log(weights / prior))
    assert factor == pytest.approx(factor[0]) and factor[0] > 0
    assert cost(weights, np.zeros(0), prior) == pytest.approx(0.3, abs=1e-6)
    alone = _tilted(np.array([0.0, 1.0, 2.0, 3.0]), prior, 5.0)  # more than the best orientation costs
    assert alone == pytest.approx([0, 0, 0, 1], abs=1e-6)


def test_front():
    """From strongest to fewest twins: both fall along the front, no point beats another, the effort is one
    half nat, and no texture of that effort found at random is beyond the ends.
    """
    found = design.front(TWO, WAY, effort=0.5, count=4, grid_deg=15.0)
    stress, twins = np.array([list(d.properties.values()) for d in found]).T
    assert (np.diff(stress) <= 0).all() and (np.diff(twins) <= 0).all() and len(found) >= 3
    for one in found:
        assert one.certificate["relative_entropy"] == pytest.approx(0.5, abs=0.02)
    rng, count = np.random.default_rng(0), len(found[0].weights)
    prior = np.full(count, 1 / count)
    for _ in range(5):
        weights = _tilted(rng.standard_normal(count), prior, 0.5)
        full = np.tile(weights / 4, 4)
        copies = found[0].to_frame()[["qw", "qx", "qy", "qz"]].to_numpy()
        values = WAY.values(copies, full, TWO)
        assert values[0] < stress.max() and values[1] > twins.min()


def test_nothing_cheaper_is_stronger():
    """A stress 2 % above the strong end of a front of two nats is not found by a design that asks for it, or
    costs as much.
    """
    fcc = systems("fcc", families=["octahedral"])
    law = PowerLaw(fcc, [10.0], n=20.0)
    goals = goals_of({"yield_stress_mpa": {"min": 1.0}, "slip_transmission": {"min": 0.5}})
    strongest = design.front(goals, Route(law, NoHardening()), effort=2.0, count=2, grid_deg=15.0)[0]
    more = strongest.properties["yield_stress_mpa"]
    asked = {"yield_stress_mpa": {"min": 1.02 * more}}
    found = design.suggest(asked, law=law, route="affine", count=1, grid_deg=15.0)
    spent = cost(found.weights, np.zeros(0), np.full(len(found.weights), 1 / len(found.weights)))
    assert found.status == "nearest" or spent > 1.9


def test_from_a_present_texture():
    """The prior is the texture that is given, and its name says so."""
    q = random_quaternions(100, np.random.default_rng(0))
    found = design.front(TWO, WAY, effort=0.3, count=2, grid_deg=20.0, present=(q, None))
    assert {d.prior for d in found} == {"present"}


@pytest.mark.parametrize(
    "asked", [{"r_value": 1.0, "yield_stress_mpa": {"min": 1.0}}, {"yield_stress_mpa": {"min": 1.0}}]
)
def test_bad_fronts(asked):
    """Numbers are no direction, one goal no front, an effort must be spent."""
    with pytest.raises(ParameterError, match="two goals with min or max"):
        design.front(goals_of(asked), WAY)
    with pytest.raises(ParameterError, match="positive effort"):
        design.front(TWO, WAY, effort=0.0)
