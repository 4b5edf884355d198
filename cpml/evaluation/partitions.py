"""Scores over several partitions of one map into folds: one partition is one throw of the dice.

The blocks of a map are the same in all partitions (`splits.blocked_folds` deals them by its seed), so a
resample of blocks is the same in all of them too. A score is the mean over the partitions, in the sample and
in every resample; its interval says how the mean varies over blocks, ``lowest`` and ``highest`` how the
partitions do.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.evaluation import metrics
from cpml.evaluation.resampled import interval
from cpml.evaluation.scores import resampled_scores
from cpml.evaluation.splits import Splits

Run = tuple[pd.DataFrame, Splits]
"""Held-out predictions and the splits they were made with."""


def over_partitions(
    runs: Sequence[Run],
    labels: pd.DataFrame,
    *,
    reference: str,
    n_boot: int = 200,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean scores of all models, and their differences to ``reference`` on the same resampled blocks.

    Parameters
    ----------
    runs : of every partition; all of one map, cut into the same blocks
    labels : as `evaluate` takes them
    reference : model of which the gains are asked

    Returns
    -------
    scores : mechanism, model, metric, value, low, high, lowest, highest, n_partitions, n_positive,
        prevalence, n_families
    gains : mechanism, model, metric, gain, low, high, lowest, highest, n_partitions; reference against the
        model, positive: the reference is better

    Raises
    ------
    ParameterError : no run, blocks that differ between runs, or a reference without predictions
    """
    blocks = [splits.table.set_index("grain_id")["block"].sort_index() for _, splits in runs]
    if not runs or any(not b.equals(blocks[0]) for b in blocks):
        raise ParameterError("partitions: one run or more is needed, all over the same blocks of one map")
    every: dict[tuple[str, str], list[NDArray]] = {}
    facts: dict[str, dict] = {}
    for predictions, splits in runs:
        if reference not in set(predictions["model"]):
            raise ParameterError(f"reference model {reference!r} has no predictions in one of the partitions")
        for mechanism, model, value, boot, about in resampled_scores(
            predictions, labels, splits=splits, n_boot=n_boot, seed=seed
        ):
            every.setdefault((mechanism, model), []).append(np.concatenate([value[None], boot]))
            facts[mechanism] = about
    stacked = {key: np.stack(parts) for key, parts in every.items()}  # (partitions, 1 + n_boot, metrics)
    scores, gains = [], []
    sign = np.where(np.isin(metrics.METRICS, metrics.LOWER_IS_BETTER), 1.0, -1.0)
    for (mechanism, model), parts in stacked.items():
        scores.append(_rows(parts, "value").assign(mechanism=mechanism, model=model, **facts[mechanism]))
        if model != reference:
            gained = sign * (parts - stacked[mechanism, reference])
            gains.append(_rows(gained, "gain").assign(mechanism=mechanism, model=model))
    first = ["mechanism", "model", "metric"]
    ends = ["low", "high", "lowest", "highest", "n_partitions"]
    counts = ["n_positive", "prevalence", "n_families"]
    return (
        _under_each_other(scores, [*first, "value", *ends, *counts]),
        _under_each_other(gains, [*first, "gain", *ends]),
    )


def _rows(parts: NDArray, name: str) -> pd.DataFrame:
    """Mean over partitions of every metric, with its interval and its range."""
    mean = parts.mean(0)
    low, high = interval(mean[1:])
    own = parts[:, 0]
    table = {"metric": metrics.METRICS, name: mean[0], "low": low, "high": high}
    return pd.DataFrame(table | {"lowest": own.min(0), "highest": own.max(0), "n_partitions": len(parts)})


def _under_each_other(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
