"""Texture design: conditions hold, certificates prove, the random texture is its own
answer, wrong targets are refused.
"""

import numpy as np
import pytest

from cpml.crystallography import load_material, quaternion_to_matrix, systems
from cpml.design import reachable, suggest, texture_properties
from cpml.design.grid import orientation_grid, prior_names, prior_texture, sample_copies, spiral_orientations
from cpml.design.properties import CrystalPoints, q_of_r, rate_independent_properties
from cpml.errors import ParameterError
from cpml.plasticity import PowerLaw, single_crystal

GRID = 15.0  # degrees: 183 cubic orientations keep the tests fast
STEEL = PowerLaw.from_material(load_material("if_steel"))
MG = PowerLaw.from_material(load_material("magnesium"))
LAWS = {"steel": STEEL, "mg": MG}


@pytest.fixture(scope="module", params=list(LAWS))
def random_texture(request):
    """Law, grid, and the properties of equal weights on it."""
    law = LAWS[request.param]
    q = orientation_grid(law.systems.lattice, GRID)
    return law, q, texture_properties(law, q)


def test_random_texture_is_its_own_answer(random_texture):
    """Asked for the properties of equal weights, least entropy returns equal weights to 1e-6."""
    law, q, own = random_texture
    design = suggest(own, law=law, grid_deg=GRID, priors=["random"], verify=False)
    assert design.status == "reached"
    assert design.weights * len(q) == pytest.approx(1, abs=1e-6)
    assert design.certificate["kind"] == "duality gap" and abs(design.certificate["duality_gap"]) < 1e-10


def test_conditions_hold(random_texture):
    """Yield stress and free edge are met to 1e-8 of the yield stress; the properties solved for q agree."""
    law, _, own = random_texture
    target = {"yield_stress_mpa": 1.03 * own["yield_stress_mpa"], "r_value": 1.2 * own["r_value"]}
    design = suggest(target, law=law, grid_deg=GRID, verify=False)
    for d in (design, *design.alternatives):
        assert d.status == "reached" and d.weights.min() >= 0 and d.weights.sum() == pytest.approx(1)
        strength, conditions = CrystalPoints(law, d.quaternions).rows(q_of_r(target["r_value"]))
        assert strength @ d.weights == pytest.approx(target["yield_stress_mpa"], rel=1e-8)
        assert abs(conditions[0] @ d.weights) < 1e-8 * target["yield_stress_mpa"]
        solved = texture_properties(law, d.quaternions, d.weights)
        assert solved["r_value"] == pytest.approx(target["r_value"], rel=1e-6)
        assert solved["yield_stress_mpa"] == pytest.approx(target["yield_stress_mpa"], rel=1e-6)


def test_alternatives_differ(random_texture):
    """At least three designs for one target, no two closer than 5 % of the volume."""
    law, _, own = random_texture
    design = suggest(own, law=law, grid_deg=GRID, verify=False)
    every = (design, *design.alternatives)
    assert len(every) >= 3
    assert all(a.distance(b) > 0.05 for i, a in enumerate(every) for b in every[:i])


def test_out_of_reach_is_proved(random_texture):
    """Three times the random yield stress: a hyperplane, checked orientation by orientation, keeps the target
    out; the nearest design has the highest yield stress that is reachable at its r-value.
    """
    law, q, own = random_texture
    target = {"yield_stress_mpa": 3 * own["yield_stress_mpa"], "r_value": own["r_value"]}
    design = suggest(target, law=law, grid_deg=GRID, verify=False)
    proof = design.certificate
    assert design.status == "nearest" and proof["kind"] == "separating hyperplane" and proof["margin_mpa"] > 1
    strength, conditions = CrystalPoints(law, q).rows(q_of_r(proof["at_r_value"]))
    sides = proof["normal"] @ np.r_[strength[None], conditions]
    assert sides.max() <= proof["offset_mpa"] + 1e-9
    assert proof["normal"] @ np.r_[target["yield_stress_mpa"], 0] > sides.max() + 1
    best = reachable(law=law, grid_deg=GRID, r_values=[design.properties["r_value"]])
    assert design.properties["yield_stress_mpa"] == pytest.approx(best["yield_max_mpa"][0], rel=1e-6)
    assert all(
        d.status == "nearest" and d.properties["yield_stress_mpa"] < target["yield_stress_mpa"]
        for d in design.alternatives
    )


