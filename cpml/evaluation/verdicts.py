"""Who wins: better, worse or a tie, from differences with intervals.

An interval that includes zero is a tie. Scores of which lower is better are turned, so
that a positive gain is better.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cpml.evaluation import metrics


def with_verdict(gains: pd.DataFrame) -> pd.DataFrame:
    """Gains (low, high; positive is better) with the column verdict: better, worse or tie."""
    choices = [gains["low"] > 0, gains["high"] < 0]
    return gains.assign(verdict=np.select(choices, ["better", "worse"], "tie"))


def verdict(
    differences: pd.DataFrame, *, names: Sequence[str] = ("pr_auc_within", "log_loss")
) -> pd.DataFrame:
    """The reference model of `paired_differences` against every other one.

    Parameters
    ----------
    differences : other minus reference: mechanism, model, metric, difference, low, high
    names : metrics to judge

    Returns
    -------
    DataFrame mechanism, metric, model, gain, low, high (positive: the reference is better), verdict
    """
    rows = differences[differences["metric"].isin(names)].dropna(subset=["difference"])
    sign = np.where(rows["metric"].isin(metrics.LOWER_IS_BETTER), 1.0, -1.0)
    ends = np.sort(np.stack([sign * rows["low"], sign * rows["high"]]), axis=0)
    gains = rows[["mechanism", "metric", "model"]].assign(
        gain=sign * rows["difference"], low=ends[0], high=ends[1]
    )
    return with_verdict(gains).reset_index(drop=True)


def flat_gains(gains: pd.DataFrame) -> dict[str, float]:
    """Gains against footprints as flat names
    <dataset>_<mechanism>_<score>_gain[_low|_high], for metrics.json.
    """
    flat: dict[str, float] = {}
    for row in gains[gains["against"] == "footprints"].itertuples():
        name = f"{row.dataset}_{row.mechanism}_{row.score}_gain"
        flat |= {name: row.difference, f"{name}_low": row.low, f"{name}_high": row.high}
    return flat
