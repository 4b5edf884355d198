"""Prediction sets that hold a given share of the footprints, calibrated over blocks.

A set answers: this grain shows a footprint, which targets may have left it? Every footprint (a twin variant,
the plane behind a trace) has a score, the surprise about its target y,

    s = 1 - p_y / max_t p_t

relative to the likeliest target, because the footprint is given: how likely the grain was to show one at all
does not matter. The set is {t : s_t <= q}; q is the level-quantile of the scores in the calibration blocks,
each block with the same mass and its scores sharing it, because blocks and not grains are exchangeable

    q = inf {s : 1/B sum_b F_b(s) >= level},    F_b the distribution of the scores in block b

(pooled distributions of two-layer data: Dunn, Wasserman & Ramdas 2022, doi:10.1080/01621459.2022.2060112).
For every block q comes from all the others; for a specimen without labels, from labelled ones
(`cpml.evaluation.predicted_sets`). Fewer than level/(1 - level) calibration blocks (9 for 90 %) cannot
support the level; the set is then everything, and says so.

A trace that fits several planes hides its target, and some traces are the work of no plane. ``ambiguous``
says with which weights a footprint's candidates calibrate: "posterior" (default) with the probability that
they left it, which sums to less than one where the trace may be spurious (`cpml.evaluation.sources`; spurious
traces, whose scores lie anywhere, would otherwise widen every set); "angle" as the angle alone would have
it, before any mechanics, all traces real; "pessimistic" counts the candidate with the largest score, which
holds whichever it was, and "optimistic" that with the smallest. Coverage is counted with the weights of
"posterior" or, else, of "angle", with all and with any candidate inside, and, where the truth is known, over
what was *active*, recorded or not.

Other scores are kept for comparison (SCORES): the share 1 - p_y / sum_t p_t, the log-odds below the largest,
and the cumulative share of what is likelier plus half of its own (adaptive sets without their random part:
Romano, Sesia & Candes 2020). On virtual specimens their sets are as large within 3 % at the same coverage of
active planes; for twins those of "ratio" are the smallest, and from one specimen to another it keeps closest
to the level. Its sets are never empty, and grains with faint footprints get no larger ones. Weights for
another mix of families or grains (covariate shift) changed coverage by 0.03 at most there and are left out:
what a new specimen does not share with the labelled ones is its strengths, which no prediction shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from cpml.errors import ParameterError
from cpml.evaluation.sources import LEAST, Shown, Sources
from cpml.evaluation.splits import Splits

AMBIGUOUS = ("posterior", "angle", "pessimistic", "optimistic")
COVERAGES = ("coverage", "coverage_least", "coverage_most", "coverage_active")
BLOCK_COLUMNS = (*("model", "mechanism", "block", "n_footprints"), *COVERAGES, "set_size")
TABLE_COLUMNS = (
    *("model", "mechanism", "coverage", "coverage_least", "coverage_most", "coverage_active", "low", "high"),
    *("set_size", "set_share", "n_targets", "n_footprints", "n_real", "n_active", "n_blocks", "sets"),
)
FEWEST_REAL = 0.5  # footprints that a block must hold to count as one


@dataclass(frozen=True)
class ConformalSets:
    """Sets and how they did.

    Attributes
    ----------
    rows : predictions with score, threshold and in_set
    blocks : model, mechanism, block, n_footprints, coverage, coverage_least, coverage_most, coverage_active,
        set_size
    table : model, mechanism, coverage of footprints (candidates weighted) with low and high over blocks,
        coverage_least and _most (all or any candidate inside), coverage_active (of what truly happened; NaN
        without a truth), set_size, set_share (of all targets), n_targets, n_footprints, n_real (expected
        number that are not spurious), n_active, n_blocks, sets ("calibrated", or why they are everything)
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
    truth: pd.DataFrame | None = None,
    level: float = 0.9,
    ambiguous: str = "posterior",
    score: str = "ratio",
    n_boot: int = 200,
    seed: int = 0,
) -> ConformalSets:
    """Sets of every grain from out-of-fold predictions of any models, each block calibrated on all others.

    Parameters
    ----------
    predictions : model, grain_id, mechanism, target, p[, family]
    labels : grain_id, mechanism, target, observed
    candidates : trace_id, grain_id, mechanism, target, probability[, likelihood]; the footprints of a
        mechanism are its traces where it has some, else the targets observed as 1
    splits : gives the block of each grain
    truth : grain_id, mechanism, target, observed of what truly happened; scores the sets, calibrates nothing

    Raises
    ------
    ParameterError : a level that is not between 0 and 1, an unknown score, or an unknown way to treat
        ambiguous footprints
    """
    check_options(level, ambiguous, score)
    block = splits.table.set_index("grain_id")["block"]
    rows, blocks, table = [], [], []
    for (model, mechanism), own in predictions.groupby(["model", "mechanism"], sort=False):
        own = with_score(own[own["grain_id"].isin(block.index)], score)
        shown = Shown.of(own, labels, candidates)
        shown = shown.of_rows(shown.angle.sum(1) > 0) if shown.density is None else shown
        if not shown.angle.any():
            continue  # nobody looked for this mechanism, or nothing was seen
        where = block[shown.grain_id].to_numpy()
        names = np.unique(block)
        weight, limit = np.zeros_like(shown.angle), {}
        for name in names:
            other = where != name
            weights = source_weights(shown, ambiguous, train=other)
            limit[name] = block_threshold(shown, where, weights, other, level)
            weight[~other] = (weights if ambiguous == "posterior" else shown.angle)[~other]
        own = own.assign(threshold=pd.Series(limit)[block[own["grain_id"]]].to_numpy())
        own["in_set"] = own["score"] <= own["threshold"]
        per_block, about = (
            coverage_by_block(own, shown, weight, block, truth),
            {"model": model, "mechanism": mechanism},
        )
        rows.append(own)
        blocks.append(per_block.assign(**about)[list(BLOCK_COLUMNS)])
        found = coverage_summary(per_block, own, level=level, n_boot=n_boot, seed=seed)
        usable = int(_holds_footprints(weight, where)) - 1
        said = support(usable, level, f"{max(usable, 0)} calibration blocks")
        table.append(about | found | {"sets": said})
    if not rows:
        nothing = predictions.iloc[:0].assign(score=np.nan, threshold=np.nan, in_set=False)
        return ConformalSets(
            nothing, *(pd.DataFrame(columns=list(c)) for c in (BLOCK_COLUMNS, TABLE_COLUMNS))
        )
    return ConformalSets(
        pd.concat(rows, ignore_index=True),
        pd.concat(blocks, ignore_index=True),
        pd.DataFrame(table)[list(TABLE_COLUMNS)],
    )


