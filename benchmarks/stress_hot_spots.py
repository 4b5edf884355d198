"""Which grains carry most? The hardest tenth of the grains (von Mises stress of the simulation), ranked by
what is known without any stress.

| name | ranks a grain by |
|---|---|
| coupled | its mean stress after F, learned from footprints alone |
| affine, full_field, learned | its stress by a scheme at the strengths of the literature |
| taylor_factor | the Taylor factor |
| schmid | the smallest largest Schmid factor: a grain that nothing shears is hard |
| forest | a random forest on orientation, size and neighbours, trained on the hot spots of the other blocks |

The forest is the published way (Mangal and Holm 2018: ROC-AUC 0.74 fcc, 0.82 hcp, on several thousand grains
of one texture); it alone is shown stresses while it learns.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from benchmarks import depth_scores
from benchmarks.depth_specimens import Truth, true_grains
from benchmarks.virtual_specimens import VirtualSpecimen
from cpml.evaluation.splits import Splits
from cpml.models import CoupledClassifier
from cpml.models.mechanics.features import grain_columns, schmid_of_tokens
from cpml.models.mechanics.response import grain_response
from cpml.models.specimen.specimen import Specimen

HOT = 0.9
"""Quantile of the grains' stresses above which a grain is a hot spot."""
SCHEMES = ("affine", "full_field", "learned")


def hot_spot_table(virtual: VirtualSpecimen, folder: Path, model: CoupledClassifier) -> pd.DataFrame:
    """ROC-AUC of every way to rank, with 90 % intervals over blocks.

    Parameters
    ----------
    folder : of the generator, with the truth of the grains
    model : unfitted; it is fitted to all footprints of the specimen

    Returns
    -------
    DataFrame model, roc_auc, low, high, n_hot, n_grains
    """
    truth = true_grains(virtual, folder)
    hot = hot_grains(truth.stress)
    draws = depth_scores.resamples(truth.block, n_boot=200)
    rows = []
    for name, values in {
        **_scores(virtual.specimen, model),
        "forest": _forest(virtual.specimen, truth, hot, virtual.splits),
    }.items():
        at_grains = values[truth.rows]
        low, high = depth_scores.interval(
            depth_scores.over(lambda at, v=at_grains: ranking(hot[at], v[at]), draws)
        )
        rows.append((name, ranking(hot, at_grains), low, high, int(hot.sum()), len(hot)))
    return pd.DataFrame(rows, columns=["model", "roc_auc", "low", "high", "n_hot", "n_grains"])


def hot_grains(stress: NDArray) -> NDArray:
    """(G,) bool, the tenth of the grains of largest von Mises stress (G, 5)."""
    size = np.linalg.norm(stress, axis=1)
    return size >= np.quantile(size, HOT)


def ranking(hot: NDArray, values: NDArray) -> float:
    """ROC-AUC of values; NaN where all grains or none are hot."""
    return float(roc_auc_score(hot, values)) if 0 < hot.sum() < len(hot) else np.nan


def grain_stress_of(model: CoupledClassifier, specimen: Specimen) -> NDArray:
    """(G,) mean magnitude of every grain's stress over the draws of a fitted F."""
    data, theta = model.forward(specimen)
    return (lambda s: s.average(s.stress.norm(dim=-1)))(data.at(theta)).detach().numpy()


def _scores(specimen: Specimen, model: CoupledClassifier) -> dict[str, NDArray]:
    """(G,) what every rule ranks by, high for hot."""
    found = {"coupled": grain_stress_of(model.fit([specimen]), specimen)}
    for scheme in SCHEMES:
        found[scheme] = np.linalg.norm(grain_response(specimen, scheme=scheme).stress, axis=1)
    found["taylor_factor"] = specimen.cp["taylor_factor"]
    return found | {"schmid": -schmid_of_tokens(specimen).max(1)}


def _forest(specimen: Specimen, truth: Truth, hot: NDArray, splits: Splits) -> NDArray:
    """(G,) held-out votes of a forest trained on the hot spots of the training grains of each fold."""
    x, votes = _described(specimen), np.full(len(specimen), np.nan)
    for fold in splits.folds:
        train = np.isin(specimen.grain_ids[truth.rows], splits.train(fold))
        test = np.isin(specimen.grain_ids, splits.test(fold))
        if len(np.unique(hot[train])) < 2:
            votes[test] = 0.0
            continue
        forest = RandomForestClassifier(300, min_samples_leaf=3, random_state=0)
        forest.fit(x[truth.rows][train], hot[train])
        votes[test] = forest.predict_proba(x[test])[:, 1]
    return votes


def _described(specimen: Specimen) -> NDArray:
    """(G, k) size, shape and neighbourhood, Schmid factors by family, Taylor factor, and the neighbours'."""
    family = specimen.tokens["family"].to_numpy()
    schmid = schmid_of_tokens(specimen)
    own = np.column_stack(
        [*(schmid[:, family == name].max(1) for name in pd.unique(family)), specimen.cp["taylor_factor"]]
    )
    here, there = specimen.directed_neighbours
    count = np.maximum(np.bincount(here, minlength=len(specimen)), 1)
    around = [np.bincount(here, column[there], len(specimen)) / count for column in own.T]
    return np.column_stack([grain_columns(specimen).fillna(0.0), own, *around])
