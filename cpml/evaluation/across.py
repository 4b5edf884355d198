"""Results of several data sets in the shapes of notebook 07, from the records and scores alone."""

from collections.abc import Mapping

import pandas as pd

from cpml.evaluation import metrics
from cpml.evaluation.records import from_record
from cpml.evaluation.scores import observed_with_predictions, paired_differences

AGAINST = {"observed": "footprints", "true": "truth"}
MODEL = "coupled"  # that the comparison is about
GAINED = ("pr_auc", "log_loss")
GAP = "pr_auc"


def gains(records: Mapping[str, pd.DataFrame], *, n_boot: int = 200, seed: int = 0) -> pd.DataFrame:
    """What MODEL gains over the best of all others, on every data set and mechanism; positive is better.

    The best other model is chosen by its score on the same held-out grains, separately for each score: it had
    the luck of the draw, so the comparison leans against MODEL.

    Parameters
    ----------
    records : data set -> record (see `cpml.evaluation.records`)

    Returns
    -------
    DataFrame dataset, mechanism, against ("footprints", "truth"), score, best, difference, low, high
    """
    rows = []
    for dataset, record in records.items():
        for column, against in AGAINST.items():
            if record[column].notna().any() and MODEL in set(record["model"]):
                predictions, labels, splits = from_record(record, against=column)
                options = {"reference": MODEL, "n_boot": n_boot, "seed": seed}
                table = paired_differences(predictions, labels, splits=splits, **options)
                rows += [(dataset, *row[:1], against, *row[1:]) for row in _best(table)]
    columns = ["dataset", "mechanism", "against", "score", "best", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["dataset", "mechanism"], kind="stable", ignore_index=True
    )


def _best(differences: pd.DataFrame) -> list[tuple]:
    """mechanism, score, best other model, gain over it with interval."""
    rows = []
    for (mechanism, score), table in differences.groupby(["mechanism", "metric"], sort=False):
        table = table.dropna(subset=["difference"])
        if score not in GAINED or table.empty:
            continue
        sign = 1 if score in metrics.LOWER_IS_BETTER else -1  # differences are other minus model
        best = table.loc[(sign * table["difference"]).idxmin()]
        ends = sorted((sign * best["low"], sign * best["high"]))
        rows.append((mechanism, score, best["model"], sign * best["difference"], *ends))
    return rows


def random_minus_blocked(scores: pd.DataFrame) -> pd.DataFrame:
    """What a random split would have added to GAP, from stacked scores: dataset, mechanism, model, gap."""
    keys = ["dataset", "mechanism", "model"]
    own = scores[scores["metric"] == GAP].set_index(keys)
    random, blocked = (own.loc[own["kind"] == kind, "value"] for kind in ("random", "footprints"))
    return (random - blocked).dropna().rename("gap").reset_index()


def calibration(
    records: Mapping[str, pd.DataFrame],
) -> tuple[dict[str, dict[str, pd.DataFrame]], dict[tuple[str, str], float]]:
    """Reliability tables (mechanism -> data set -> table) and calibration errors of
    MODEL on its held-out grains.
    """
    tables: dict[str, dict[str, pd.DataFrame]] = {}
    errors: dict[tuple[str, str], float] = {}
    for dataset, record in records.items():
        predictions, labels, _ = from_record(record)
        predictions = predictions[predictions["model"] == MODEL]
        for mechanism, theirs in labels[labels["observed"].notna()].groupby("mechanism"):
            own = observed_with_predictions(predictions[predictions["mechanism"] == mechanism], theirs)
            y, p = own["observed"].to_numpy(), own["p"].to_numpy()
            tables.setdefault(mechanism, {})[dataset] = pd.DataFrame(metrics.reliability(y, p))
            errors[mechanism, dataset] = float(metrics.calibration_error(y, p)[0])
    return tables, errors


def coverage(scores: pd.DataFrame) -> pd.DataFrame:
    """Coverage and size of MODEL's sets: dataset, mechanism, coverage, low,
    high, set_share, n_blocks, sets.
    """
    own = scores[(scores["kind"] == "sets") & (scores["model"] == MODEL)]
    keys = ["dataset", "mechanism"]
    if own.empty:
        return pd.DataFrame(columns=[*keys, "coverage", "low", "high", "set_share", "n_blocks", "sets"])
    table = own[own["metric"] == "coverage"].set_index(keys)[["value", "low", "high", "n_blocks", "sets"]]
    share = own[own["metric"] == "set_share"].set_index(keys)["value"].rename("set_share")
    return table.rename(columns={"value": "coverage"}).join(share).reset_index()
