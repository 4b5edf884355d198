"""What is recorded turned into what is active, by one pair of rates for all models."""

import numpy as np
import pandas as pd
import pytest

from cpml.evaluation import active, detection_rates


def answers(detection, chance=0.02, n=200, folds=2):
    """Rows of a model that answers both questions, and of one that is asked for records only."""
    rng = np.random.default_rng(0)
    p_active = rng.random(n)
    table = pd.DataFrame({"mechanism": "slip", "fold": np.arange(n) % folds, "p_active": p_active})
    own = table.assign(model="both", p=detection * p_active + chance)
    return pd.concat([own, own.assign(model="one", p_active=np.nan)], ignore_index=True)


def test_rates_are_those_that_tie_the_two_answers():
    """p = 0.7 p_active + 0.02 in every fold: both rates come back, and every model's p becomes p_active, held
    to 0.99.
    """
    table = answers(0.7)
    rates = detection_rates(table).loc["slip"]
    assert rates.to_numpy() == pytest.approx([0.7, 0.02])
    truth = np.tile(table["p_active"].dropna().to_numpy(), 2)
    assert active(table)["p"].to_numpy() == pytest.approx(np.minimum(truth, 0.99))


def test_one_fold_that_went_astray_decides_nothing():
    """Of five folds one has half the detection of the others: the rates are those of the four."""
    table = answers(0.8, folds=5)
    table.loc[table["fold"] == 3, "p"] *= 0.5
    assert detection_rates(table).at["slip", "detection"] == pytest.approx(0.8)


def test_nobody_who_knows_and_nothing_changes():
    """Without p_active, or for mechanisms of which it is missing, p stays; order and ties always do."""
    table = answers(0.7)
    alone = table.drop(columns="p_active")
    assert active(alone) is alone
    other = pd.concat([table, table.assign(mechanism="twin", p_active=np.nan)], ignore_index=True)
    turned = active(other)
    assert (turned["p"] == other["p"])[other["mechanism"] == "twin"].all()
    order = np.argsort(other["p"].to_numpy()[:400], kind="stable")
    assert (np.diff(turned["p"].to_numpy()[:400][order]) >= 0).all()


def test_detection_helps_every_model_against_the_truth():
    """Calibrated records of 70 % of what is active: the log-loss of a model that knows no detection falls."""
    rng = np.random.default_rng(1)
    table = answers(0.7, chance=0.0, n=4000)
    one = table[table["model"] == "one"]
    y = rng.random(len(one)) < table["p_active"].dropna().to_numpy()

    def loss(p):
        return -np.mean(np.log(np.where(y, p, 1 - p)))

    assert loss(active(table)["p"][one.index]) < loss(one["p"]) - 0.02
