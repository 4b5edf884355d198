"""The posterior of the source of a line: parameters come back, weights are probabilities, wrong models are
not believed.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import check_grad
from scipy.stats import norm

from cpml.evaluation import conformal_sets, flat_sets, set_coverage
from cpml.evaluation.conformal import with_score
from cpml.evaluation.sources import HALF_CIRCLE_DEG, Shown, Sources, cost_and_slope

TARGETS, SIGMA, TOLERANCE = 8, 2.0, 6.0


def world(rng, n_grains, *, false=0.0, sharpness=2.0):
    """Predicted probabilities (G, T), the true target of every grain, drawn from them, and the lines: one a
    grain at the angle of its target with an error, or (a share ``false``) anywhere.
    """
    p = 0.9 / (1 + np.exp(-sharpness * (rng.normal(size=(n_grains, TARGETS)) - 1)))
    share = p / p.sum(1, keepdims=True)
    truth = (share.cumsum(1) > rng.random(n_grains)[:, None]).argmax(1)
    traces = rng.uniform(0, HALF_CIRCLE_DEG, size=(n_grains, TARGETS))
    is_false = rng.random(n_grains) < false
    angle = np.where(
        is_false,
        rng.uniform(0, HALF_CIRCLE_DEG, n_grains),
        traces[np.arange(n_grains), truth] + SIGMA * rng.normal(size=n_grains),
    )
    gap = (angle[:, None] - traces + HALF_CIRCLE_DEG / 2) % HALF_CIRCLE_DEG - HALF_CIRCLE_DEG / 2
    likelihood = norm.pdf(gap, scale=SIGMA)
    near = np.where(np.abs(gap) <= TOLERANCE, likelihood, 0.0)
    total = near.sum(1, keepdims=True)
    probability = np.divide(near, total, out=np.zeros_like(near), where=total > 0)
    candidates = pd.DataFrame(
        {
            "trace_id": np.repeat(np.arange(n_grains), TARGETS),
            "grain_id": np.repeat(np.arange(n_grains) + 1, TARGETS),
            "mechanism": "slip",
            "target": np.tile([f"t{i}" for i in range(TARGETS)], n_grains),
            "probability": probability.ravel(),
            "likelihood": likelihood.ravel(),
        }
    )
    return p, truth, is_false, candidates


@pytest.fixture
def shown_of(long_table):
    """make(p, candidates) -> `Shown` of a model with these predictions."""

    def make(p, candidates) -> Shown:
        own = with_score(long_table(p, "p").assign(model="m"), "ratio")
        return Shown.of(own, long_table(np.full(p.shape, np.nan), "observed"), candidates)

    return make


def test_share_of_spurious_lines_and_trust_come_back(shown_of):
    """2,000 lines, a fifth of them spurious, of a model that is right: f within 0.03 (its standard error is
    0.014), trust within 0.1 of 1, offsets within 0.2 of each other; the weights add up to the real lines.
    """
    p, truth, is_false, candidates = world(np.random.default_rng(0), 2000, false=0.2)
    shown = shown_of(p, candidates)
    found = Sources.fit(shown)
    weight = found.weights(shown)
    assert found.false_share == pytest.approx(0.2, abs=0.03)
    assert found.trust == pytest.approx(1.0, abs=0.1)
    assert np.ptp(found.offset) < 0.4
    real = weight.sum(1)
    assert real.mean() == pytest.approx(1 - is_false.mean(), abs=0.03)
    assert (real <= 1 + 1e-12).all() and real[is_false].mean() < 0.6 < 0.85 < real[~is_false].mean()
    assert weight[np.arange(len(truth)), truth][~is_false].mean() > 0.8


def test_weights_are_probabilities(shown_of):
    """Of the candidates with a weight between 0.4 and 0.6, half are the source (300 of them: 0.03 is one
    standard error).
    """
    p, truth, is_false, candidates = world(np.random.default_rng(1), 3000, false=0.2)
    shown = shown_of(p, candidates)
    weight = Sources.fit(shown).weights(shown)
    is_source = (np.arange(TARGETS) == truth[:, None]) & ~is_false[:, None]
    middle = (weight > 0.4) & (weight < 0.6)
    assert middle.sum() > 100
    assert is_source[middle].mean() == pytest.approx(0.5, abs=0.1)


def test_a_model_that_says_nothing_is_not_believed(shown_of):
    """Predictions of other grains: the trust falls to zero (0.1 is two standard errors)."""
    p, _, _, candidates = world(np.random.default_rng(2), 2000, false=0.1)
    shown = shown_of(np.random.default_rng(0).permutation(p), candidates)
    assert abs(Sources.fit(shown).trust) < 0.1


def test_without_densities_no_line_is_spurious(shown_of):
    """Candidates with probabilities alone: all weight of a line goes to its candidates, of one that fits
    nothing to none.
    """
    p, _, _, candidates = world(np.random.default_rng(3), 200, false=0.3)
    shown = shown_of(p, candidates.drop(columns="likelihood"))
    found = Sources.fit(shown)
    fits = shown.angle.sum(1) > 0
    assert found.false_share == 0.0 and not fits.all()
    assert found.weights(shown).sum(1) == pytest.approx(fits.astype(float))


def test_slope_of_the_posterior(shown_of):
    """The analytic slope is that of differences, to their rounding."""
    p, _, _, candidates = world(np.random.default_rng(4), 50, false=0.2)
    for table in (candidates, candidates.drop(columns="likelihood")):
        both = cost_and_slope(shown_of(p, table))
        x = np.array([0.7, 0.3, -0.2, 0.1, 0.4, -2.0])
        assert check_grad(lambda v, f=both: f(v)[0], lambda v, f=both: f(v)[1], x) < 1e-3


@pytest.mark.parametrize("shuffled", [False, True])
def test_spurious_lines_do_not_calibrate(splits_of_blocks, long_table, shuffled):
    """A fifth of the lines is spurious. Sets hold 88 to 92 % of what truly slipped, and are smaller
    by a third than those that all lines calibrate, which hold nearly every one. A model with no skill gets
    larger sets, not less coverage.
    """
    rng = np.random.default_rng(5)
    p, truth, _, candidates = world(rng, 2000, false=0.2, sharpness=4.0)
    predicted = rng.permutation(p) if shuffled else p
    own = long_table(predicted, "p").assign(model="m")
    active = long_table(np.arange(TARGETS) == truth[:, None], "observed").astype({"observed": float})
    nothing = long_table(np.full(p.shape, np.nan), "observed")
    splits = splits_of_blocks(np.arange(2000) // 100)
    found = {
        how: conformal_sets(own, nothing, candidates, splits=splits, truth=active, ambiguous=how, n_boot=2)
        for how in ("posterior", "angle")
    }
    new, old = (found[how].table.iloc[0] for how in ("posterior", "angle"))
    inside = found["posterior"].rows["in_set"].to_numpy().reshape(p.shape)[np.arange(len(truth)), truth]
    assert new["coverage_active"] == pytest.approx(inside.mean()) and new["n_active"] == len(truth)
    assert 0.88 < new["coverage_active"] < 0.92 and 0.88 < new["coverage"] < 0.92
    assert new["n_real"] == pytest.approx(0.8 * 2000, rel=0.05)
    if not shuffled:
        assert old["coverage_active"] > 0.96
        assert new["set_size"] < 0.67 * old["set_size"]
    assert flat_sets(found["posterior"].table)["slip_m_coverage_active"] == new["coverage_active"]
    again = set_coverage(found["posterior"].rows, nothing, candidates, splits=splits, truth=active).table
    assert again["coverage_active"].iloc[0] == new["coverage_active"]