def check_options(level: float, ambiguous: str, score: str) -> None:
    """ParameterError for what no set can be made with."""
    if not 0 < level < 1:
        raise ParameterError(f"level {level} must lie between 0 and 1")
    for name, value, known in (("ambiguous", ambiguous, AMBIGUOUS), ("score", score, tuple(SCORES))):
        if value not in known:
            raise ParameterError(f"level {level:g}: {name} {value!r} is not one of {', '.join(known)}")


def threshold(scores: NDArray, blocks: NDArray, *, level: float, weight: NDArray | None = None) -> float:
    """Level-quantile of the scores, all blocks with the same mass; infinity
    where the blocks cannot support it.

    Parameters
    ----------
    scores, blocks, weight : (N,) score of every footprint or candidate, its block, its weight (None: 1). A
        block whose weights sum to less than 1 (all its footprints may be spurious) has that much mass
    """
    names, where = np.unique(blocks, return_inverse=True)
    weight = np.ones(len(scores)) if weight is None else weight
    total = np.bincount(where, weights=weight, minlength=len(names))
    if (total >= FEWEST_REAL).sum() < needed_blocks(level):
        return np.inf
    return weighted_quantile(scores, weight / np.maximum(total, 1.0)[where], level)


def weighted_quantile(scores: NDArray, mass: NDArray, level: float) -> float:
    """Smallest score up to which at least ``level`` of the mass lies."""
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(mass[order]) >= level * mass.sum() - 1e-12
    return float(scores[order][reached.argmax()])


def needed_blocks(level: float) -> int:
    """Fewest calibration blocks that can support a level: 9 for 90 %, 19 for 95 %."""
    return int(np.ceil(level / (1 - level) - 1e-9))


def support(units: int, level: float, name: str) -> str:
    """ "calibrated", or why the sets are everything."""
    need = needed_blocks(level)
    return "calibrated" if units >= need else f"everything: {name}, {need} needed for {level:.0%}"


def with_score(own: pd.DataFrame, score: str) -> pd.DataFrame:
    """Predictions of one model and mechanism with the surprise about every target."""
    return own.assign(score=SCORES[score](own["p"] + 1e-12, own["grain_id"]))


def _ratio(p: pd.Series, grain: pd.Series) -> pd.Series:
    return 1 - p / p.groupby(grain).transform("max")


def _share(p: pd.Series, grain: pd.Series) -> pd.Series:
    return 1 - p / p.groupby(grain).transform("sum")


def _odds(p: pd.Series, grain: pd.Series) -> pd.Series:
    logs = pd.Series(logit(p.clip(LEAST, 1 - LEAST)), p.index)
    return logs.groupby(grain).transform("max") - logs


def _cumulative(p: pd.Series, grain: pd.Series) -> pd.Series:
    share = (p / p.groupby(grain).transform("sum")).sort_values(ascending=False, kind="stable")
    return (share.groupby(grain).cumsum() - share / 2).reindex(p.index)


SCORES: dict[str, Callable[[pd.Series, pd.Series], pd.Series]] = {
    "ratio": _ratio,
    "share": _share,
    "odds": _odds,
    "cumulative": _cumulative,
}


