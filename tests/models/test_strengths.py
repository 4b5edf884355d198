"""What a fit says of strengths: quantiles, their course over a test, the model's own error."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.bench_strengths import needed
from benchmarks.synthetic import synthetic_specimen
from cpml.crystallography import load_material
from cpml.errors import ParameterError
from cpml.models import CoupledClassifier
from cpml.models.checks.variants import with_family
from cpml.models.coupled.prior import EXCUSES, Prior
from cpml.models.coupled.stand_in import quick_fit
from cpml.models.coupled.strengths import model_error
from cpml.models.coupled.strengths.hardened import NOMINAL_STRAIN, expected_rise, rises, strength_history
from cpml.models.coupled.strengths.marginals import ratio_quantiles
from cpml.models.mechanics.grain_stress import grain_state
from cpml.models.numerics import STANDARD

TITANIUM = Prior(load_material("titanium_ti64_alpha"), ("basal", "prismatic", "pyramidal1_ca"))
RATIOS = {"prismatic": 1.0, "basal": 1.2, "pyramidal1_ca": 2.0}


@dataclass
class Density:
    """A posterior whose log density is given."""

    prior: Prior
    log_density: object
    numerics: object = STANDARD

    def cost(self, vector):
        return -self.log_density(vector)


def normal(mean, covariance):
    precision = torch.tensor(np.linalg.inv(covariance))
    return lambda v: -0.5 * (v - mean) @ precision @ (v - mean)


def covariance(n: int) -> np.ndarray:
    half = np.random.default_rng(0).standard_normal((n, n))
    return 0.01 * (half @ half.T / n + np.eye(n))


def test_quantiles_of_a_normal_posterior_are_exact():
    """With any correlation to other parameters: mean and 1.645 standard deviations of the ratio."""
    mean, spread = TITANIUM.centre(), covariance(len(TITANIUM.names))
    found = ratio_quantiles(Density(TITANIUM, normal(mean, spread)), mean, spread)
    contrast = np.zeros(len(mean))
    contrast[[0, TITANIUM.reference]] = 1.0, -1.0
    sd = np.sqrt(contrast @ spread @ contrast)
    middle = float(contrast @ mean.numpy())
    # interpolated between steps of 0.75 standard deviations: 1 % of one
    np.testing.assert_allclose(found[0], middle + sd * np.array([-1.645, 0, 1.645]), atol=0.02 * sd)
    assert not found[TITANIUM.reference].any()


def test_a_family_that_never_acts_has_a_long_upper_side():
    """A likelihood that only says 'stronger than': the interval leans to the strong side."""
    mean, spread = TITANIUM.centre(), covariance(len(TITANIUM.names))
    plain = normal(mean, spread)
    ref = TITANIUM.reference
    at = float(mean[2] - mean[ref])

    def log_density(v):
        return plain(v) + torch.nn.functional.logsigmoid(60 * (v[2] - v[ref] - at))

    low, middle, high = ratio_quantiles(Density(TITANIUM, log_density), mean, spread)[2]
    assert high - middle > 1.3 * (middle - low)


def test_strengths_without_hardening_do_not_change():
    """Ti-6Al-4V has no hardening in its file: mean, initial and final ratios are one."""
    made = synthetic_specimen(9, material="titanium_ti64_alpha", ratios=RATIOS)
    specimen = replace(made.specimen, material=replace(made.specimen.material, hardening={}))
    table = table_of(specimen)
    shear = np.full((9, len(specimen.systems)), 0.01)
    history = strength_history(specimen, table, shear)
    assert np.allclose(history.groupby("family")["ratio"].std(), 0.0)


def table_of(specimen) -> pd.DataFrame:
    names = specimen.systems.family_names
    ratio = [RATIOS[name] for name in names]
    columns = {"ratio": ratio, "ratio_low": np.multiply(ratio, 0.9), "ratio_high": np.multiply(ratio, 1.1)}
    return pd.DataFrame({"family": names, "strength_mpa": 100.0, "reference": "prismatic"} | columns)


def test_linear_hardening_has_its_mean_half_way():
    """Voce with tau1 = 0 is linear: theta1 MPa a shear; three times the slope moves the ratio."""
    made = synthetic_specimen(9, material="titanium_cp", ratios=RATIOS)
    slopes = {"prismatic": 100, "basal": 300, "pyramidal1_ca": 0}
    voce = {"law": "voce", "tau1_mpa": 0, "theta0_mpa": 0, "theta1_mpa": slopes}
    specimen = replace(made.specimen, material=replace(made.specimen.material, hardening=voce))
    shear = np.full((9, len(specimen.systems)), 0.1 / len(specimen.systems))
    rise = rises(specimen, shear)
    by_name = dict(zip(specimen.systems.family_names, rise.T, strict=True))
    start = dict(zip(specimen.material.families, specimen.material.strengths, strict=True))
    for name, slope in (("prismatic", 100.0), ("basal", 300.0)):
        # every system sheared 0.1 in all: slope times that over the strength
        np.testing.assert_allclose(by_name[name][-1], 1 + slope * 0.1 / start[name], rtol=1e-9)
        np.testing.assert_allclose(by_name[name].mean(), (1 + by_name[name][-1]) / 2, rtol=1e-9)
    history = strength_history(specimen, table_of(specimen), shear)
    ratio = history[history["family"] == "basal"].set_index("moment")["ratio"]
    assert ratio["initial"] < ratio["mean"] < ratio["end"]
    assert ratio["end"] / ratio["initial"] == pytest.approx(by_name["basal"][-1] / by_name["prismatic"][-1])


def linear(specimen, slope: float):
    """Hardening of ``slope`` MPa a shear, the same on every family; known to a factor e^0.3."""
    voce = {"law": "voce", "tau1_mpa": 0, "theta0_mpa": 0, "theta1_mpa": slope, "log_spread": 0.3}
    return replace(specimen, material=replace(specimen.material, hardening=voce))


def test_the_prior_of_a_mean_strength_has_risen_half_way():
    """Linear hardening by the shear of all systems: half of slope, Taylor factor and strain over the
    strength, whichever systems shear; none without hardening.
    """
    specimen = linear(synthetic_specimen(40, ratios=RATIOS, seed=1).specimen, 200.0)
    still = replace(specimen, material=replace(specimen.material, hardening={}))
    np.testing.assert_allclose(expected_rise(still), 1.0, rtol=1e-12)
    found = expected_rise(specimen)
    start = specimen.material.strengths
    gained = (found - 1) * start
    np.testing.assert_allclose(gained, gained[0], rtol=1e-9)
    strain = specimen.load.strain or NOMINAL_STRAIN
    taylor = grain_state(specimen, np.log(start * found), "affine").taylor
    # the last strengths differ from those of the last round by the rise that it changes: a few percent
    assert gained[0] == pytest.approx(0.5 * 200.0 * taylor * strain, rel=0.02)


def test_families_that_deform_no_medium_harden_under_the_load():
    """Basal slip and twins leave most strains to nobody, so there is no mean medium; a fit by the load's
    stress needs none, nor does its prior: linear hardening by the total shear.
    """
    ratios = {"basal": 1.0, "twin_1012": 2.0}
    specimen = linear(synthetic_specimen(40, material="titanium_cp", ratios=ratios, seed=1).specimen, 200.0)
    start = specimen.material.strengths
    with pytest.raises(ParameterError, match="hardens without limit"):
        grain_state(specimen, np.log(start), "affine")
    found = expected_rise(specimen)
    strain = specimen.load.strain or NOMINAL_STRAIN
    shear = grain_state(specimen, np.log(start * found), "sachs").taylor * strain
    # the last strengths differ from those of the last round: a few percent
    np.testing.assert_allclose((found - 1) * start, 0.5 * 200.0 * shear, rtol=0.02)
    assert quick_fit(CoupledClassifier(), [specimen]).converged_


def test_prior_ratios_of_the_mean_and_of_the_beginning():
    """ln(m_k / m_ref) apart; a rise m of which the half is hardening has half of its spread."""
    material = replace(TITANIUM.material, hardening={"log_spread": 0.4})
    prior = replace(TITANIUM, material=material, rise=(1.0, 2.0, 1.0))
    k, ref = prior.families.index("pyramidal1_ca"), prior.reference
    assert prior.families[ref] == "prismatic" and not prior.ratios()[:, ref].any()
    initial, mean = prior.ratios(initial=True)[:, k], prior.ratios()[:, k]
    assert mean[1] == pytest.approx(initial[1] - np.log(2))
    known = (initial[2] - initial[1]) / 1.645
    assert (mean[2] - mean[1]) / 1.645 == pytest.approx(np.hypot(known, 0.5 * 0.4), rel=1e-3)
    centre, half = (v[: len(prior.families)] for v in prior.starts())
    np.testing.assert_allclose((half - half[ref]).numpy(), 0.5 * (centre - centre[ref]).numpy())


def test_parameters_that_are_held_stay_where_the_search_began():
    """So that false traces excuse nothing before the law was asked; the others rise at least as far."""
    specimen = synthetic_specimen(40, ratios=RATIOS, seed=1).specimen
    model = CoupledClassifier(scheme="sachs", n_draws=16)
    model.prior_ = Prior(specimen.material, specimen.systems.family_names)
    start = model.prior_.centre()
    posterior = model._posterior([specimen], start, 16)
    held = posterior.maximise(start, max_iter=20, held=EXCUSES)
    stays = np.isin(model.prior_.names, EXCUSES)
    np.testing.assert_allclose(held.vector[stays], start[stays], rtol=1e-12)
    assert (held.vector[~stays] != start[~stays]).all()
    assert held.log_posterior > -float(posterior.cost(start))


def test_an_added_family_hardens_as_the_others():
    """A family that the file does not know has a law all the same."""
    specimen = synthetic_specimen(9, ratios=RATIOS).specimen
    slopes = {"prismatic": 100.0, "basal": 300.0, "pyramidal1_ca": 200.0}
    voce = {"law": "voce", "tau1_mpa": 0.0, "theta0_mpa": 0.0, "theta1_mpa": slopes}
    specimen = with_family(
        replace(specimen, material=replace(specimen.material, hardening=voce)), "pyramidal1_a"
    )
    assert specimen.material.hardening["theta1_mpa"] == slopes | {"pyramidal1_a": 200.0}
    assert np.isfinite(expected_rise(specimen)).all()


def test_model_error_widens(monkeypatch):
    """In quadrature by the spread; a family without footprints has the literature's end."""
    monkeypatch.setattr(model_error, "SPREAD", {"slip": 0.2, "twin": 0.0})
    ratios = np.array([[0.1, 0.2, 0.4], [0.0, 0.0, 0.0], [0.5, 0.6, 0.7]])
    low, middle, high = model_error.with_model_error(ratios, TITANIUM, np.array([20.0, 20.0, 0.0])).T
    assert middle[0] == pytest.approx(0.2)
    assert middle[0] - low[0] == pytest.approx(np.hypot(0.1, 1.645 * 0.2), rel=1e-3)
    assert high[0] - middle[0] == pytest.approx(np.hypot(0.2, 1.645 * 0.2), rel=1e-3)
    literature = np.log(590 / 370) + 1.645 * np.hypot(0.4, 0.3)
    assert high[2] == pytest.approx(literature, rel=1e-3)
    assert not low[1] and not high[1]


