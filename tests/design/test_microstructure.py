"""Variables beside the texture: Hall-Petch and Orowan in closed form, designs that move them, bad input."""

import numpy as np
import pytest
import torch

from cpml import design
from cpml.crystallography import load_material, random_quaternions
from cpml.design.goals import goals_of
from cpml.design.grid import orientation_grid, sample_copies, texture_on_grid
from cpml.design.microstructure import microstructure_of
from cpml.design.routes import Route
from cpml.errors import ParameterError
from cpml.plasticity import PowerLaw, material_hardening
from cpml.plasticity.laws.strength.begin import begin_at

ALUMINIUM, AZ31 = load_material("aluminium"), load_material("magnesium_az31")
SYSTEMS = ALUMINIUM.systems()
SIZE = {"grain_size_um": {"now": 25.0, "min": 1.0, "max": 100.0, "k_mpa_um05": 30.0}}
COARSE = {"grid_deg": 15.0, "route": "affine", "count": 1}


def test_hall_petch_and_twin_boundaries():
    """From 25 to 4 um: k (1/2 - 1/5); three quarters of all boundary length twins of 4 um grains: those of
    1 um; the slope by z is that of the closed form.
    """
    micro = microstructure_of(SIZE, ALUMINIUM, SYSTEMS)
    z = np.array([micro.variables[0].coordinate(4.0)])
    assert micro.shift(z) == pytest.approx([30 * (1 / 2 - 1 / 5)])
    spread = micro.variables[0].spread
    assert micro.slope(z)[0, 0] == pytest.approx(-30 * spread / 2 / np.sqrt(4.0), rel=1e-6)
    both = microstructure_of(SIZE | {"twin_boundary_fraction": {"max": 0.75}}, ALUMINIUM, SYSTEMS)
    z = np.array([both.variables[0].coordinate(4.0), both.variables[1].coordinate(0.75)])
    assert both.shift(z) == pytest.approx([30 * (1 - 1 / 5)])
    weak = {"twin_boundary_fraction": {"max": 0.75, "resistance": 0.0}}
    assert microstructure_of(SIZE | weak, ALUMINIUM, SYSTEMS).shift(z) == pytest.approx(
        [30 * (1 / 2 - 1 / 5)]
    )


def test_orowan():
    """One per cent of particles of 50 nm in aluminium, the formula worked out by hand: they lie
    .05 (7.79 - .785) = .350 um apart; mu = 26.6 GPa (Voigt; file), nu from the bulk modulus, b = .2863 nm.
    """
    asked = {"particle_fraction": {"max": 0.02, "diameter_um": 0.05}}
    micro = microstructure_of(asked, ALUMINIUM, SYSTEMS)
    z = np.array([micro.variables[0].coordinate(0.01)])
    mu = float(ALUMINIUM.shear_modulus(293.0))
    c11, c12 = ALUMINIUM.elastic["C11"], ALUMINIUM.elastic["C12"]
    bulk = (c11 + 2 * c12) / 3
    nu = (3 * bulk - 2 * mu) / (6 * bulk + 2 * mu)
    wanted = mu * 2.86e-4 / (2 * np.pi * np.sqrt(1 - nu) * 0.35025) * np.log(0.785 * 0.05 / 2.86e-4)
    assert micro.shift(z) == pytest.approx([wanted], rel=5e-3)
    assert 15 < wanted < 25


def test_particles_do_not_harden_twins():
    """Slip families alone."""
    micro = microstructure_of({"particle_fraction": {"max": 0.02}}, AZ31, AZ31.systems())
    shift = micro.shift(np.array([micro.variables[0].coordinate(0.01)]))
    assert (shift[:3] > 0).all() and shift[3] == 0


