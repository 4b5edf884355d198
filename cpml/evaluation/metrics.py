"""Scores of predicted probabilities against footprints that may be missing, of many resamples at once.

PR-AUC (average precision) is read beside the prevalence, which is what a classifier that knows nothing
scores; plain accuracy is not offered, because a rare mechanism makes it high for free. Labels that nobody
could observe are left out by the caller: missing is not zero.

Families differ in how often they are seen, and a model that knows this and nothing of the grain already ranks
well over all pairs. So the first score ranks the grains inside each family, and is the plain mean over the
families with at least FEWEST positives and negatives: every family counts alike, a rare one too.

| name | meaning | better |
|---|---|---|
| pr_auc_within | average precision inside a family, mean over families that have enough of both | high |
| pr_auc | average precision over all (grain, target) pairs | high |
| roc_auc | probability that a positive outranks a negative | high |
| log_loss, brier | mean -log p(observed), mean (p - y)^2 | low |
| ece | mean distance of the observed share from the probability, over bins of equal width | low |
| mcc, balanced_accuracy | of an answer with as many yes as there are positives (`matched_answer`) | high |
| top1, top2 | share of grains with a footprint whose first (first two) targets hold one | high |

A resample is a weight per row: how often its block was drawn. The scores are sums over rows
sorted once, so that 200 resamples of 100 000 rows take seconds; with weights of one they are
those of scikit-learn to rounding.
"""

import numpy as np
from numpy.typing import NDArray

from cpml.intervals import wilson_interval

CLIP = 1e-6  # a probability of exactly 0 or 1 would make one wrong label cost infinitely much
METRICS = (
    *("pr_auc_within", "pr_auc", "roc_auc", "log_loss", "brier", "ece", "mcc", "balanced_accuracy"),
    *("top1", "top2"),
)
LOWER_IS_BETTER = ("log_loss", "brier", "ece")
FEWEST = 5  # positives, and negatives, of a family whose grains are ranked by themselves
N_BINS = 8  # of a calibration
CHUNK = 4_000_000  # weights held at a time (32 MB)


