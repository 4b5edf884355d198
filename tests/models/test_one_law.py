"""F uses f_CP: with another flow rule, everything that F says of grains changes.

The rule stands in `cpml.plasticity.laws.flow` alone; here it is exchanged there, and nowhere else.
"""

from functools import partial

import numpy as np
import pytest

from benchmarks.synthetic import synthetic_specimen
from cpml.models.mechanics.features import full_field_shear
from cpml.plasticity import PowerLaw, full_field
from cpml.plasticity.laws import flow


def field(model, specimen):
    """Shear rates of the law solved on a map of four grains."""
    law = PowerLaw(specimen.systems, specimen.material.strengths, n=5.0)
    grid = np.arange(4).reshape(2, 2)
    return full_field(law, grid, specimen.quaternions[:4], loading=specimen.load, tol=1e-2).shear_rate


def known_answer(model, specimen):
    """Shares of shear from which the footprints of a synthetic specimen are made."""
    return synthetic_specimen(20, material="magnesium", ratios={"basal": 1.0, "twin_1012": 1.5}).share


SAYINGS = {
    "predictions": lambda model, specimen: model.predict(specimen)["share"],
    "likelihood": lambda model, specimen: model.log_likelihood(specimen),
    "levels": lambda model, specimen: model.predict_levels(specimen).query("level == 'system'")["p"],
    "explanation": lambda model, specimen: model.explain(specimen)["p_active"],
    "pull of the neighbours": lambda model, specimen: model.forward(specimen)[0].localisation.pulls.numpy(),
    "features of the baselines": lambda model, specimen: full_field_shear(specimen),
    "full field": field,
    "synthetic footprints": known_answer,
}


def two_way_twins(monkeypatch):
    """A rule under which twins shrink as readily as they grow."""
    monkeypatch.setattr(flow, "directed", lambda tau, is_polar: tau)


def half_the_exponent(monkeypatch):
    """A rule with half the exponent that the law asks for."""

    def with_half(function, x, *others, **options):
        *before, n = others
        return function(x, *before, n / 2, **options)

    monkeypatch.setattr(flow, "shares", partial(with_half, flow.shares))
    monkeypatch.setattr(flow, "log_activity", partial(with_half, flow.log_activity))
    monkeypatch.setattr(flow, "whole_power", partial(with_half, flow.whole_power))


@pytest.mark.parametrize("change", [two_way_twins, half_the_exponent])
@pytest.mark.parametrize("saying", SAYINGS)
def test_another_rule_another_answer(specimen, fitted, monkeypatch, saying, change):
    """Every number that depends on which systems a stress moves follows the rule."""
    before = np.asarray(SAYINGS[saying](fitted, specimen))
    change(monkeypatch)
    after = np.asarray(SAYINGS[saying](fitted, specimen))
    # inside a grain the rule is repeated in compiled code, held to it in test_within_grain: what is left of
    # the change in the likelihood comes through the stresses
    assert np.abs(after - before).max() > 1e-4 * np.abs(before).max()


def test_the_chain_of_causes_follows_the_rule(specimen, fitted, monkeypatch):
    """What counts as loaded is the rule's word: causes are told in units of the most loaded systems."""
    before = fitted.explain(specimen)["x"]
    two_way_twins(monkeypatch)
    assert (fitted.explain(specimen)["x"] - before).abs().max() > 1e-3
