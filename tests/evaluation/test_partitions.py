"""Scores over partitions, grains that are images of each other, and ranks inside families."""

import numpy as np
import pandas as pd
import pytest

from cpml.errors import ParameterError
from cpml.evaluation import blocked_folds, evaluate, metrics, over_partitions, paired_differences, verdict
from support.tables import square_grains


@pytest.fixture
def two_models():
    """Labels of 144 grains and two planes of two families, predictions of a guess and of one that knows."""
    rng = np.random.default_rng(0)
    grains, boundaries = square_grains(12, distance_um=10.0)
    labels = pd.concat(
        [
            grains[["grain_id"]].assign(
                mechanism="slip", target=t, family=f, observed=rng.random(144) < share
            )
            for t, f, share in (("a", "easy", 0.7), ("b", "hard", 0.2))
        ],
        ignore_index=True,
    ).astype({"observed": float})
    knows = labels.assign(p=0.3 * labels["observed"] + 0.7 * rng.random(288), model="knows")
    guess = labels.assign(p=np.where(labels["family"] == "easy", 0.7, 0.2), model="guess")
    return grains, boundaries, labels, pd.concat([knows, guess], ignore_index=True)


def test_knowing_families_is_worth_nothing_inside_them(two_models):
    """The right share of each family beats the prevalence over all pairs (0.45); inside families it scores
    their prevalences exactly, by hand.
    """
    grains, boundaries, labels, predictions = two_models
    table = evaluate(predictions, labels, splits=blocked_folds(grains, boundaries)).set_index(
        ["model", "metric"]
    )
    shares = labels.groupby("family")["observed"].mean()
    assert table.at[("guess", "pr_auc_within"), "value"] == pytest.approx(shares.mean())
    assert table.at[("guess", "pr_auc"), "value"] > labels["observed"].mean() + 0.1
    assert table["n_families"].eq(2).all()
    row = table.loc[("knows", "pr_auc_within")]
    assert shares.mean() < row["low"] < row["value"] < row["high"] <= 1.0


def test_families_of_few_are_not_ranked():
    """Five positives and five negatives are enough, four of either are not, and what has no name never is."""
    family = np.array(["a"] * 10 + ["b"] * 20 + [None] * 20, dtype=object)
    y = np.r_[np.ones(5), np.zeros(5), np.ones(4), np.zeros(16), np.ones(10), np.zeros(10)]
    assert metrics.ranked_families(y, family) == ["a"]
    p = np.r_[np.linspace(1, 0.1, 10), np.zeros(40)]
    rows = metrics.scores(y, p, np.arange(50), None, family)
    assert rows[0, metrics.METRICS.index("pr_auc_within")] == 1.0
    assert np.isnan(metrics.scores(y, p, np.arange(50))[0, 0])


def test_one_partition_is_what_evaluate_says(two_models):
    """Scores, differences and intervals of one run are those of `evaluate` and `paired_differences`."""
    grains, boundaries, labels, predictions = two_models
    splits = blocked_folds(grains, boundaries)
    scores, gains = over_partitions([(predictions, splits)], labels, reference="knows", n_boot=50)
    plain = evaluate(predictions, labels, splits=splits, n_boot=50)
    keys = ["model", "metric"]
    ours, theirs = scores.set_index(keys), plain.set_index(keys)
    ranked = [k for k in ours.index if k[1] != "ece"]  # whose resamples are moved to its value
    for column in ("value", "low", "high"):
        assert ours.loc[ranked, column].to_numpy() == pytest.approx(theirs.loc[ranked, column].to_numpy())
    asked = {"splits": splits, "reference": "knows", "n_boot": 50}
    judged = verdict(paired_differences(predictions, labels, **asked)).set_index("metric")
    found = gains.set_index("metric").loc[judged.index]
    for column in ("gain", "low", "high"):
        assert found[column].to_numpy() == pytest.approx(judged[column].to_numpy())


def test_partitions_are_averaged_on_the_same_blocks(two_models):
    """The mean of two partitions lies between them; other blocks, no run or an unknown reference are
    errors.
    """
    grains, boundaries, labels, predictions = two_models
    runs = [
        (predictions.assign(p=predictions["p"] * (1 - 0.3 * k)), blocked_folds(grains, boundaries, seed=k))
        for k in (0, 1)
    ]
    scores, _ = over_partitions(runs, labels, reference="knows", n_boot=20)
    rows = scores[scores["metric"] == "log_loss"]
    assert ((rows["lowest"] + rows["highest"]) / 2).to_numpy() == pytest.approx(rows["value"].to_numpy())
    assert (rows["n_partitions"] == 2).all()
    elsewhere = (predictions, blocked_folds(grains, boundaries, blocks=(2, 5)))
    for wrong, reference in (([], "knows"), ([runs[0], elsewhere], "knows"), (runs, "nobody")):
        with pytest.raises(ParameterError):
            over_partitions(wrong, labels, reference=reference)


def test_images_of_a_grain_are_held_out_together(two_models):
    """Grains of the first column go on in the last one: both are in one block, no fold trains on the image of
    a held-out grain nor on the image's neighbours, and blocks without images stay.
    """
    grains, boundaries, _, _ = two_models
    at = {tuple(p): g for p, g in zip(grains[["x_um", "y_um"]].to_numpy(), grains["grain_id"], strict=True)}
    low, high = grains["x_um"].min(), grains["x_um"].max()
    rows = sorted(grains["y_um"].unique())
    pairs = [(at[low, y], at[high, y]) for y in rows]
    images = pd.Series({g: k for k, pair in enumerate(pairs) for g in pair})
    splits = blocked_folds(grains, boundaries, groups=images)
    block = splits.table.set_index("grain_id")["block"]
    plain = blocked_folds(grains, boundaries).table.set_index("grain_id")["block"]
    alone = ~block.index.isin(images.index)
    assert (block[alone] == plain[alone]).all()
    step = rows[1] - rows[0]
    for fold in splits.folds:
        train, test = set(splits.train(fold)), set(splits.test(fold))
        assert not train & test
        for (left, right), y in zip(pairs, rows, strict=True):
            assert (left in test) == (right in test)
            if left in test:
                assert not train & {at[low + step, y], at[high - step, y]}
    assert any(splits.train(f).size for f in splits.folds)
