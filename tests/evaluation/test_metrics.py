"""Scores against closed forms and scikit-learn, of one sample and of many resamples."""

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

from cpml.evaluation import metrics
from cpml.evaluation.resampled import block_weights


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    return (rng.random(400) < p).astype(float), p


def scores(y, p, grain=None, weight=None):
    """Every metric by name, of each resample."""
    table = metrics.scores(y, p, np.arange(len(y)) if grain is None else grain, weight)
    return dict(zip(metrics.METRICS, table.T, strict=True))


def test_agrees_with_scikit_learn(sample):
    """Same definitions as scikit-learn, the last two of the matched answer; rounding apart."""
    y, p = sample
    ours, answer = scores(y, p), metrics.matched_answer(y, p)
    assert ours["pr_auc"] == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert ours["roc_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert ours["log_loss"] == pytest.approx(log_loss(y, p), rel=1e-4)  # ours clips at 1e-6
    assert ours["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert ours["mcc"] == pytest.approx(matthews_corrcoef(y, answer), abs=1e-12)
    assert ours["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, answer), abs=1e-12)


def test_knowing_nothing_scores_the_prevalence():
    """A constant probability: PR-AUC = prevalence, ROC-AUC and balanced accuracy 1/2, MCC 0, exactly."""
    ours = scores(np.r_[np.ones(30), np.zeros(70)], np.full(100, 0.3))
    assert ours["pr_auc"] == pytest.approx(0.3) and ours["roc_auc"] == pytest.approx(0.5)
    assert ours["mcc"] == pytest.approx(0.0) and ours["balanced_accuracy"] == pytest.approx(0.5)


def test_what_one_class_cannot_tell():
    """Only positives: ranking and yes/no answers have no score, probabilities do."""
    ours = scores(np.ones(5), np.linspace(0.1, 0.5, 5))
    assert all(np.isnan(ours[name]) for name in ("roc_auc", "mcc", "balanced_accuracy"))
    assert ours["log_loss"] == pytest.approx(-np.log(np.linspace(0.1, 0.5, 5)).mean())


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
    assert metrics.calibration_error(y, p)[0] < 0.07
    bins = metrics.reliability(y, p)
    assert bins["count"].sum() == 400
    assert (bins["low"] < bins["observed"]).all() and (bins["observed"] < bins["high"]).all()
    by_hand = np.average(np.abs(bins["observed"] - bins["predicted"]), weights=bins["count"])
    assert metrics.calibration_error(y, p) == pytest.approx(by_hand)


def test_matched_answer_says_yes_as_often_as_there_are_positives(sample):
    """Yes and no where probabilities differ; a constant one answers the prevalence."""
    y, p = sample
    answer = metrics.matched_answer(y, p)
    assert answer.sum() == y.sum() and set(answer) == {0.0, 1.0}
    assert metrics.matched_answer(y, np.full(len(y), 0.2)) == pytest.approx(np.full(len(y), y.mean()))


def test_a_resample_is_its_rows():
    """Weights of a resample of whole blocks give what the resampled rows themselves
    give, ties included.
    """
    rng = np.random.default_rng(7)
    grain = np.repeat(np.arange(40), 5)
    p = np.round(rng.random(200), 1)
    y, block = (rng.random(200) < p) * 1.0, grain // 5
    weight = block_weights(block, 5, rng)
    ours = scores(y, p, grain, weight)
    answer = metrics.matched_answer(y, p)
    grains, hits = metrics.top_k_hits(grain, y, p, 1)
    for b, w in enumerate(weight):
        rows = np.repeat(np.arange(200), w.astype(int))
        plain = scores(y[rows], p[rows])
        for name in ("pr_auc", "roc_auc", "log_loss", "brier", "ece"):
            assert ours[name][b] == pytest.approx(plain[name][0])
        said, seen = answer[rows], y[rows]
        assert ours["mcc"][b] == pytest.approx(np.corrcoef(seen, said)[0, 1])
        right = said[seen == 1].mean(), 1 - said[seen == 0].mean()
        assert ours["balanced_accuracy"][b] == pytest.approx(np.mean(right))
        times = np.array([w[grain == g][0] for g in grains])
        assert ours["top1"][b] == pytest.approx((times * hits).sum() / times.sum())
