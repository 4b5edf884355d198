"""Prediction sets that hold a given share of the footprints, calibrated over blocks.

A set answers: this grain shows a footprint, which targets may have left it? Every footprint (a twin variant,
the plane behind a trace) has a score, the surprise about its target y,

    s = 1 - p_y / max_t p_t

relative to the likeliest target, because the footprint is given: how likely the grain was to show one at all
does not matter. The set is {t : s_t <= q}; q is the level-quantile of the scores in the calibration blocks,
each block with the same mass and its scores sharing it, because blocks and not grains are exchangeable

    q = inf {s : 1/B sum_b F_b(s) >= level},    F_b the distribution of the scores in block b

(pooled distributions of two-layer data: Dunn, Wasserman & Ramdas 2022, doi:10.1080/01621459.2022.2060112).
For every block q comes from all the others. Fewer than level/(1 - level) calibration blocks (9 for 90 %)
cannot support the level; the set is then everything, and says so.

A trace that fits several planes hides its target. Its pessimistic score is the largest over its candidates,
its optimistic score the smallest, so coverage is an interval: all candidates inside, any inside.
``ambiguous`` says which score calibrates: "pessimistic" holds whichever candidate it was, "optimistic" if
the model ranks candidates rightly, and "angle" (default) spreads the trace over its candidates as its angle
alone does, before any mechanics.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.errors import ParameterError
from cpml.evaluation.levels import traces_of
from cpml.evaluation.splits import Splits

AMBIGUOUS = ("angle", "pessimistic", "optimistic")
BLOCK_COLUMNS = (
    *("model", "mechanism", "block", "n_footprints", "coverage", "coverage_least", "coverage_most"),
    "set_size",
)
TABLE_COLUMNS = (
    *("model", "mechanism", "coverage", "coverage_least", "coverage_most", "low", "high", "set_size"),
    *("set_share", "n_targets", "n_footprints", "n_blocks", "sets"),
)


@dataclass(frozen=True)
class ConformalSets:
    """Sets and how they did.

    Attributes
    ----------
    rows : predictions with score, threshold and in_set
    blocks : model, mechanism, block, n_footprints, coverage, coverage_least, coverage_most, set_size
    table : model, mechanism, coverage with low and high over blocks (ambiguous footprints spread over their
        candidates), coverage_least and _most (all or any candidate inside), set_size, set_share (of all
        targets), n_targets, n_footprints, n_blocks, sets ("calibrated", or why they are everything)
    """

    rows: pd.DataFrame
    blocks: pd.DataFrame
    table: pd.DataFrame


def conformal_sets(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    candidates: pd.DataFrame | None = None,
    *,
    splits: Splits,
    level: float = 0.9,
    ambiguous: str = "angle",
    n_boot: int = 200,
    seed: int = 0,
) -> ConformalSets:
    """Sets of every grain from out-of-fold predictions of any models, each block calibrated on all others.

    Parameters
    ----------
    predictions : model, grain_id, mechanism, target, p
    labels : grain_id, mechanism, target, observed
    candidates : trace_id, grain_id, mechanism, target, probability; the footprints of a mechanism are its
        traces where it has some, else the targets observed as 1
    splits : gives the block of each grain

    Raises
    ------
    ParameterError : a level that is not between 0 and 1, or an unknown way to treat ambiguous footprints
    """
    if not 0 < level < 1 or ambiguous not in AMBIGUOUS:
        raise ParameterError(
            f"level {level} must lie between 0 and 1; ambiguous {ambiguous!r} is one "
            f"of {', '.join(AMBIGUOUS)}"
        )
    block = splits.table.set_index("grain_id")["block"]
    items = footprints(labels, candidates)
    items = items[items["grain_id"].isin(block.index)]
    rows, blocks, table = [], [], []
    for (model, mechanism), own in predictions.groupby(["model", "mechanism"], sort=False):
        own = _with_score(own[own["grain_id"].isin(block.index)])
        scored = _scored(own, items[items["mechanism"] == mechanism], block)
        if scored.empty:
            continue  # nobody looked for this mechanism, or nothing was seen
        limit = _limits(_one_score(scored, ambiguous), np.unique(block), level)
        own = own.assign(threshold=limit[block[own["grain_id"]]].to_numpy())
        own["in_set"] = own["score"] <= own["threshold"]
        per_block, about = _per_block(scored, own, limit, block), {"model": model, "mechanism": mechanism}
        rows.append(own)
        blocks.append(per_block.assign(**about))
        table.append(about | _summary(per_block, own, level, n_boot, seed))
    if not rows:
        nothing = predictions.iloc[:0].assign(score=np.nan, threshold=np.nan, in_set=False)
        return ConformalSets(
            nothing, *(pd.DataFrame(columns=list(c)) for c in (BLOCK_COLUMNS, TABLE_COLUMNS))
        )
    return ConformalSets(
        pd.concat(rows, ignore_index=True), pd.concat(blocks, ignore_index=True), pd.DataFrame(table)
    )


def footprints(labels: pd.DataFrame, candidates: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per candidate of every footprint: item, grain_id, mechanism,
    target, weight (sums to 1 per item).
    """
    traces = traces_of(candidates)
    traced = {mechanism for _, mechanism, _ in traces}
    seen = labels[(labels["observed"] == 1) & ~labels["mechanism"].isin(traced)]
    sure = [(g, m, {t: 1.0}) for g, m, t in seen[["grain_id", "mechanism", "target"]].itertuples(index=False)]
    rows = [
        (i, g, m, t, w / sum(c.values()))
        for i, (g, m, c) in enumerate([*traces, *sure])
        for t, w in c.items()
    ]
    return pd.DataFrame(rows, columns=["item", "grain_id", "mechanism", "target", "weight"])


