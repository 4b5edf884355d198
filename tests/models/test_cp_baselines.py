"""CP alone: each scheme, strengths of the literature and fitted."""

from dataclasses import replace

import numpy as np
import pytest

from cpml.errors import CpmlError
from cpml.models import CrystalPlasticity, observed
from cpml.models.summary import SCHEMES


def log_likelihood(model, specimen):
    """Of the observed labels under the model's probabilities."""
    y = observed(specimen)
    p = model.predict(specimen)["p"].to_numpy().reshape(y.shape)
    return np.nansum(np.where(y == 1, np.log(p), np.where(y == 0, np.log1p(-p), np.nan)))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_fitted_strengths_explain_the_labels_better(scheme, build):
    """Truth 40 % away from the literature: fitted strengths gain likelihood over those of the literature."""
    specimen, _ = build(40, ratios=[20.0, 35.0, 100.0, 60.0])
    plain, fitted = (CrystalPlasticity(scheme, fitted=f, max_iter=6).fit([specimen]) for f in (False, True))
    assert log_likelihood(fitted, specimen) > log_likelihood(plain, specimen)
    assert fitted.ratios_["basal"] == plain.ratios_["basal"] == 1.0


def test_fitted_sachs_finds_the_ratio_of_a_sachs_crystal(build):
    """Labels of a Sachs crystal without scatter, prismatic / basal = 3, literature
    2: within 15 % from 300 grains.
    """
    specimen, _ = build(300, ratios=[20.0, 60.0, 100.0, 60.0], scatter=0.0, n_exponent=10.0)
    file = specimen.material
    wrong = {
        **file.families,
        "prismatic": replace(file.families["prismatic"], strength=2 * file.strengths[0]),
    }
    specimen = replace(specimen, material=replace(file, families=wrong))
    model = CrystalPlasticity("sachs", fitted=True).fit([specimen])
    assert model.ratios_["prismatic"] == pytest.approx(3.0, rel=0.15)


def test_a_scheme_that_notebook_03_did_not_write_is_solved(specimen):
    """No share_affine in the specimen: solved, shares add up to one, and
    nothing is written into the specimen.
    """
    assert "share_affine" not in specimen.cp
    share = CrystalPlasticity("affine").fit([specimen])._score(specimen)
    np.testing.assert_allclose(share.sum(1), 1.0, atol=1e-8)
    assert "share_affine" not in specimen.cp
    given = replace(specimen, cp=specimen.cp | {"share_affine": specimen.cp["share_taylor"]})
    taylor = CrystalPlasticity("taylor").fit([specimen]).predict(specimen)["p"]
    assert CrystalPlasticity("affine").fit([given]).predict(given)["p"].tolist() == taylor.tolist()


def test_one_material_at_a_time(specimen, build):
    """Strengths of magnesium and of nickel cannot be fitted together."""
    with pytest.raises(CpmlError, match="one material"):
        CrystalPlasticity("sachs", fitted=True).fit([specimen, build(9, material="nickel")[0]])