@pytest.mark.parametrize("material", ["copper", "austenitic_steel", "aluminium", "stainless_316l"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_every_hardening_begins_at_the_strengths_of_its_law(material, factor):
    """Dislocation densities as well: the first state has what the law has, and rises from there."""
    metal = load_material(material)
    law = PowerLaw.from_material(metal, strength=factor * metal.strengths)
    rise = begin_at(material_hardening(metal), law.system_strength)
    state = rise.start(law.system_strength[None])
    assert state["strength"][0].numpy() == pytest.approx(law.system_strength.numpy(), rel=1e-9)
    slip = torch.full((1, len(law.systems)), 1e-3, dtype=torch.float64)
    after = rise.harden(state, slip, 1.0, rate=1e-3, temperature=293.0)
    assert (after["strength"] > state["strength"]).all()


def test_grain_size_for_what_texture_cannot_do():
    """A stress above every texture's is reached with smaller grains, at the size that the closed form gives
    for a texture that is held; the design is the same when solved by hand.
    """
    q = random_quaternions(300, np.random.default_rng(0))
    law, rise = PowerLaw.from_material(ALUMINIUM), material_hardening(ALUMINIUM)
    asked = {"yield_stress_mpa": {"min": 40.0}}
    plain = design.suggest(asked, material=ALUMINIUM, **COARSE)
    assert plain.status == "nearest" and plain.certificate["kind"] == "separating hyperplane"
    found = design.suggest(asked, material=ALUMINIUM, variables=SIZE, **COARSE)
    assert found.status == "reached" and 1 < found.microstructure["grain_size_um"] < 25
    assert found.properties["yield_stress_mpa"] == pytest.approx(40.0, rel=0.012)
    held = SIZE | {"texture": False}
    same = design.suggest(asked, material=ALUMINIUM, variables=held, present=(q, None), **COARSE)
    grid = orientation_grid("fcc", 15.0)
    copies = sample_copies(grid, "orthotropic")
    assert same.weights == pytest.approx(texture_on_grid("fcc", copies, q))
    now = Route(law, rise).values(copies.reshape(-1, 4), np.tile(same.weights / 4, 4), goals_of(asked))[0]
    factor = now / law.strength.item()  # one family: stresses go with its strength
    root = (40.0 / factor - law.strength.item()) / 30.0 + 1 / 5
    assert same.microstructure["grain_size_um"] == pytest.approx(root**-2, rel=0.05)
    assert same.strengths == pytest.approx(law.strength.numpy() + 30 * (root - 1 / 5), rel=0.02)
    table = design.prove(same, goals_of(asked), Route(law, rise), schemes=(), field=False)
    assert table["deviation"].abs().max() < 0.02


def test_texture_and_size_together_and_shape():
    """More than either would have to do alone, and the cheaper of two is used more: with a narrow spread of
    size the texture goes further.
    """
    asked = {"yield_stress_mpa": {"min": 13.0}, "r_value": {"min": 1.3}}
    given = {
        name: design.suggest(
            asked,
            material=ALUMINIUM,
            variables={"grain_size_um": {**SIZE["grain_size_um"], "spread": spread}},
            **COARSE,
        )
        for name, spread in (("easy", 1.0), ("hard", 0.05))
    }
    assert all(d.status == "reached" for d in given.values())
    assert given["easy"].microstructure["grain_size_um"] < given["hard"].microstructure["grain_size_um"]
    assert given["easy"].effective_orientations > given["hard"].effective_orientations
    flat = design.suggest(
        {"yield_stress_mpa": {"min": 8.0}},
        material=ALUMINIUM,
        variables={"grain_aspect": {"max": 4.0}},
        **COARSE,
    )
    aspect = flat.microstructure["grain_aspect"]
    assert flat.shape == pytest.approx(np.diag([np.sqrt(aspect), 1.0, 1 / np.sqrt(aspect)]))


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"size": {}}, "unknown 'size'; known: texture, grain_size_um"),
        ({"grain_size_um": {"min": 1, "max": 10}}, "now is missing"),
        ({"grain_size_um": {"now": 20, "max": 10}}, "must rise"),
        ({"grain_size_um": {"now": 20, "min": np.nan}}, "finite number"),
        ({"grain_size_um": {"now": 20, "k_mpa_um05": -1}}, "one number, or one for each family"),
        ({"grain_size_um": {"now": 20, "depth": 1}}, "give a mapping of"),
        ({"twin_boundary_fraction": {"max": 0.5}}, "needs grain_size_um"),
        ({"particle_fraction": {"max": 0.9}}, "must rise"),
        ({"particle_fraction": {"max": 0.1, "diameter_um": 1e-4}}, "diameters from"),
        ({"texture": False}, "nothing else is given"),
        ({"texture": "no", "grain_aspect": {"max": 2}}, "true or false"),
        ([1], "give a mapping"),
    ],
)
def test_bad_variables(variables, says):
    """One line with the place and what is known."""
    with pytest.raises(ParameterError, match=says):
        design.suggest({"yield_stress_mpa": 10.0}, material=ALUMINIUM, variables=variables)


def test_constants_that_nobody_has():
    """A law has no Hall-Petch constant of its own, and no moduli."""
    law = PowerLaw.from_material(ALUMINIUM)
    with pytest.raises(ParameterError, match="give k_mpa_um05"):
        design.suggest({"yield_stress_mpa": 10.0}, law=law, variables={"grain_size_um": {"now": 20}})
    with pytest.raises(ParameterError, match="elastic constants"):
        design.suggest({"yield_stress_mpa": 10.0}, law=law, variables={"particle_fraction": {"max": 0.1}})
    with pytest.raises(ParameterError, match="give present="):
        design.suggest({"yield_stress_mpa": 10.0}, material=ALUMINIUM, variables={**SIZE, "texture": False})
