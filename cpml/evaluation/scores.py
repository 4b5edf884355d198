"""All scores of all models in one table, with intervals from resampled blocks.

Blocks, not grains, are resampled (``n_boot`` times with replacement), because grains of one block share their
surroundings. Two models are compared on the same resamples: the interval of a difference is narrower than the
difference of two intervals suggests.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import CpmlError, ParameterError
from cpml.evaluation import metrics
from cpml.evaluation.records import KEYS
from cpml.evaluation.resampled import block_weights, interval
from cpml.evaluation.splits import Splits

FACTS = ("n_grains", "n_labels", "n_positive", "prevalence", "n_families")
"""What is counted beside the scores."""


def evaluate(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    splits: Splits,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every model on every mechanism.

    Parameters
    ----------
    predictions : columns model, grain_id, mechanism, target, p, and family, without which nothing is ranked
        inside families
    labels : columns grain_id, mechanism, target, observed (1, 0 or NaN); NaN rows are left out
    splits : gives the block of each grain

    Returns
    -------
    DataFrame mechanism, model, metric, value, low, high, n_grains, n_labels, n_positive, prevalence,
    n_families (that pr_auc_within is the mean of); empty when no label is observed

    Raises
    ------
    CpmlError : an observed label has no prediction
    """
    rows = []
    for mechanism, model, value, boot, facts in resampled_scores(
        predictions, labels, splits=splits, n_boot=n_boot, seed=seed
    ):
        low, high = interval(_centred(boot, value))
        rows += [
            (mechanism, model, m, value[i], low[i], high[i], *facts.values())
            for i, m in enumerate(metrics.METRICS)
        ]
    columns = ["mechanism", "model", "metric", "value", "low", "high", *FACTS]
    return pd.DataFrame(rows, columns=columns)


def resampled_scores(
    predictions: pd.DataFrame, labels: pd.DataFrame, *, splits: Splits, n_boot: int = 200, seed: int = 0
) -> Iterator[tuple[str, str, NDArray, NDArray, dict[str, float]]]:
    """Yield mechanism, model, scores (M,) of the sample and (n_boot, M) of its resamples, in the order of
    `metrics.METRICS`, and what was counted (FACTS). The resamples are the same for all models of a mechanism.
    """
    for mechanism, model, table, weight in _each(predictions, labels, splits, n_boot, seed):
        observed = table["observed"]
        n_families = len(metrics.ranked_families(*_families(table)))
        facts = (table["grain_id"].nunique(), len(table), int(observed.sum()), observed.mean(), n_families)
        yield mechanism, model, *_scores(table, weight), dict(zip(FACTS, facts, strict=True))


def paired_differences(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    *,
    splits: Splits,
    reference: str,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Difference of every model to ``reference`` on the same resampled blocks.

    Returns
    -------
    DataFrame mechanism, model, metric, difference, low, high (model minus reference)
    """
    if reference not in set(predictions["model"]):
        raise ParameterError(
            f"reference model {reference!r} has no predictions; there are {sorted(set(predictions['model']))}"
        )
    results: dict[str, dict[str, tuple]] = {}
    for mechanism, model, value, boot, _ in resampled_scores(
        predictions, labels, splits=splits, n_boot=n_boot, seed=seed
    ):
        results.setdefault(mechanism, {})[model] = value, boot
    rows = []
    for mechanism, models in results.items():
        base_value, base_boot = models[reference]
        for model, (value, boot) in models.items():
            if model == reference:
                continue
            low, high = interval(boot - base_boot)
            difference = value - base_value
            rows += [
                (mechanism, model, m, difference[i], low[i], high[i]) for i, m in enumerate(metrics.METRICS)
            ]
    return pd.DataFrame(rows, columns=["mechanism", "model", "metric", "difference", "low", "high"])


def observed_with_predictions(predictions: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Observed labels joined with one model's predictions; every observed label must have one."""
    observed = labels.loc[labels["observed"].notna(), [*KEYS, "observed"]]
    columns = [*KEYS, "p", *(["family"] if "family" in predictions else [])]
    table = observed.merge(predictions[columns], on=KEYS, how="left", validate="one_to_one")
    lost = table["p"].isna()
    if lost.any():
        first = table.loc[lost, KEYS].iloc[0].to_dict()
        raise CpmlError(
            f"{int(lost.sum())} of {len(table)} observed labels have no prediction, first {first}"
        )
    return table


def _each(
    predictions: pd.DataFrame, labels: pd.DataFrame, splits: Splits, n_boot: int, seed: int
) -> Iterator[tuple[str, str, pd.DataFrame, NDArray]]:
    """Yield mechanism, model, joined table and the weights of its rows in every
    resample, the same for all models.
    """
    block = splits.table.set_index("grain_id")["block"]
    labels = labels[labels["grain_id"].isin(block.index)]
    for mechanism, theirs in labels[labels["observed"].notna()].groupby("mechanism", sort=True):
        weight = None
        for model, own in predictions[predictions["mechanism"] == mechanism].groupby("model", sort=False):
            table = observed_with_predictions(own, theirs).sort_values(["grain_id", "target"], kind="stable")
            if weight is None:
                blocks = block[table["grain_id"]].to_numpy()
                weight = block_weights(blocks, n_boot, np.random.default_rng(seed))
            yield mechanism, model, table.reset_index(drop=True), weight


def _centred(boot: NDArray, value: NDArray) -> NDArray:
    """Resamples of the calibration error moved to its value: noise only adds to
    it, so their own mean lies above.
    """
    column, boot = metrics.METRICS.index("ece"), boot.copy()
    if len(boot):
        boot[:, column] = np.maximum(boot[:, column] - boot[:, column].mean() + value[column], 0.0)
    return boot


def _scores(table: pd.DataFrame, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Metrics (M,) of the whole table and (n_boot, M) of its resamples."""
    y, p, grain = (table[c].to_numpy() for c in ("observed", "p", "grain_id"))
    every = metrics.scores(y, p, grain, np.concatenate([np.ones((1, len(y))), weight]), _families(table)[1])
    return every[0], every[1:]


def _families(table: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """(N,) observed and family of every row; None where nobody said."""
    family = table["family"] if "family" in table else pd.Series(None, index=table.index, dtype=object)
    return table["observed"].to_numpy(), family.to_numpy(dtype=object)
