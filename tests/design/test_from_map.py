"""From a map and a classifier to designs, and what is told of them."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cpml import design
from cpml.crystallography import load_material, random_quaternions
from cpml.design.goals import goals_of
from cpml.design.routes import Route
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity import PowerLaw, material_hardening

AZ31 = load_material("magnesium_az31")
FAMILIES = list(AZ31.families)
WAY = Route(PowerLaw.from_material(AZ31), material_hardening(AZ31))
BOUNDS = {"yield_stress_mpa": {"min": 110.0}, "twin_fraction": {"strain": 0.02, "max": 0.08}}


class Learned:
    """What a fitted classifier tells a design."""

    strengths_ = pd.DataFrame(
        {"family": FAMILIES, "ratio_low": [1.0, 4.5, 5.5, 1.6], "ratio_high": [1, 6, 8, 2.4]}
    )

    def strength_history(self, specimen):
        """Families in another order than the table, as none promises one."""
        first = {"basal": 18.0, "prismatic": 90.0, "pyramidal2_ca": 120.0, "twin_1012": 35.0}
        rows = [("mean", f, 2 * v) for f, v in first.items()] + [("initial", f, v) for f, v in first.items()]
        return pd.DataFrame(rows[::-1], columns=["moment", "family", "strength_mpa"])


@pytest.fixture(scope="module")
def specimen():
    """A map of 60 grains of random orientation and size."""
    rng = np.random.default_rng(0)
    grains = pd.DataFrame({"n_pixels": rng.integers(10, 100, 60)})
    return SimpleNamespace(
        material=AZ31,
        load=Load.from_dict({"kind": "tension", "axis": "x"}),
        grains=grains,
        quaternions=random_quaternions(60, rng),
    )


def test_strengths_at_the_start(specimen):
    """Initial ones, not the means over the test, by name; draws spread as the intervals say."""
    law, draws = design.learned_law(Learned(), specimen, seed=1)
    assert law.strength.numpy() == pytest.approx([18.0, 90.0, 120.0, 35.0])
    assert draws.shape == (100, 4) and np.ptp(draws[:, 0]) == 0
    spread = np.log(draws[:, 1]).std()
    assert spread == pytest.approx(np.log(6 / 4.5) / (2 * 1.645), rel=0.2)


def test_design_of_a_classifier(specimen, monkeypatch):
    """Bounds are handed on with draws of its strengths, to the texture closest to the specimen's; numbers are
    met at the strengths themselves.
    """
    options = {"classifier": Learned(), "specimen": specimen, "route": "affine", "count": 1, "grid_deg": 20.0}
    handed = []

    def with_chance(make, goals, route, draws, probability):
        handed.append((draws, probability))
        return make(goals)

    monkeypatch.setattr(importlib.import_module("cpml.design.suggest"), "with_chance", with_chance)
    found = design.suggest(BOUNDS, **options)
    assert found.prior == "present" and found.status == "reached"
    assert handed[0][0].shape == (100, 4) and handed[0][1] == 0.9
    number = design.suggest({"yield_stress_mpa": 120.0}, **options)
    assert number.status == "reached" and "probability" not in number.certificate
    law, _ = design.learned_law(Learned(), specimen)
    by_law = design.suggest(
        {"yield_stress_mpa": 120.0},
        law=law,
        hardening=WAY.hardening,
        present=(specimen.quaternions, specimen.grains["n_pixels"].to_numpy(float)),
        route="affine",
        count=1,
        grid_deg=20.0,
    )
    assert number.weights == pytest.approx(by_law.weights)
    for wrong in (
        {"classifier": Learned()},
        {"classifier": Learned(), "specimen": specimen, "material": AZ31},
    ):
        with pytest.raises(ParameterError, match="classifier with its specimen"):
            design.suggest(BOUNDS, **wrong)


def test_tables(specimen):
    """What was asked beside what is; a change counts the volume that moves from the present texture."""
    present = (specimen.quaternions, specimen.grains["n_pixels"].to_numpy(float))
    asked, now = design.asked_of_map(WAY, *present, yield_factor=1.05, strain=0.02)
    goals = goals_of(asked)
    more = {"material": AZ31, "route": "affine", "count": 1, "grid_deg": 20.0, "present": present}
    sheet = design.suggest(asked, **more)
    size = design.grain_size_of_map(AZ31, np.array([20.0, 40.0]))
    assert size["grain_size_um"]["now"] == 30.0 and size["grain_size_um"]["min"] == 3.0
    fine = design.suggest(asked, variables={**size, "texture": False}, **more)
    table = design.change_table({"texture": sheet, "grain size": fine}, goals)
    assert table["volume_moved"].to_numpy() == pytest.approx([sheet.certificate["volume_moved"], 0.0])
    assert table["volume_moved"][0] > 0.01 and np.isnan(table["grain_size_um"][0])
    assert table["grain_size_um"][1] < 30.0
    told = design.goal_table(sheet, goals, now).set_index("goal")
    assert told.loc["yield_stress_mpa", "low"] == pytest.approx(1.05 * now["yield_stress_mpa"])
    assert told.loc["yield_stress_mpa", "design"] == sheet.properties["yield_stress_mpa"]
    assert np.isnan(told["p5"]).all()


def test_no_constant_no_variable():
    """A material without a Hall-Petch constant has no grain size to change."""
    bare = load_material("aluminium")
    object.__setattr__(bare, "hall_petch", {})
    assert design.grain_size_of_map(bare, np.array([10.0])) == {}


def test_mechanisms_and_sensitivity():
    """Shares add up to one; a stronger family changes stresses by its derivative: all families by 10 % change
    the stress by 10 %; a random tenth brings the design a tenth of the way, or near it.
    """
    found = design.suggest({"yield_stress_mpa": 120.0}, material=AZ31, route="affine", count=1, grid_deg=15.0)
    goals = goals_of({"yield_stress_mpa": 120.0})
    table = design.sensitivity(found, goals, WAY).set_index("change")["deviation"]
    assert table[[f"{f} +10%" for f in FAMILIES]].sum() == pytest.approx(0.1, rel=1e-3)
    assert abs(table["10% of the texture at random"]) < 0.05
    assert abs(table["texture spread by 5 deg"]) < 0.05
    q = random_quaternions(50, np.random.default_rng(1))
    acting = design.mechanisms({"one": (q, None), "two": (q[:25], np.ones(25))}, WAY, strain=0.02)
    assert acting[acting["family"] != ""].groupby("texture")["share"].sum().to_numpy() == pytest.approx(1.0)
    path = WAY.path(q, None, 0.02)
    whole = acting[(acting["family"] == "") & (acting["texture"] == "one")]
    assert whole["twin_fraction"].iloc[0] == pytest.approx(path.twin_fraction[-1].sum(), rel=1e-6)


def test_sensitivity_to_grain_size():
    """Ten per cent coarser grains: the derivative of Hall and Petch."""
    size = {"grain_size_um": {"now": 20.0, "min": 5.0, "max": 20.0}}
    metal = load_material("aluminium")
    found = design.suggest(
        {"yield_stress_mpa": {"min": 12.0}},
        material=metal,
        variables=size,
        route="affine",
        count=1,
        grid_deg=20.0,
    )
    goals = goals_of({"yield_stress_mpa": {"min": 12.0}})
    law = PowerLaw.from_material(metal)
    micro = design.microstructure_of(size, metal, law.systems)
    way = Route(law, material_hardening(metal))
    change = design.sensitivity(found, goals, way, micro=micro).set_index("change").loc["grain_size_um +10%"]
    d, k = found.microstructure["grain_size_um"], 20.0
    factor = found.properties["yield_stress_mpa"] / found.strengths[0]
    lost = factor * k * ((1.1 * d) ** -0.5 - d**-0.5)
    assert change["value"] - found.properties["yield_stress_mpa"] == pytest.approx(lost, rel=1e-3)


def test_where_a_design_extrapolates():
    """A cold test, a sharp texture, grains of a tenth of a micrometre, no process near: a line each;
    strengths that move a goal by more than a tenth within their spread are named.
    """
    few = design.suggest({"yield_stress_mpa": 120.0}, material=AZ31, route="affine", count=1, grid_deg=15.0)
    goals = goals_of({"yield_stress_mpa": 120.0})
    lines = design.cautions(few, goals, WAY, AZ31)
    assert any("strength of prismatic" in line for line in lines) and not any(
        "sharp" in line for line in lines
    )
    sharp = np.eye(len(few.weights))[0]
    odd = replace(few, weights=sharp, microstructure={"grain_size_um": 0.1})
    far = pd.DataFrame({"process": ["rolling"], "strain": ["0.2"], "distance_deg": [35.0]})
    lines = design.cautions(odd, goals, replace(WAY, temperature=77.0), AZ31, processes=far)
    for words in ("77 K lies outside 273 to 323", "is sharp", "grains of 0.1 um", "(rolling 0.2) is 35 deg"):
        assert any(words in line for line in lines), words


def test_goals_from_a_file(tmp_path):
    """The mapping of a YAML file; what is wrong in it is named as in a notebook."""
    (tmp_path / "goals.yml").write_text("yield_stress_mpa: {min: 110}\n")
    found = design.suggest(tmp_path / "goals.yml", material=AZ31, count=1, grid_deg=20.0)
    assert found.target == {"yield_stress_mpa": "at least 110"}
    (tmp_path / "goals.yml").write_text("yield: 110\n")
    with pytest.raises(ParameterError, match="unknown property 'yield'"):
        design.suggest(tmp_path / "goals.yml", material=AZ31)