def test_needed_spread_makes_nine_of_ten_intervals_hold():
    """Misses of a spread of 0.3 beside the 0.1 that is claimed: found again, and then intervals cover."""
    rng = np.random.default_rng(0)
    truth = np.exp(rng.normal(0, 0.5, 4000))
    log_ratio = np.log(truth) + rng.normal(0, np.hypot(0.1, 0.3), 4000)
    half = 1.645 * 0.1
    ends = {"low": np.exp(log_ratio - half), "high": np.exp(log_ratio + half)}
    rows = pd.DataFrame({"ratio": np.exp(log_ratio), "truth": truth} | ends)
    spread = needed(rows)
    # standard error of a quantile of 4000: 0.008
    assert spread == pytest.approx(0.3, abs=0.03)
    covered = np.abs(log_ratio - np.log(truth)) < 1.645 * np.hypot(0.1, spread)
    assert covered.mean() == pytest.approx(0.9, abs=0.01)


def test_footprints_of_families_add_up_and_unseen_families_are_open():
    """Every trace belongs to a family or is false; what was never seen reaches to the literature's end."""
    made = synthetic_specimen(60, seed=1)
    model = CoupledClassifier(scheme="sachs", edges=False, residual=False, n_draws=16, max_iter=40)
    model.fit([made.specimen])
    assert 0.7 * len(made.specimen.traces) < model.footprints_.sum() <= len(made.specimen.traces)
    table = model.strengths_.set_index("family")
    unseen = [f for f, n in zip(model.family_names_, model.footprints_, strict=True) if n < 3]
    assert all(table.loc[f, "ratio_high"] >= table.loc[f, "prior_high"] * (1 - 1e-9) for f in unseen)


def test_sampler_agrees_with_a_normal_posterior():
    """Draws of a correlated normal density have its mean and spread."""
    pytest.importorskip("pyro", reason="the sampler is optional: pip install cpml[sampling]")
    from cpml.models.coupled.strengths.sampling import sample

    mean, spread = TITANIUM.centre(), covariance(len(TITANIUM.names))
    density = Density(TITANIUM, normal(mean, spread))
    drawn = sample(density, mean, spread, number=300, seed=0)
    sd = np.sqrt(np.diag(spread))
    # 300 draws, of which some are alike: a tenth of a standard deviation per standard error
    assert np.abs((drawn.mean(0) - mean.numpy()) / sd).max() < 0.4
    assert np.abs(drawn.std(0) / sd - 1).max() < 0.3
