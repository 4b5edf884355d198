"""One table that regenerates everything: held-out predictions beside what was
observed, what is true, and the blocks.

Columns of the record: split ("blocked", "random"), model, grain_id, mechanism, target, family, p, fold,
block, observed, true (NaN where nobody knows), and what else a model gives (p_active, share, ...).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cpml.evaluation.detection import active
from cpml.evaluation.splits import Splits

KEYS = ["grain_id", "mechanism", "target"]
"""What names one question in every table of labels and predictions."""


def record(
    parts: Mapping[str, tuple[pd.DataFrame, Splits]], labels: pd.DataFrame, truth: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The record of one data set.

    Parameters
    ----------
    parts : split name -> (out-of-fold predictions, the splits they were made with)
    labels : grain_id, mechanism, target, observed
    truth : the same of the simulation, where there is one
    """
    tables = []
    for name, (predictions, splits) in parts.items():
        table = predictions.merge(splits.table[["grain_id", "block"]], on="grain_id", how="left")
        tables.append(table.assign(split=name))
    table = pd.concat(tables, ignore_index=True)
    table = table.merge(labels[[*KEYS, "observed"]], on=KEYS, how="left")
    if truth is None:
        return table.assign(true=np.nan)
    return table.merge(truth[[*KEYS, "observed"]].rename(columns={"observed": "true"}), on=KEYS, how="left")


def from_record(
    table: pd.DataFrame, *, split: str = "blocked", against: str = "observed"
) -> tuple[pd.DataFrame, pd.DataFrame, Splits]:
    """Predictions, labels and splits (without neighbours) as `evaluate` takes them.

    Against the truth every model is asked for the probability of being active (`detection.active`).
    """
    own = table[table["split"] == split]
    labels = own.drop_duplicates(KEYS)[[*KEYS, against]].rename(columns={against: "observed"})
    grains = own.drop_duplicates("grain_id")[["grain_id", "block", "fold"]].reset_index(drop=True)
    predictions = own.drop(columns=["split", "block", "observed", "true"])
    return (active(predictions) if against == "true" else predictions), labels, Splits(grains, None, 0)


def stacked(**parts: pd.DataFrame | None) -> pd.DataFrame:
    """Score tables of one data set under each other, with their name in the column
    ``kind``; empty ones are left out.

    Conformal tables become rows of the metrics coverage and set_share.
    """
    rows = []
    for kind, table in parts.items():
        if table is None or table.empty:
            continue
        if "coverage" in table:
            sets = table.assign(metric="set_share", value=table["set_share"], low=np.nan, high=np.nan)
            table = pd.concat(
                [table.assign(metric="coverage", value=table["coverage"]), sets], ignore_index=True
            )
        rows.append(table.assign(kind=kind))
    if not rows:  # nothing was observed: no rows, but the columns that readers ask for
        named = [name for table in parts.values() if table is not None for name in table]
        return pd.DataFrame(
            columns=list(dict.fromkeys(["mechanism", "model", "metric", "value", *named, "kind"]))
        )
    return pd.concat(rows, ignore_index=True)
