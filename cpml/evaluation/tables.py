"""Scores in the shapes that people read: one overview, differences with their
intervals, calibration, flat metrics.
"""

from collections.abc import Sequence

import pandas as pd

from cpml.evaluation import metrics
from cpml.evaluation.scores import observed_with_predictions

MAIN = ("pr_auc_within", "pr_auc", "roc_auc", "log_loss", "brier", "top1", "top2")
DIFFERENCES = ["pr_auc_within", "pr_auc", "log_loss", "top1"]
GAPS = ["pr_auc_within", "pr_auc", "roc_auc", "log_loss", "top1"]


def overview(scores: pd.DataFrame, *, names: Sequence[str] = MAIN) -> pd.DataFrame:
    """One row per mechanism and model, one column per metric of ``names``, models in the order of ``scores``.

    The first metric has the ends of its interval beside it.

    Returns
    -------
    DataFrame mechanism, model, <first>, <first>_low, <first>_high, <others>, prevalence, n_families,
    n_labels, n_grains
    """
    keys, first = ["mechanism", "model"], names[0]
    if scores.empty:
        return pd.DataFrame(columns=[*keys, *names])
    wide = scores.pivot_table(index=keys, columns="metric", values="value", sort=False, dropna=False)
    wide = wide.reindex(columns=list(names))
    ends = scores[scores["metric"] == first].set_index(keys)
    wide.insert(1, f"{first}_low", ends["low"])
    wide.insert(2, f"{first}_high", ends["high"])
    # scores of an earlier run may lack the families
    counts = [c for c in ("n_families", "n_labels", "n_grains") if c in ends and ends[c].notna().all()]
    facts = ends[["prevalence", *counts]].astype(dict.fromkeys(counts, int))
    return wide.join(facts).reset_index().rename_axis(columns=None)


def difference_table(differences: pd.DataFrame) -> pd.DataFrame:
    """DIFFERENCES as text "value [low, high]", one row per mechanism and model; a
    star marks intervals without zero.
    """
    rows = differences[differences["metric"].isin(DIFFERENCES)].copy()
    if rows.empty:
        return pd.DataFrame(columns=["mechanism", "model", *DIFFERENCES])
    clear = (rows["low"] > 0) | (rows["high"] < 0)
    rows["text"] = [
        f"{d:+.3f} [{low:+.3f}, {high:+.3f}]{'*' if c else ''}"
        for d, low, high, c in zip(rows["difference"], rows["low"], rows["high"], clear, strict=True)
    ]
    wide = rows.pivot_table(
        index=["mechanism", "model"], columns="metric", values="text", aggfunc="first", sort=False
    )
    return wide.reindex(columns=DIFFERENCES).reset_index().rename_axis(columns=None)


def interval_table(scores: pd.DataFrame, *, names: Sequence[str]) -> pd.DataFrame:
    """Scores as text "value [low, high]", one row per mechanism and model, one
    column per metric of ``names``.
    """
    rows = scores[scores["metric"].isin(names)]
    if rows.empty:
        return pd.DataFrame(columns=["mechanism", "model", *names])
    text = [f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in rows.itertuples()]
    wide = rows.assign(text=text).pivot_table(
        index=["mechanism", "model"], columns="metric", values="text", aggfunc="first", sort=False
    )
    return wide.reindex(columns=list(names)).reset_index().rename_axis(columns=None)


def reliability_tables(
    predictions: pd.DataFrame, labels: pd.DataFrame, *, models: Sequence[str]
) -> dict[str, dict]:
    """Calibration bins of the named models, mechanism -> model -> table (see `metrics.reliability`)."""
    tables: dict[str, dict] = {}
    for mechanism, theirs in labels[labels["observed"].notna()].groupby("mechanism"):
        for model in models:
            own = predictions[(predictions["model"] == model) & (predictions["mechanism"] == mechanism)]
            table = observed_with_predictions(own, theirs)
            bins = metrics.reliability(table["observed"].to_numpy(), table["p"].to_numpy())
            tables.setdefault(mechanism, {})[model] = pd.DataFrame(bins)
    return tables


def optimism(random: pd.DataFrame, blocked: pd.DataFrame) -> pd.DataFrame:
    """GAPS between the score under a random split and that under blocks, for the models that have both."""
    keys = ["mechanism", "model", "metric"]
    at_random, in_blocks = (
        table.set_index(keys)["value"].rename(name)
        for table, name in ((random, "random"), (blocked, "blocked"))
    )
    both = at_random.to_frame().join(in_blocks, how="inner")
    gap = (both["random"] - both["blocked"]).rename("gap").reset_index()
    if gap.empty:
        return pd.DataFrame(columns=["mechanism", "model", *GAPS])
    wide = gap[gap["metric"].isin(GAPS)].pivot_table(
        index=["mechanism", "model"], columns="metric", values="gap", sort=False
    )
    return wide.reindex(columns=GAPS).reset_index().rename_axis(columns=None)


def ambiguous_table(bounds: pd.DataFrame, gain: pd.DataFrame) -> pd.DataFrame:
    """PR-AUC under every choice of sources beside the gain per trace, one row a
    model; empty without such traces.

    Parameters
    ----------
    bounds : result of `candidate_bounds`; gain : of `trace_gain`
    """
    if bounds.empty:
        return pd.DataFrame(columns=["model", "pr_auc", "least", "most"])
    chosen = bounds[bounds["metric"] == "pr_auc"].drop(columns="metric").rename(columns={"value": "pr_auc"})
    return chosen.merge(gain.drop(columns=["metric", "mechanism"]), on="model")


def flat_metrics(scores: pd.DataFrame, *, prefix: str = "") -> dict[str, float]:
    """Scores as flat names ``<prefix><mechanism>_<model>_<metric>`` with interval
    ends and counts, for metrics.json.
    """
    flat: dict[str, float] = {}
    for row in scores.itertuples():
        name = f"{prefix}{row.mechanism}_{row.model}_{row.metric}"
        flat[name] = row.value
        if row.metric in ("pr_auc_within", "pr_auc", "log_loss", "ece"):
            flat |= {f"{name}_low": row.low, f"{name}_high": row.high}
        flat |= {
            f"{prefix}{row.mechanism}_n_labels": row.n_labels,
            f"{prefix}{row.mechanism}_n_grains": row.n_grains,
            f"{prefix}{row.mechanism}_n_families": row.n_families,
        }
        flat[f"{prefix}{row.mechanism}_prevalence"] = row.prevalence
    return flat


def flat_sets(table: pd.DataFrame) -> dict[str, float]:
    """Coverage and size of prediction sets as flat names, for metrics.json."""
    flat: dict[str, float] = {}
    for row in table.itertuples():
        name = f"{row.mechanism}_{row.model}"
        flat |= {
            f"{name}_coverage": row.coverage,
            f"{name}_coverage_low": row.low,
            f"{name}_coverage_high": row.high,
        }
        flat |= {
            f"{name}_set_share": row.set_share,
            f"{row.mechanism}_n_calibration_blocks": max(row.n_blocks - 1, 0),
        }
        if row.coverage_active == row.coverage_active:  # not NaN: the truth is known
            flat[f"{name}_coverage_active"] = row.coverage_active
    return flat
