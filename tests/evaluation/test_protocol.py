"""Splits that do not leak, and a table that says what it counted."""

import numpy as np
import pandas as pd
import pytest

from cpml.errors import CpmlError, ParameterError
from cpml.evaluation import blocked_folds, evaluate, paired_differences, random_folds
from support.tables import copied_from_nearest, square_grains


@pytest.fixture
def mosaic():
    """12 x 12 grains on a square lattice with their neighbour pairs."""
    return square_grains(12, distance_um=10.0)


def test_every_grain_is_held_out_once(mosaic):
    """Folds partition the grains."""
    splits = blocked_folds(*mosaic, n_folds=4)
    held = np.concatenate([splits.test(f) for f in splits.folds])
    assert sorted(held) == list(range(1, 145))


@pytest.mark.parametrize("shells", [0, 1, 2])
def test_buffer_separates_training_from_test(mosaic, shells):
    """No training grain lies within `shells` neighbours of a held-out grain."""
    parents, boundaries = mosaic
    splits = blocked_folds(parents, boundaries, shells=shells)
    where = parents.set_index("grain_id")[["x_um", "y_um"]]
    for fold in splits.folds:
        train, test = where.loc[splits.train(fold)].to_numpy(), where.loc[splits.test(fold)].to_numpy()
        steps = np.abs(train[:, None] - test[None]).sum(-1) / 10.0  # neighbour steps on the square lattice
        assert steps.min() > shells


def test_blocked_split_catches_a_neighbour_leak(mosaic):
    """A model that copies the nearest training grain gains by a random split and is unmasked by blocks."""
    parents, _ = mosaic
    rng = np.random.default_rng(1)
    patch = rng.random((4, 4)) < 0.4
    y, x = np.divmod(np.arange(144), 12)
    truth = patch[y // 3, x // 3] * 1.0  # patches of 3 x 3 grains share their label: spatial correlation only
    labels = pd.DataFrame(
        {"grain_id": parents["grain_id"], "mechanism": "slip", "target": "t", "observed": truth}
    )
    scores = {}
    for name, splits in (("random", random_folds(*mosaic)), ("blocked", blocked_folds(*mosaic, shells=2))):
        copied = labels.assign(p=copied_from_nearest(parents, truth, splits), model="copy")
        table = evaluate(copied, labels, splits=splits, n_boot=0)
        scores[name] = table.set_index("metric").at["roc_auc", "value"]
    assert scores["random"] > 0.75
    assert scores["blocked"] < 0.65


def test_missing_labels_are_left_out(mosaic):
    """NaN is neither positive nor negative: the counts in the table are those of observed labels."""
    parents, boundaries = mosaic
    splits = blocked_folds(parents, boundaries)
    observed = np.tile([1.0, 0.0, np.nan], 48)
    labels = pd.DataFrame(
        {"grain_id": parents["grain_id"], "mechanism": "slip", "target": "t", "observed": observed}
    )
    table = evaluate(labels.assign(p=0.5, model="m"), labels, splits=splits, n_boot=20)
    assert table["n_labels"].unique().tolist() == [96]
    assert table["prevalence"].unique().tolist() == [0.5]
    assert evaluate(labels.assign(p=0.5, model="m"), labels.assign(observed=np.nan), splits=splits).empty


def test_a_label_without_prediction_is_an_error(mosaic):
    """Scores over a silent subset would flatter a model that abstains."""
    parents, boundaries = mosaic
    splits = blocked_folds(parents, boundaries)
    labels = pd.DataFrame(
        {"grain_id": parents["grain_id"], "mechanism": "slip", "target": "t", "observed": 1.0}
    )
    with pytest.raises(CpmlError, match="no prediction"):
        evaluate(labels.assign(p=0.5, model="m").iloc[1:], labels, splits=splits, n_boot=0)


def test_difference_to_itself_is_zero_and_better_is_positive(mosaic):
    """A copy of the reference differs by exactly 0; a model that knows the answer gains in PR-AUC."""
    parents, boundaries = mosaic
    splits = blocked_folds(parents, boundaries)
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(
        {
            "grain_id": parents["grain_id"],
            "mechanism": "slip",
            "target": "t",
            "family": "f",
            "observed": (rng.random(144) < 0.4) * 1.0,
        }
    )
    guess = labels.assign(p=rng.random(144), model="guess")
    both = pd.concat(
        [guess, guess.assign(model="same"), labels.assign(p=labels["observed"] * 0.8 + 0.1, model="oracle")]
    )
    table = paired_differences(both, labels, splits=splits, reference="guess").set_index(["model", "metric"])
    assert (table.loc["same", ["difference", "low", "high"]].to_numpy() == 0).all()
    assert table.at[("oracle", "pr_auc"), "low"] > 0
    with pytest.raises(ParameterError, match="reference"):
        paired_differences(both, labels, splits=splits, reference="nobody")
