"""How much, not only whether: predicted shares of the activity against the true
amounts of a virtual specimen.

Amounts (accumulated shear of a plane, volume fraction of a variant) and predictions are both
turned into shares of their grain and mechanism, so that models which give activities and models
which give probabilities compare.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from cpml.evaluation.records import KEYS
from cpml.evaluation.resampled import block_weights, interval
from cpml.evaluation.splits import Splits


def amount_scores(
    predictions: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    splits: Splits,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank correlation and error of the share of every target, over all grains in
    which the mechanism is active.

    Parameters
    ----------
    predictions : model, grain_id, mechanism, target, p, and ``share`` where the model
        gives activities (else p counts)
    truth : grain_id, mechanism, target, amount

    Returns
    -------
    DataFrame mechanism, model, metric ("share_spearman" or "share_rmse"), value, low, high, n_grains
    """
    block = splits.table.set_index("grain_id")["block"]
    true = truth[truth["grain_id"].isin(block.index)]
    true = true.assign(true_share=_share(true, "amount"))
    true = true[true["true_share"].notna()]
    rows = []
    for (mechanism, model), own in predictions.groupby(["mechanism", "model"], sort=False):
        own = own.assign(given=own["share"].fillna(own["p"]) if "share" in own else own["p"])
        own = own.assign(model_share=_share(own, "given"))
        table = true[true["mechanism"] == mechanism].merge(own[[*KEYS, "model_share"]], on=KEYS)
        if table.empty:
            continue
        weight = block_weights(block[table["grain_id"]].to_numpy(), n_boot, np.random.default_rng(seed))
        weight = np.concatenate([np.ones((1, len(table))), weight])
        a, b = (table[c].fillna(0.0).to_numpy() for c in ("true_share", "model_share"))
        scores = {
            "share_spearman": _correlation(rankdata(a), rankdata(b), weight),
            "share_rmse": np.sqrt(weight @ (a - b) ** 2 / weight.sum(1)),
        }
        for metric, values in scores.items():
            low, high = interval(values[1:, None])
            rows.append((mechanism, model, metric, values[0], low[0], high[0], table["grain_id"].nunique()))
    return pd.DataFrame(rows, columns=["mechanism", "model", "metric", "value", "low", "high", "n_grains"])


def _share(table: pd.DataFrame, column: str) -> pd.Series:
    """Share of the grain's total; NaN where nothing happened."""
    total = table.groupby(["grain_id", "mechanism"])[column].transform("sum")
    return table[column] / total.where(total > 0)


def _correlation(a: NDArray, b: NDArray, weight: NDArray) -> NDArray:
    """Weighted correlation for every row of weights; of ranks: Spearman, with ranks of the whole sample."""
    total = weight.sum(1)
    mean_a, mean_b = weight @ a / total, weight @ b / total
    covariance = weight @ (a * b) / total - mean_a * mean_b
    spread = (weight @ a**2 / total - mean_a**2) * (weight @ b**2 / total - mean_b**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 1e-12, covariance / np.sqrt(np.maximum(spread, 1e-300)), np.nan)
