"""What a model is, and out-of-fold predictions: never a label of a held-out grain or of its neighbours."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from cpml.errors import CpmlError
from cpml.models.specimen.specimen import Specimen


class Model(Protocol):
    """What can be cross-validated and compared; learned state ends in an underscore, as in scikit-learn."""

    @property
    def name(self) -> str:
        """Name in tables and figures."""

    def fit(self, specimens: list[Specimen]) -> Self:
        """Learn from the footprints of the specimens."""

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability p of every token: grain_id, mechanism, target, family, p,
        model, and what else it gives.
        """


class Folds(Protocol):
    """How the grains of a specimen are split, e.g. `cpml.evaluation.Splits`."""

    @property
    def folds(self) -> list[int]:
        """Their numbers."""

    def train(self, fold: int) -> np.ndarray:
        """grain_id of the training grains."""

    def test(self, fold: int) -> np.ndarray:
        """grain_id of the grains held out."""


def cross_validate(
    models: Iterable[Model], specimen: Specimen, splits: Folds, *, jobs: int = 2
) -> pd.DataFrame:
    """Train on the training grains of each fold, predict the held-out ones.

    Geometry and neighbours of all grains stay visible to the models: they are measured before
    anything is predicted. Only the footprints of held-out grains, and of the grains in the
    buffer around them, are hidden. Every fold trains a fresh copy: what a model has learned before, by an
    earlier fold or by the caller, plays no part, and the given models stay as they are.

    Parameters
    ----------
    models : any number, fitted or not
    jobs : folds at a time, in threads of one process; the result is the same for any number. More than two
        wait for each other: a third of the work is Python's

    Returns
    -------
    DataFrame grain_id, mechanism, target, family, p, model, fold (and p_cp, share where a model gives them)
    """
    parts: list[pd.DataFrame] = []
    blind = specimen.with_labels_of([])  # no model sees a footprint while it predicts
    with ThreadPoolExecutor(jobs, initializer=_one_thread) as pool:
        for model in models:
            parts += pool.map(partial(_held_out, model, specimen, blind, splits), splits.folds)
    return pd.concat(parts, ignore_index=True)


def held_out_motions(model: Model, specimen: Specimen, splits: Folds, *, jobs: int = 2) -> pd.DataFrame:
    """Rotations and strains of the grains of every fold, by fresh copies of a coupled model that knew no
    footprint of these grains nor of the buffer around them.

    Parameters
    ----------
    jobs : folds at a time, as `cross_validate` has them

    Returns
    -------
    DataFrame of `CoupledClassifier.predict_motion` and fold; no rows for a specimen without motions
    """
    if specimen.motions is None:
        return pd.DataFrame(columns=["grain_id", "component", "value", "low", "high", "literature", "fold"])
    strain = specimen.motions.groupby("kind")["strain"].first().to_dict()
    blind = specimen.with_labels_of([])

    def held_out(fold: int) -> pd.DataFrame:
        table = _trained(model, specimen, splits, fold).predict_motion(blind, strain=strain)
        return table[table["grain_id"].isin(splits.test(fold))].assign(fold=fold)

    with ThreadPoolExecutor(jobs, initializer=_one_thread) as pool:
        return pd.concat(pool.map(held_out, splits.folds), ignore_index=True)


def _one_thread() -> None:
    """Arrays are small: a second thread of linear algebra inside one of ours costs more than it saves."""
    threadpool_limits(1)
    torch.set_num_threads(1)


def _held_out(model: Model, specimen: Specimen, blind: Specimen, splits: Folds, fold: int) -> pd.DataFrame:
    """Predictions of the held-out grains of one fold, by a fresh copy."""
    table = _trained(model, specimen, splits, fold).predict(blind)
    return table[table["grain_id"].isin(splits.test(fold))].assign(fold=fold)


def _trained(model: Model, specimen: Specimen, splits: Folds, fold: int) -> Any:
    """A fresh copy that knows the footprints of the training grains of one fold."""
    fresh = clone(model, safe=False)
    try:
        return fresh.fit([specimen.with_labels_of(splits.train(fold))])
    except CpmlError as error:
        raise CpmlError(f"fold {fold}, model {model.name!r}: {error}") from None
