"""Folds beside each other: the same predictions, in the same order, as one after the other."""

import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from cpml.errors import CpmlError
from cpml.models.protocol import cross_validate
from cpml.models.specimen.remembered import Remembered


class Thirds:
    folds = (0, 1, 2)

    def train(self, fold):
        return np.array([k for k in range(6) if k % 3 != fold])

    def test(self, fold):
        return np.array([k for k in range(6) if k % 3 == fold])


class Labelled:
    def __init__(self, seen):
        self.seen = list(seen)

    def with_labels_of(self, grains):
        return Labelled(grains)


class Late(BaseEstimator):
    """Tells what it has seen; the first fold ends last."""

    name = "late"
    turn = threading.Barrier(2, timeout=20)

    def __init__(self, fails=False):
        self.fails = fails

    def fit(self, specimens):
        self.seen_ = sum(specimens[0].seen)
        if self.fails:
            raise CpmlError("no footprint")
        if (
            0 not in specimens[0].seen or 1 not in specimens[0].seen
        ):  # folds 0 and 1 must be under way together
            self.turn.wait()
        return self

    def predict(self, specimen):
        assert specimen.seen == []
        return pd.DataFrame({"grain_id": range(6), "p": float(self.seen_)})


def test_folds_run_beside_each_other_and_keep_their_order():
    held_out = cross_validate([Late()], Labelled(range(6)), Thirds(), jobs=2)
    assert held_out["fold"].tolist() == [0, 0, 1, 1, 2, 2]
    assert held_out["grain_id"].tolist() == [0, 3, 1, 4, 2, 5]
    assert held_out["p"].tolist() == [12.0, 12, 10, 10, 8, 8]


def test_a_failure_in_a_thread_names_fold_and_model():
    with pytest.raises(CpmlError, match="fold 0, model 'late': no footprint"):
        cross_validate([Late(fails=True)], Labelled(range(6)), Thirds())


def test_answers_are_kept_under_many_threads():
    answers = Remembered(most=3)
    threads = [
        threading.Thread(target=lambda n=n: [answers.get(k, lambda k=k: k**2) for k in range(n, n + 40)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3 and answers.get(5, lambda: 25) == 25