def source_weights(shown: Shown, ambiguous: str, *, train: NDArray | None = None) -> NDArray:
    """(J, T) weight of every candidate of every footprint; ``train`` (J,) bool: of those that may teach it
    (None: all).
    """
    known = shown.angle > 0
    if ambiguous == "angle" or (shown.density is None and known.sum(1).max(initial=0) <= 1):
        return shown.angle  # a target that was seen itself has no rival
    if ambiguous == "posterior":
        return Sources.fit(shown if train is None else shown.of_rows(train)).weights(shown)
    if ambiguous == "pessimistic":
        chosen = np.where(known, shown.score, -np.inf).argmax(1)
    else:
        chosen = np.where(known, shown.score, np.inf).argmin(1)
    return np.eye(len(shown.targets))[chosen] * known.any(1, keepdims=True)


def block_threshold(shown: Shown, where: NDArray, weight: NDArray, used: NDArray, level: float) -> float:
    """Threshold from the footprints in ``used`` (J,) bool, in blocks ``where`` (J,)."""
    scores, weights = shown.score[used], weight[used]
    blocks = np.repeat(where[used], scores.shape[1])
    counts = (weights > 0).ravel()
    return threshold(scores.ravel()[counts], blocks[counts], level=level, weight=weights.ravel()[counts])


def _holds_footprints(weight: NDArray, where: NDArray) -> int:
    """Number of blocks that hold a footprint."""
    return int((pd.Series(weight.sum(1)).groupby(where).sum() >= FEWEST_REAL).sum())


def coverage_by_block(
    own: pd.DataFrame, shown: Shown, weight: NDArray, block: pd.Series, truth: pd.DataFrame | None
) -> pd.DataFrame:
    """Coverage and size of the sets of the grains with a footprint, block by block.

    Parameters
    ----------
    own : predictions with in_set of one model and mechanism
    weight : (J, T) of the candidates of every footprint
    block : by grain_id
    """
    in_set = own.pivot(index="grain_id", columns="target", values="in_set")
    inside = in_set.reindex(index=shown.grain_id, columns=shown.targets).fillna(False).to_numpy(bool)
    known, where = shown.angle > 0, block[shown.grain_id].to_numpy()
    item = pd.DataFrame(
        {
            "real": weight.sum(1),
            "held": (weight * inside).sum(1),
            "coverage_least": np.where(known, inside, True).all(1).astype(float),
            "coverage_most": (known & inside).any(1).astype(float),
        }
    )[known.any(1)]
    where = where[known.any(1)]
    grouped = item.groupby(where)
    real, held = grouped["real"].sum(), grouped["held"].sum()
    size = own.groupby("grain_id")["in_set"].sum()
    seen = np.unique(shown.grain_id)
    size = size[seen].groupby(block[seen].to_numpy()).mean()
    table = grouped[["coverage_least", "coverage_most"]].mean()
    table = table.assign(
        n_footprints=grouped.size(),
        n_real=real,
        coverage=(held / real).where(real >= FEWEST_REAL),
        set_size=size,
    )
    active = _active_inside(own, block, truth)
    return table.join(active, how="left").rename_axis("block").reset_index()


def _active_inside(own: pd.DataFrame, block: pd.Series, truth: pd.DataFrame | None) -> pd.DataFrame:
    """Share of the active targets inside their sets and their number, by block."""
    if truth is None:
        return pd.DataFrame({"coverage_active": [], "n_active": []}, index=pd.Index([], dtype=block.dtype))
    happened = truth.loc[
        (truth["mechanism"] == own["mechanism"].iloc[0]) & (truth["observed"] == 1), ["grain_id", "target"]
    ]
    held = happened.merge(own[["grain_id", "target", "in_set"]], on=["grain_id", "target"])["in_set"]
    grains = happened.merge(own[["grain_id", "target"]], on=["grain_id", "target"])["grain_id"]
    grouped = held.astype(float).groupby(block[grains].to_numpy())
    return pd.DataFrame({"coverage_active": grouped.mean(), "n_active": grouped.size()})


def coverage_summary(
    per_block: pd.DataFrame, own: pd.DataFrame, *, level: float, n_boot: int, seed: int
) -> dict:
    """One line: means over blocks, with the interval of resampled blocks."""
    n = len(per_block)
    drawn = np.random.default_rng(seed).integers(n, size=(n_boot, n)) if n else np.zeros((0, 0), int)
    means = np.array([np.nan])
    covered = per_block["coverage"].to_numpy()
    if n and n_boot and np.isfinite(covered).any():
        means = np.nanmean(covered[drawn], axis=1)
    tail = (1 - level) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail]) if np.isfinite(means).any() else (np.nan, np.nan)
    n_targets = own.groupby("grain_id")["target"].size().mean() if len(own) else np.nan
    size = per_block["set_size"].mean()
    return {
        **per_block[list(COVERAGES)].mean(),
        "low": low,
        "high": high,
        "set_size": size,
        "set_share": size / n_targets,
        "n_targets": n_targets,
        "n_footprints": int(per_block["n_footprints"].sum()),
        "n_real": float(per_block["n_real"].sum()),
        "n_active": int(per_block["n_active"].sum()),
        "n_blocks": n,
    }
