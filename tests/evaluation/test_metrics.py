"""Scores against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from cpml.evaluation import metrics


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    return (rng.random(400) < p).astype(float), p


def test_agrees_with_scikit_learn(sample):
    """Same definitions as scikit-learn; rounding apart."""
    y, p = sample
    assert metrics.average_precision(y, p) == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert metrics.roc_auc(y, p) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert metrics.log_loss(y, p).mean() == pytest.approx(log_loss(y, p), rel=1e-4)  # ours clips at 1e-6
    assert metrics.brier(y, p).mean() == pytest.approx(brier_score_loss(y, p), abs=1e-12)


def test_knowing_nothing_scores_the_prevalence():
    """A constant probability has PR-AUC = prevalence and ROC-AUC = 1/2, exactly."""
    y = np.r_[np.ones(30), np.zeros(70)]
    p = np.full(100, 0.3)
    assert metrics.average_precision(y, p) == pytest.approx(0.3)
    assert metrics.roc_auc(y, p) == pytest.approx(0.5)


def test_ties_are_shared_fairly():
    """Four equal probabilities with one right target: top-1 hits 1/4, top-2 hits 1/2."""
    grain, y, p = np.zeros(4, int), np.array([0, 1.0, 0, 0]), np.full(4, 0.2)
    assert metrics.top_k_hits(grain, y, p, 1)[1] == pytest.approx([0.25])
    assert metrics.top_k_hits(grain, y, p, 2)[1] == pytest.approx([0.5])


def test_grains_without_footprint_do_not_count_in_top_k():
    """Top-k asks where the footprint is, so a grain without one has no answer."""
    grain, y, p = np.array([1, 1, 2, 2]), np.array([0.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.8, 0.3])
    grains, hits = metrics.top_k_hits(grain, y, p, 1)
    assert grains.tolist() == [2] and hits.tolist() == [1.0]


def test_wilson_interval_of_no_success():
    """0 of 10: low end 0, high end z^2/(n + z^2)."""
    low, high = metrics.wilson_interval(np.array([0.0]), np.array([10.0]), z=1.96)
    assert low[0] == pytest.approx(0.0, abs=1e-12)
    assert high[0] == pytest.approx(1.96**2 / (10 + 1.96**2))


def test_calibrated_predictions_lie_on_the_diagonal(sample):
    """y drawn with probability p: calibration error of 400 draws in 8 bins stays below 3 standard errors (0.07)."""
    y, p = sample
    assert metrics.expected_calibration_error(y, p) < 0.07
    assert metrics.reliability(y, p)["count"].sum() == 400
