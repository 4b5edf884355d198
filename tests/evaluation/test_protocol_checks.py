"""The protocol itself under test: models that know nothing, models that cheat, intervals that must cover."""

import numpy as np
import pandas as pd
import pytest

from cpml.evaluation import blocked_folds, evaluate, paired_differences, random_folds
from support.tables import copied_from_nearest, square_grains

METRIC = ["model", "metric"]


def scores_of(predictions, labels, splits, **options):
    return evaluate(predictions, labels, splits=splits, **options).set_index(METRIC)


def test_knowing_nothing_scores_the_prevalence(splits_of_blocks, long_table):
    """PR-AUC = prevalence: exactly for a constant, within noise for random
    numbers (2000 grains, 8 % positives).
    """
    rng = np.random.default_rng(0)
    labels = long_table(rng.random((2000, 1)) < 0.08, "observed")
    both = pd.concat(
        [
            long_table(np.full((2000, 1), 0.3), "p").assign(model="constant"),
            long_table(rng.random((2000, 1)), "p").assign(model="dice"),
        ]
    )
    table = scores_of(both, labels, splits_of_blocks(np.arange(2000) // 100))
    prevalence = labels["observed"].mean()
    assert table.at[("constant", "pr_auc"), "value"] == pytest.approx(prevalence)
    assert table.at[("dice", "pr_auc"), "value"] == pytest.approx(prevalence, abs=0.02)
    for model in ("constant", "dice"):
        assert table.at[(model, "roc_auc"), "value"] == pytest.approx(0.5, abs=0.04)
        assert table.at[(model, "mcc"), "value"] == pytest.approx(0.0, abs=0.05)
        assert table.at[(model, "balanced_accuracy"), "value"] == pytest.approx(0.5, abs=0.03)


def correlated_map(rng, side=24, patch=4):
    """Grains on a square lattice; patches of 4 x 4 grains share their label,
    and nothing measured explains it.
    """
    y, x = np.divmod(np.arange(side**2), side)
    n = side // patch
    truth = (rng.random((n, n)) < 0.3)[y // patch, x // patch] * 1.0
    return *square_grains(side), truth


def test_a_leak_is_worth_much_at_random_and_little_in_blocks():
    """Copying the neighbour: PR-AUC above 0.7 under a random split, below 0.45 in
    blocks (prevalence 0.3), four maps.
    """
    found = []
    for seed in range(4):
        parents, boundaries, truth = correlated_map(np.random.default_rng(seed))
        labels = pd.DataFrame(
            {"grain_id": parents["grain_id"], "mechanism": "slip", "target": "t", "observed": truth}
        )
        pair = {
            "random": random_folds(parents, boundaries),
            "blocked": blocked_folds(parents, boundaries, shells=3),
        }
        found.append(
            {
                name: scores_of(
                    labels.assign(p=copied_from_nearest(parents, truth, splits), model="leak"),
                    labels,
                    splits,
                    n_boot=0,
                ).at[("leak", "pr_auc"), "value"]
                / truth.mean()
                for name, splits in pair.items()
            }
        )
    mean = pd.DataFrame(found).mean()
    assert mean["random"] > 2.0  # twice the prevalence and more
    assert mean["blocked"] < 1.4


def test_intervals_cover_at_their_nominal_rate(splits_of_blocks, long_table):
    """Brier score of maps with 20 blocks that differ: the 90 % interval holds the true
    value in 82 to 96 % of 120 maps.

    Percentile intervals of 20 blocks are a little short (a t interval would be 1.05 times as wide), hence 82.
    """
    rng = np.random.default_rng(1)
    block = np.repeat(np.arange(20), 8)
    splits = splits_of_blocks(block)
    hits = []
    for _ in range(120):
        chance = 0.5 + 0.2 * np.where(rng.random(20) < 0.5, 1, -1)[block]
        labels = long_table((rng.random(160) < chance)[:, None], "observed")
        p = np.where(rng.random(20) < 0.5, 0.3, 0.7)[block]
        table = scores_of(long_table(p[:, None], "p").assign(model="m"), labels, splits)
        true_score = 0.21 + 0.5 * 0.16  # q (1 - q) + mean (p - q)^2, p and q independent coins of 0.3 and 0.7
        low, high = table.loc[("m", "brier"), ["low", "high"]]
        hits.append(low <= true_score <= high)
    assert 0.82 < np.mean(hits) < 0.96


def test_two_equal_models_differ_rarely(splits_of_blocks, long_table):
    """Two models of the same skill: the interval of their difference leaves out
    zero in 4 to 18 % of 100 maps.
    """
    rng = np.random.default_rng(2)
    block = np.repeat(np.arange(20), 8)
    splits, wrong = splits_of_blocks(block), []
    for _ in range(100):
        signal = rng.normal(size=160)
        labels = long_table((signal + rng.normal(size=160) > 0.8)[:, None], "observed")
        models = [
            long_table((1 / (1 + np.exp(-(signal + rng.normal(size=160)))))[:, None], "p").assign(model=m)
            for m in "ab"
        ]
        table = paired_differences(pd.concat(models), labels, splits=splits, reference="a", n_boot=100)
        low, high = table.set_index("metric").loc["log_loss", ["low", "high"]]
        wrong.append(low > 0 or high < 0)
    assert 0.04 < np.mean(wrong) < 0.18


def test_interval_of_the_calibration_error_holds_its_value(splits_of_blocks, long_table):
    """Resampling adds noise and so calibration error; the interval is centred
    and holds the value all the same.
    """
    rng = np.random.default_rng(3)
    p = rng.random((200, 1))
    labels = long_table(rng.random((200, 1)) < p, "observed")
    table = scores_of(long_table(p, "p").assign(model="m"), labels, splits_of_blocks(np.arange(200) // 10))
    value, low, high = table.loc[("m", "ece"), ["value", "low", "high"]]
    assert 0 <= low < value < high
