"""Scores where the label is only known up to a set of candidates.

A trace that fits several planes says that one of them slipped, not which. Two numbers need no guess:

* the **bounds** of a score: the candidates are filled in as the model would like best (its most probable
  candidate is the source) and as it would like least; every choice of one source per trace lies between, for
  each metric of `cpml.evaluation.metrics` over all planes, because each of them gains when the more probable
  of two candidates is the positive one;
* the **gain per trace** (superset log-likelihood), in nats over a model that knows no mechanics,

      g_j = log( (1 - e) sum_p pi_gp c_jp P + e ),    pi_gp = p_gp / sum_p p_gp

  with c_jp the posterior of plane p from the angle alone (equal priors), P
  planes, and e = 5 % of false traces.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.evaluation.levels import Trace, traces_of
from cpml.evaluation.records import KEYS
from cpml.evaluation.resampled import block_weights, interval
from cpml.evaluation.scores import evaluate
from cpml.evaluation.splits import Splits

FALSE_TRACES = 0.05
UNBOUNDED = ("ece", "pr_auc_within")
"""Scores that may lose when the more probable candidate is the source: calibration, and ranks inside a family
(candidates may be of several).
"""


def candidate_bounds(
    predictions: pd.DataFrame, labels: pd.DataFrame, candidates: pd.DataFrame | None, *, splits: Splits
) -> pd.DataFrame:
    """Least and greatest score under every choice of one source per ambiguous trace.

    A trace that shares a candidate with one that is already explained stays open,
    like the planes nobody could see.

    Parameters
    ----------
    predictions : model, grain_id, mechanism, target, p
    labels : grain_id, mechanism, target, observed
    candidates : trace_id, grain_id, mechanism, target, probability; None: no traces

    Returns
    -------
    DataFrame mechanism, model, metric, value (ambiguous planes left out), lower, upper, n_open (planes filled
    in); only mechanisms with ambiguous traces, without the scores that no choice bounds (UNBOUNDED)
    """
    names = ["mechanism", "model", "metric", "value", "lower", "upper", "n_open"]
    traces = [entry for entry in traces_of(candidates) if len(entry[2]) > 1]
    mechanisms = {mechanism for _, mechanism, _ in traces}
    labels = labels[labels["mechanism"].isin(mechanisms)]
    parts = []
    for model, own in predictions[predictions["mechanism"].isin(mechanisms)].groupby("model", sort=False):
        best, worst = (_filled(labels, own, traces, side) for side in ("best", "worst"))
        score = {
            k: _plain(own, t, splits) for k, t in {"value": labels, "best": best, "worst": worst}.items()
        }
        table, ends = score["value"].to_frame("value"), pd.concat([score["best"], score["worst"]], axis=1)
        table = table.assign(lower=ends.min(axis=1), upper=ends.max(axis=1))
        n_open = int(labels["observed"].isna().sum() - best["observed"].isna().sum())
        parts.append(table.reset_index().assign(model=model, n_open=n_open))
    if not parts:
        return pd.DataFrame(columns=names)
    table = pd.concat(parts, ignore_index=True)[names]
    return table[~table["metric"].isin(UNBOUNDED) & (table["n_open"] > 0)].reset_index(drop=True)


def trace_gain(
    predictions: pd.DataFrame,
    candidates: pd.DataFrame | None,
    *,
    splits: Splits,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean superset log-likelihood of the held-out traces over that of equal planes, nats per trace.

    Traces that fit no plane are left out: all models would pay the same for them.

    Parameters
    ----------
    predictions : model, grain_id, mechanism, target, p
    candidates : trace_id, grain_id, mechanism, target, probability; None: no traces

    Returns
    -------
    DataFrame mechanism, model, metric ("trace_gain_nats"), value, low, high, n_traces
    """
    block = splits.table.set_index("grain_id")["block"]
    traces = [(g, m, c) for g, m, c in traces_of(candidates) if g in block.index]
    grains = np.array([g for g, _, _ in traces])
    if not traces:
        return pd.DataFrame(columns=["mechanism", "model", "metric", "value", "low", "high", "n_traces"])
    weight = block_weights(block[grains].to_numpy(), n_boot, np.random.default_rng(seed))
    rows = []
    for model, own in predictions.groupby("model", sort=False):
        gain = _gains(own, traces)
        low, high = interval((weight @ gain / weight.sum(1))[:, None])
        rows.append((traces[0][1], model, "trace_gain_nats", gain.mean(), low[0], high[0], len(traces)))
    return pd.DataFrame(rows, columns=["mechanism", "model", "metric", "value", "low", "high", "n_traces"])


def _gains(own: pd.DataFrame, traces: list[Trace]) -> NDArray:
    """Gain of every trace under one model."""
    share = own.assign(p=own["p"] + 1e-12)
    share["p"] /= share.groupby(["grain_id", "mechanism"])["p"].transform("sum")
    n_targets = share.groupby("mechanism")["target"].nunique()
    share = dict(zip(zip(*(share[k] for k in KEYS), strict=True), share["p"], strict=True))
    known = [sum(share.get((g, m, t), 0.0) * w for t, w in c.items()) * n_targets[m] for g, m, c in traces]
    return np.log((1 - FALSE_TRACES) * np.array(known) + FALSE_TRACES)


def _filled(labels: pd.DataFrame, own: pd.DataFrame, traces: list[Trace], side: str) -> pd.DataFrame:
    """Labels in which one candidate of every ambiguous trace is observed and its others are not."""
    observed = dict(zip(zip(*(labels[k] for k in KEYS), strict=True), labels["observed"], strict=True))
    chance = dict(zip(zip(*(own[k] for k in KEYS), strict=True), own["p"], strict=True))
    choose = max if side == "best" else min
    for grain, mechanism, candidates in traces:
        keys = [k for k in ((grain, mechanism, t) for t in candidates) if k in observed and k in chance]
        if not keys or any(observed[k] == 1 for k in keys):
            continue
        source = choose(keys, key=chance.__getitem__)
        observed |= {k: 0.0 for k in keys if np.isnan(observed[k])} | {source: 1.0}
    return labels[KEYS].assign(observed=list(observed.values()))


def _plain(own: pd.DataFrame, labels: pd.DataFrame, splits: Splits) -> pd.Series:
    """Scores without intervals, by mechanism and metric."""
    table = evaluate(own, labels, splits=splits, n_boot=0)
    return table.set_index(["mechanism", "metric"])["value"]
