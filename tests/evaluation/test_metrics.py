"""Scores against closed forms and scikit-learn."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
)

from cpml.evaluation import metrics, resampled


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


def test_top_k_by_enumeration():
    """Expected hit over all orders of equal probabilities, one random grain after the other."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        n = int(rng.integers(2, 6))
        p, y = np.round(rng.random(n), 1), (rng.random(n) < 0.4) * 1.0
        y[rng.integers(n)] = 1.0
        for k in (1, 2):
            hits = []
            for order in itertools.permutations(range(n)):
                if (np.diff(p[list(order)]) <= 0).all():
                    hits.append(y[list(order)][:k].max())
            assert metrics.top_k_hits(np.zeros(n, int), y, p, k)[1][0] == pytest.approx(np.mean(hits))


def test_grains_without_footprint_do_not_count_in_top_k():
    """Top-k asks where the footprint is, so a grain without one has no answer."""
    grain, y, p = np.array([1, 1, 2, 2]), np.array([0.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.8, 0.3])
    grains, hits = metrics.top_k_hits(grain, y, p, 1)
    assert grains.tolist() == [2] and hits.tolist() == [1.0]


def test_calibrated_predictions_lie_on_the_diagonal(sample):
    """y drawn with probability p: calibration error of 400 draws in 8 bins stays
    below 3 standard errors (0.07).
    """
    y, p = sample
    assert metrics.expected_calibration_error(y, p) < 0.07
    assert metrics.reliability(y, p)["count"].sum() == 400


def test_matched_answer_says_yes_as_often_as_there_are_positives(sample):
    """MCC and balanced accuracy are those of scikit-learn for that answer; a
    constant probability scores 0 and 1/2.
    """
    y, p = sample
    answer = metrics.matched_answer(y, p)
    assert answer.sum() == y.sum() and set(answer) == {0.0, 1.0}
    assert metrics.matthews(y, answer) == pytest.approx(matthews_corrcoef(y, answer), abs=1e-12)
    assert metrics.balanced_accuracy(y, answer) == pytest.approx(
        balanced_accuracy_score(y, answer), abs=1e-12
    )
    constant = metrics.matched_answer(y, np.full(len(y), 0.2))
    assert constant == pytest.approx(np.full(len(y), y.mean()))
    assert metrics.matthews(y, constant) == pytest.approx(0.0)
    assert metrics.balanced_accuracy(y, constant) == pytest.approx(0.5)


def test_resamples_agree_with_the_plain_definitions():
    """Weights of a resample of whole blocks give what the plain definitions give on the
    resampled rows, ties included.
    """
    rng = np.random.default_rng(7)
    grain = np.repeat(np.arange(40), 5)
    p = np.round(rng.random(200), 1)
    y, block = (rng.random(200) < p) * 1.0, grain // 5
    weight = resampled.block_weights(block, 5, rng)
    found = resampled.scores(y, p, grain, weight)
    for w, row in zip(weight, found, strict=True):
        rows = np.repeat(np.arange(200), w.astype(int))
        got, a, b = dict(zip(metrics.METRICS, row, strict=True)), y[rows], p[rows]
        assert got["pr_auc"] == pytest.approx(metrics.average_precision(a, b))
        assert got["roc_auc"] == pytest.approx(metrics.roc_auc(a, b))
        assert got["log_loss"] == pytest.approx(metrics.log_loss(a, b).mean())
        assert got["brier"] == pytest.approx(metrics.brier(a, b).mean())
        assert got["ece"] == pytest.approx(metrics.expected_calibration_error(a, b))
        answer = metrics.matched_answer(y, p)[rows]
        assert got["mcc"] == pytest.approx(metrics.matthews(a, answer))
        assert got["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy(a, answer))
        grains, hits = metrics.top_k_hits(grain, y, p, 1)
        times = np.array([w[grain == g][0] for g in grains])
        assert got["top1"] == pytest.approx((times * hits).sum() / times.sum())