def scores(
    y: NDArray,
    p: NDArray,
    grain: NDArray,
    weight: NDArray | None = None,
    family: NDArray | None = None,
) -> NDArray:
    """Every metric of METRICS for every resample.

    Parameters
    ----------
    y, p, grain : (N,) observed 0 or 1, probability, grain of every row
    weight : (B, N) weight of every row in every resample; None: one resample, all rows once
    family : (N,) name of the family of every row; None: nobody said, and pr_auc_within is missing

    Returns
    -------
    (B, M); NaN where a resample lacks what the metric needs
    """
    weight = np.ones((1, len(y))) if weight is None else weight
    columns = _means(y, p, grain)
    groups = [] if family is None else [family == name for name in ranked_families(y, family)]
    step = max(1, CHUNK // max(len(y), 1))
    parts = [_chunk(y, p, columns, groups, weight[i : i + step]) for i in range(0, len(weight), step)]
    return np.concatenate(parts) if parts else np.zeros((0, len(METRICS)))


def ranked_families(y: NDArray, family: NDArray) -> list[str]:
    """Families with at least FEWEST positives and as many negatives, in alphabetical order.

    Parameters
    ----------
    y, family : (N,) observed 0 or 1, name of the family; what is no text is no family
    """
    return [
        name
        for name in sorted({f for f in family.tolist() if isinstance(f, str)})
        if min((y[family == name] == k).sum() for k in (0, 1)) >= FEWEST
    ]


def matched_answer(y: NDArray, p: NDArray) -> NDArray:
    """Yes (1) for the most probable pairs, as many as there are positives; a tie at
    the edge is shared as a fraction.

    A threshold of one half would answer "never" for a rare mechanism whatever the ranking; this one depends
    on the ranking alone, and a constant probability gives an MCC of 0 and a balanced accuracy of 1/2 exactly.
    """
    wanted = int(y.sum())
    if wanted == 0:
        return np.zeros(len(p))
    edge = np.sort(p)[-wanted]
    sure, tied = p > edge, p == edge
    return sure + tied * (wanted - sure.sum()) / tied.sum()


def top_k_hits(grain: NDArray, y: NDArray, p: NDArray, k: int) -> tuple[NDArray, NDArray]:
    """Whether one of the k most probable targets of a grain was observed.

    A tie is shared fairly: the hit is the expected one over random orders of equal probabilities.

    Returns
    -------
    grains, hits : grains with at least one observed target, and the hit in [0, 1] of each
    """
    names, where, size = np.unique(grain, return_inverse=True, return_counts=True)
    order = np.lexsort((-p, where))
    start = np.cumsum(size) - size
    drawn = np.minimum(k, size)
    edge = p[order][start + drawn - 1][where]

    def count(rows: NDArray) -> NDArray:
        return np.bincount(where, weights=rows, minlength=len(names))

    sure, tied = p > edge, p == edge
    n_tied, wrong, wanted = count(tied), count(tied & (y == 0)), drawn - count(sure)
    miss = np.ones(len(names))
    for i in range(int(wanted.max(initial=0))):  # all drawn ones are wrong, without replacement
        miss *= np.where(i < wanted, np.maximum(wrong - i, 0) / np.maximum(n_tied - i, 1), 1.0)
    hits = np.where(count(sure & (y == 1)) > 0, 1.0, 1.0 - miss)
    seen = count(y == 1) > 0
    return names[seen], hits[seen]


def reliability(y: NDArray, p: NDArray) -> dict[str, NDArray]:
    """Observed frequency against predicted probability in N_BINS bins of equal
    width, with Wilson 90 % intervals.

    Returns
    -------
    dict predicted, observed, low, high, count; bins without a prediction are left out
    """
    which = _bin(p)
    count = np.bincount(which, minlength=N_BINS)
    used = count > 0
    count = count[used]
    predicted = np.bincount(which, weights=p, minlength=N_BINS)[used] / count
    hits = np.bincount(which, weights=y, minlength=N_BINS)[used]
    low, high = wilson_interval(hits, count, level=0.9)
    return {"predicted": predicted, "observed": hits / count, "low": low, "high": high, "count": count}


def calibration_error(y: NDArray, p: NDArray, weight: NDArray | None = None) -> NDArray:
    """(B,) mean |observed - predicted| over bins of equal width, by count, of every resample (B, N)."""
    weight = np.ones((1, len(y))) if weight is None else weight
    gap = (y - p)[:, None] * (_bin(p)[:, None] == np.arange(N_BINS))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(weight @ gap).sum(1) / weight.sum(1)


def _bin(p: NDArray) -> NDArray:
    return np.minimum((p * N_BINS).astype(int), N_BINS - 1)


def _means(y: NDArray, p: NDArray, grain: NDArray) -> dict[str, NDArray]:
    """What each row contributes to the metrics that are plain means."""
    inside = np.clip(p, CLIP, 1 - CLIP)
    columns = {"log_loss": -np.where(y == 1, np.log(inside), np.log1p(-inside)), "brier": (p - y) ** 2}
    first = {g: i for i, g in reversed(list(enumerate(grain.tolist())))}
    for k in (1, 2):
        grains, hits = top_k_hits(grain, y, p, k)
        # a grain's hit sits on its first row, so that weights of rows count grains; NaN elsewhere
        column = np.full(len(y), np.nan)
        column[[first[g] for g in grains.tolist()]] = hits
        columns[f"top{k}"] = column
    return columns


def _chunk(
    y: NDArray, p: NDArray, columns: dict[str, NDArray], groups: list[NDArray], weight: NDArray
) -> NDArray:
    values = _ranking(y, p, weight) | _answer(y, matched_answer(y, p), weight)
    values["pr_auc_within"] = _within(y, p, groups, weight)
    values["ece"] = calibration_error(y, p, weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, column in columns.items():
            known = np.isfinite(column)
            values[name] = weight[:, known] @ column[known] / weight[:, known].sum(1)
    return np.stack([values[m] for m in METRICS], axis=1)


def _ranking(y: NDArray, p: NDArray, weight: NDArray) -> dict[str, NDArray]:
    """PR-AUC and ROC-AUC from the weights of positives and negatives at every distinct probability."""
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])
    positive = np.add.reduceat((weight * y)[:, order], starts, axis=1)
    negative = np.add.reduceat((weight * (1 - y))[:, order], starts, axis=1)
    n_positive, n_negative = positive.sum(1), negative.sum(1)
    hits, false = (np.cumsum(v[:, ::-1], axis=1)[:, ::-1] for v in (positive, negative))
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(hits > 0, hits / (hits + false), 0.0)
        below = np.cumsum(negative, axis=1) - negative / 2
        return {
            "pr_auc": (precision * positive).sum(1) / n_positive,
            "roc_auc": (positive * below).sum(1) / (n_positive * n_negative),
        }


def _within(y: NDArray, p: NDArray, groups: list[NDArray], weight: NDArray) -> NDArray:
    """PR-AUC inside every group of rows, mean over the groups; a resample without a positive of one of them
    is the mean over the others.
    """
    if not groups:
        return np.full(len(weight), np.nan)
    each = np.stack([_ranking(y[rows], p[rows], weight[:, rows])["pr_auc"] for rows in groups])
    known = np.isfinite(each)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, each, 0.0).sum(0) / known.sum(0)


def _answer(y: NDArray, answer: NDArray, weight: NDArray) -> dict[str, NDArray]:
    """MCC (Matthews 1975) and balanced accuracy of a fixed answer."""
    total = weight.sum(1)
    n_positive, n_yes, hits, squares = (weight @ v for v in (y, answer, y * answer, answer**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = hits / total - n_positive * n_yes / total**2
        spread = (n_positive / total * (1 - n_positive / total)) * (squares / total - (n_yes / total) ** 2)
        mcc = np.where(np.abs(covariance) < 1e-12, 0.0, covariance / np.sqrt(np.maximum(spread, 0)))
        n_negative = total - n_positive
        rates = hits / n_positive + 1 - (n_yes - hits) / n_negative
    both = (n_positive > 0) & (n_negative > 0)
    return {"mcc": np.where(both, mcc, np.nan), "balanced_accuracy": np.where(both, rates / 2, np.nan)}
