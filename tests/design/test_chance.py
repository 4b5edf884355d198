"""Designs that hold with a probability, at draws of the strengths that they were not made with."""

import numpy as np
import pytest

from cpml import design
from cpml.crystallography import load_material
from cpml.design.goals import goals_of
from cpml.design.routes import Route
from cpml.design.verify import chance
from cpml.errors import ParameterError
from cpml.plasticity import PowerLaw, material_hardening

AZ31 = load_material("magnesium_az31")
ASKED = {"yield_stress_mpa": {"min": 130.0}, "twin_fraction": {"strain": 0.03, "max": 0.06}}
OPTIONS = {"material": AZ31, "route": "taylor", "count": 1, "grid_deg": 20.0}


def draws(count, seed, spread=0.15):
    return AZ31.strengths * np.exp(spread * np.random.default_rng(seed).standard_normal((count, 4)))


@pytest.mark.slow
def test_holds_at_other_draws(monkeypatch):
    """Asked for 0.9 it holds at 0.7 to 1 of 60 fresh draws (three binomial standard errors of both
    samples; the benchmark has more draws); the design at the mean strengths alone holds less often.
    """
    monkeypatch.setattr(chance, "_GRAINS", 100)
    monkeypatch.setattr(chance, "_JUDGED", 150)
    sure = design.suggest(ASKED, strengths=draws(30, 0), probability=0.9, **OPTIONS)
    plain = design.suggest(ASKED, **OPTIONS)
    route = Route(PowerLaw.from_material(AZ31), material_hardening(AZ31), scheme="taylor")
    shares = {}
    for name, one in (("sure", sure), ("plain", plain)):
        table = design.chance_table(one, goals_of(ASKED), route, draws(60, 1)).set_index("goal")
        shares[name] = table.loc["all goals", "probability"]
        assert table.loc["yield_stress_mpa", "low"] < table.loc["yield_stress_mpa", "high"]
    assert sure.status == "reached" and sure.certificate["probability"] >= 0.9
    assert shares["sure"] >= 0.7 and shares["plain"] < shares["sure"] - 0.05


@pytest.mark.parametrize(
    "change, words",
    [
        ({"strengths": draws(60, 0)[:, :2]}, "give positive finite draws"),
        ({"strengths": draws(60, 0) * np.nan}, "give positive finite draws"),
        ({"strengths": draws(5, 0)}, "at least 20 draws"),
        ({"strengths": draws(60, 0), "probability": 1.0}, "below 1"),
    ],
)
def test_bad_input(change, words):
    """One line each; a number cannot be met with a probability."""
    with pytest.raises(ParameterError, match=words):
        design.suggest(ASKED, **OPTIONS, **change)
    with pytest.raises(ParameterError, match="ask for min or max"):
        design.suggest({"yield_stress_mpa": 120.0}, strengths=draws(60, 0), **OPTIONS)
