"""From planes and variants to coarser questions: which family, and does the grain twin (or slip) at all?

A family, or a grain, is active when any of its targets t is:

    p(family) = 1 - prod_t (1 - p_t)

the answer for targets that are independent given what the model knows. Where they exclude each other
it is a little low, where they come together a little high.

Labels follow the same rule with what is missing kept: one active target makes the family active, a missing
one leaves it open unless another is active. A trace whose candidates all lie in one family names the
family although it names no plane.
"""

import numpy as np
import pandas as pd

from cpml.errors import ParameterError

LEVELS = ("family", "grain")
CERTAIN = 1.0 - 1e-12

Trace = tuple[int, str, dict[str, float]]
"""grain_id, mechanism and {target: probability before any mechanics}."""


def at_level(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    level: str,
    *,
    candidates: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and labels of families ("slip_family", "twin_family") or of
    grains ("twin_grain": any twin).

    Parameters
    ----------
    predictions : model, grain_id, mechanism, target, family, p (and fold, split, ... which are kept)
    labels : grain_id, mechanism, target, observed
    candidates : trace_id, grain_id, mechanism, target, probability, where there are traces

    Returns
    -------
    predictions, labels : of the same columns as far as they make sense; ready for `evaluate`

    Raises
    ------
    ParameterError : an unknown level
    """
    if level not in LEVELS:
        raise ParameterError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    family = _families(predictions)
    return _combined(predictions, level), _observed(labels, candidates, family, level)


def families_and_twinned_grains(
    predictions: pd.DataFrame, labels: pd.DataFrame, candidates: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both levels of :func:`at_level`: families of slip and twinning, and whether a grain has any twin."""
    levels = [at_level(predictions, labels, level, candidates=candidates) for level in LEVELS]
    p, y = (pd.concat(tables, ignore_index=True) for tables in zip(*levels, strict=True))
    # nearly every grain slips, so "any slip" asks nothing; the family of the only
    # one is the grain's answer again
    single = p.loc[p["mechanism"] == "twin_family", "target"].nunique() == 1
    left_out = ("slip_grain", "twin_family") if single else ("slip_grain",)
    return p[~p["mechanism"].isin(left_out)], y[~y["mechanism"].isin(left_out)]


def _families(predictions: pd.DataFrame) -> pd.Series:
    """Family of every (mechanism, target)."""
    table = predictions.drop_duplicates(["mechanism", "target"])
    return table.set_index(["mechanism", "target"])["family"]


def _combined(predictions: pd.DataFrame, level: str) -> pd.DataFrame:
    target = predictions["family"] if level == "family" else "any"
    kept = [c for c in ("model", "split", "grain_id", "fold", "block") if c in predictions]
    keys = [*kept, "mechanism", "target"]
    log_none = np.log1p(-np.minimum(predictions["p"].to_numpy(dtype=float), CERTAIN))
    table = predictions[[*kept, "mechanism"]].assign(target=target, log_none=log_none)
    some = -np.expm1(table.groupby(keys, sort=False)["log_none"].sum())
    combined = some.rename("p").reset_index()
    return combined.assign(family=combined["target"], mechanism=combined["mechanism"] + f"_{level}")


def _observed(
    labels: pd.DataFrame, candidates: pd.DataFrame | None, family: pd.Series, level: str
) -> pd.DataFrame:
    known = pd.MultiIndex.from_frame(labels[["mechanism", "target"]])
    rows = labels[known.isin(family.index)]
    where = pd.MultiIndex.from_frame(rows[["mechanism", "target"]])
    name = family.reindex(where).to_numpy() if level == "family" else "any"
    table = rows[["grain_id", "mechanism"]].assign(target=name, observed=rows["observed"].to_numpy())
    grouped = table.groupby(["grain_id", "mechanism", "target"], sort=True)["observed"]
    some, complete = grouped.max(), grouped.count() == grouped.size()
    observed = some.where((some == 1) | complete)
    observed[observed.index.isin(_named_by_traces(candidates, family, level))] = 1.0
    table = observed.reset_index()
    return table.assign(mechanism=table["mechanism"] + f"_{level}")


def _named_by_traces(candidates: pd.DataFrame | None, family: pd.Series, level: str) -> set[tuple]:
    """(grain, mechanism, target) that a trace names although its plane stays open."""
    named = set()
    for grain, mechanism, names in traces_of(candidates):
        groups = {family.get((mechanism, n)) if level == "family" else "any" for n in names}
        if len(groups) == 1:
            named.add((grain, mechanism, groups.pop()))
    return named


def traces_of(candidates: pd.DataFrame | None) -> list[Trace]:
    """Every trace that fits some target; its candidates best first.

    Parameters
    ----------
    candidates : trace_id, grain_id, mechanism, target, probability (0: no candidate); None: no traces
    """
    if candidates is None:
        return []
    known = candidates[candidates["probability"] > 0].sort_values(
        ["trace_id", "probability"], ascending=[True, False], kind="stable"
    )
    return [
        (grain, mechanism, dict(zip(rows["target"], rows["probability"], strict=True)))
        for (_, grain, mechanism), rows in known.groupby(["trace_id", "grain_id", "mechanism"])
    ]