def threshold(scores: NDArray, blocks: NDArray, *, level: float, weight: NDArray | None = None) -> float:
    """Level-quantile of the scores, all blocks with the same mass; infinity
    where the blocks cannot support it.

    Parameters
    ----------
    scores, blocks, weight : (N,) score of every footprint or candidate, its block, its weight (None: 1)
    """
    names, where = np.unique(blocks, return_inverse=True)
    if len(names) < needed_blocks(level):
        return np.inf
    weight = np.ones(len(scores)) if weight is None else weight
    mass = weight / (len(names) * np.bincount(where, weights=weight))[where]
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(mass[order]) >= level - 1e-12
    return float(scores[order][reached.argmax()]) if reached.any() else np.inf


def needed_blocks(level: float) -> int:
    """Fewest calibration blocks that can support a level: 9 for 90 %, 19 for 95 %."""
    return int(np.ceil(level / (1 - level) - 1e-9))


def _with_score(own: pd.DataFrame) -> pd.DataFrame:
    """Predictions of one model and mechanism with the surprise about every target."""
    p = own["p"] + 1e-12
    return own.assign(score=1 - p / p.groupby(own["grain_id"]).transform("max"))


def _scored(own: pd.DataFrame, items: pd.DataFrame, block: pd.Series) -> pd.DataFrame:
    """The candidates of every footprint of one model and mechanism with their score and block."""
    table = items.merge(own[["grain_id", "target", "score"]], on=["grain_id", "target"], how="inner")
    return table.assign(block=block[table["grain_id"]].to_numpy())


def _one_score(scored: pd.DataFrame, ambiguous: str) -> pd.DataFrame:
    """Score, weight and block that calibrate: all candidates, or the worst or best of each footprint."""
    if ambiguous == "angle":
        return scored
    grouped = scored.groupby("item")
    score = grouped["score"].max() if ambiguous == "pessimistic" else grouped["score"].min()
    return pd.DataFrame({"score": score, "weight": 1.0, "block": grouped["block"].first()})


def _limits(calibrating: pd.DataFrame, blocks: NDArray, level: float) -> pd.Series:
    """Threshold of every block from the footprints of all others."""
    limits = {}
    for b in blocks:
        other = calibrating[calibrating["block"] != b]
        score, block, weight = (other[c].to_numpy() for c in ("score", "block", "weight"))
        limits[b] = threshold(score, block, level=level, weight=weight)
    return pd.Series(limits)


def _per_block(scored: pd.DataFrame, own: pd.DataFrame, limit: pd.Series, block: pd.Series) -> pd.DataFrame:
    """Coverage and size of the sets of the grains with a footprint, block by block."""
    inside = scored.assign(inside=scored["score"] <= limit[scored["block"]].to_numpy())
    inside["coverage"] = inside["inside"] * inside["weight"]
    item = inside.groupby(["block", "item"]).agg(
        coverage=("coverage", "sum"), coverage_least=("inside", "min"), coverage_most=("inside", "max")
    )
    size = own.groupby("grain_id")["in_set"].sum()
    shown = np.unique(scored["grain_id"])
    size = size[shown].groupby(block[shown].to_numpy()).mean()
    grouped = item.astype(float).groupby("block")
    return (
        grouped.mean().assign(n_footprints=grouped.size(), set_size=size).rename_axis("block").reset_index()
    )


def _summary(per_block: pd.DataFrame, own: pd.DataFrame, level: float, n_boot: int, seed: int) -> dict:
    """One line: means over blocks, with the interval of resampled blocks."""
    n = len(per_block)
    drawn = np.random.default_rng(seed).integers(n, size=(n_boot, n)) if n else np.zeros((0, 0), int)
    means = per_block["coverage"].to_numpy()[drawn].mean(1) if n and n_boot else np.array([np.nan])
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    n_targets = own.groupby("grain_id")["target"].size().mean() if len(own) else np.nan
    size = per_block["set_size"].mean()
    usable, need = max(n - 1, 0), needed_blocks(level)
    too_few = f"everything: {usable} calibration blocks, {need} needed for {level:.0%}"
    return {
        **per_block[["coverage", "coverage_least", "coverage_most"]].mean(),
        "low": low,
        "high": high,
        "set_size": size,
        "set_share": size / n_targets,
        "n_targets": n_targets,
        "n_footprints": int(per_block["n_footprints"].sum()),
        "n_blocks": n,
        "sets": "calibrated" if usable >= need else too_few,
    }