def test_yield_stress_alone_out_of_reach():
    """Without an r-value the proof covers every r of the sweep."""
    design = suggest({"yield_stress_mpa": 2000.0}, law=STEEL, grid_deg=GRID, verify=False)
    assert design.status == "nearest" and design.certificate["smallest_margin_over_r_mpa"] > 0
    assert design.certificate["n_r_values"] > 10


def test_edge_of_the_hull():
    """The highest reachable yield stress itself is reached (1e-8), by a mixture of few orientations."""
    best = float(reachable(law=STEEL, grid_deg=GRID, r_values=[2.0])["yield_max_mpa"][0])
    design = suggest({"yield_stress_mpa": best, "r_value": 2.0}, law=STEEL, grid_deg=GRID, verify=False)
    assert design.status == "reached" and design.properties["yield_stress_mpa"] == pytest.approx(
        best, rel=1e-8
    )
    assert design.effective_orientations < 5


@pytest.mark.parametrize("target", [{"r_value": 2.0}, {"yield_stress_mpa": 260.0}])
def test_single_targets(target):
    """One property alone is met."""
    design = suggest(target, law=STEEL, grid_deg=GRID, verify=False)
    ((key, value),) = target.items()
    assert design.status == "reached" and design.properties[key] == pytest.approx(value, rel=1e-8)


def test_verification():
    """Other routes agree: same grid 1e-6; 500 drawn orientations, all lateral strains free: yield 2 %, r 15 %
    (sampling: r reacts ten times more than the yield stress); rate-independent: yield 5 % (1/n).
    """
    design = suggest({"yield_stress_mpa": 255.0, "r_value": 1.2}, law=STEEL, grid_deg=GRID, priors=["random"])
    found = design.verification
    assert (
        abs(found["grid_yield_stress_mpa_deviation"]) < 1e-6 and abs(found["grid_r_value_deviation"]) < 1e-6
    )
    assert (
        abs(found["drawn_yield_stress_mpa_deviation"]) < 0.02 and abs(found["drawn_r_value_deviation"]) < 0.15
    )
    assert abs(found["limit_yield_stress_mpa_deviation"]) < 0.05


def test_triclinic_conditions():
    """Without sample symmetry the three mean shear stresses are conditions and hold too."""
    design = suggest(
        {"r_value": 1.3},
        law=STEEL,
        grid_deg=GRID,
        sample_symmetry="triclinic",
        priors=["random"],
        verify=False,
    )
    _, conditions = CrystalPoints(STEEL, design.quaternions, "triclinic").rows(q_of_r(1.3))
    assert len(conditions) == 4 and np.abs(conditions @ design.weights).max() < 1e-6


def test_reachable_region():
    """The random texture lies inside; stronger crystals scale the region (the law is
    homogeneous in the strengths).
    """
    own = texture_properties(STEEL, orientation_grid("bcc", GRID))
    region = reachable(law=STEEL, grid_deg=GRID, r_values=[0.5, own["r_value"], 3.0])
    row = region.iloc[1]
    assert row["yield_min_mpa"] < own["yield_stress_mpa"] < row["yield_max_mpa"]
    doubled = PowerLaw(STEEL.systems, 2 * STEEL.strength, STEEL.n, STEEL.reference_rate)
    twice = reachable(law=doubled, grid_deg=GRID, r_values=[0.5, own["r_value"], 3.0])
    assert twice["yield_max_mpa"].to_numpy() == pytest.approx(
        2 * region["yield_max_mpa"].to_numpy(), rel=1e-6
    )


def test_lateral_condition_is_the_slope_of_the_work():
    """d W/d q * n/(n+1) = <s33 - s22> (rate 1): the free edge is the minimum of the work."""
    q = spiral_orientations(20)
    law = PowerLaw(systems("fcc", families=["octahedral"]), [1.0], 20.0)

    def work(share):
        d = np.diag([1.0, -share, share - 1])
        stress = CrystalPoints(law, q).stress(share)
        return np.einsum("gij,ij->g", stress, d)

    h = 1e-5
    slope = (work(0.4 + h) - work(0.4 - h)) / (2 * h) * 20 / 21
    assert slope == pytest.approx(-CrystalPoints(law, q).rows(0.4)[1][0], abs=1e-5)


def test_copies_cancel_shear():
    """The four orthotropic copies share the normal stresses; their shear stresses add up to zero."""
    q = spiral_orientations(10)
    stress = single_crystal(STEEL, np.diag([1.0, -0.4, -0.6]), sample_copies(q, "orthotropic")).stress.numpy()
    assert np.ptp(stress[..., :2], axis=0).max() < 1e-6 * np.abs(stress).max()
    assert np.abs(stress[..., 2:].sum(axis=0)).max() < 1e-6 * np.abs(stress).max()


def test_frame_and_draw():
    """The table lists all copies, weights add up to 1; draws repeat with the seed and follow the weights."""
    design = suggest({"r_value": 2.0}, law=STEEL, grid_deg=GRID, priors=["gamma"], verify=False)
    table = design.to_frame()
    assert len(table) == 4 * len(design.weights) and table["weight"].sum() == pytest.approx(1)
    assert np.array_equal(design.draw(50, seed=3), design.draw(50, seed=3))
    poles = quaternion_to_matrix(design.draw(4000))[:, 2, :]
    expected = quaternion_to_matrix(table[["qw", "qx", "qy", "qz"]].to_numpy())[:, 2, :]
    assert np.mean(np.abs(poles.prod(axis=1))) == pytest.approx(
        np.sum(table["weight"] * np.abs(expected.prod(axis=1))), rel=0.03
    )


def test_grid_is_uniform():
    """Mean rotation angle pi/2 + 2/pi, unit length; priors are weights and concentrate as they should."""
    q = spiral_orientations(2000)
    assert np.linalg.norm(q, axis=1) == pytest.approx(1)
    assert 2 * np.degrees(np.arccos(np.abs(q[:, 0]))).mean() == pytest.approx(126.476, abs=0.3)
    for lattice in ("bcc", "hcp"):
        for name in prior_names(lattice):
            assert prior_texture(lattice, name, q).sum() == pytest.approx(1)
    basal = prior_texture("hcp", "basal", q)
    assert basal @ np.abs(quaternion_to_matrix(q)[:, 2, 2]) > 0.8


def test_rate_independent_limit():
    """Random fcc: M = 3.07 within the grid's 2 %, r = 1 within 5 %."""
    law = PowerLaw(systems("fcc", families=["octahedral"]), [1.0])
    found = rate_independent_properties(law, spiral_orientations(3000))
    assert found["yield_stress_mpa"] == pytest.approx(3.067, rel=0.02) and found["r_value"] == pytest.approx(
        1, abs=0.05
    )


@pytest.mark.parametrize(
    "target",
    [
        {"yield_stress_mpa": -1},
        {"r_value": 0},
        {"r_value": float("nan")},
        {},
        None,
        {"strength": 5},
        {"r_value": "high"},
        {"r_value": True},
    ],
)
def test_wrong_targets(target):
    """Negative yield stress, r of zero, NaN, nothing, unknown key, text: ParameterError."""
    with pytest.raises(ParameterError):
        suggest(target, law=STEEL)


def test_wrong_options():
    """Both or neither of material and law, unknown prior, symmetry and spacing."""
    for options in (
        {},
        {"law": STEEL, "material": "if_steel"},
        {"law": STEEL, "priors": ["brass"]},
        {"law": STEEL, "sample_symmetry": "cubic"},
        {"law": STEEL, "grid_deg": 0.1},
    ):
        with pytest.raises(ParameterError):
            suggest({"r_value": 1.0}, **options)
