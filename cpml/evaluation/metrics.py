"""Scores of predicted probabilities against footprints that may be missing.

PR-AUC (average precision) is read beside the prevalence, which is what a classifier that knows nothing
scores; plain accuracy is not offered, because a rare mechanism makes it high for free. Labels that nobody
could observe are left out by the caller: missing is not zero.

| name | meaning | better |
|---|---|---|
| pr_auc | average precision over all (grain, target) pairs | high |
| roc_auc | probability that a positive outranks a negative | high |
| log_loss, brier | mean -log p(observed), mean (p - y)^2 | low |
| ece | mean distance of the observed share from the probability, over bins of equal width | low |
| mcc, balanced_accuracy | of a yes/no answer with as many yes as there are positives (see :func:`matched_answer`) | high |
| top1, top2 | share of grains with a footprint whose first (first two) targets hold one | high |
"""

import numpy as np

from cpml.intervals import wilson_interval

CLIP = 1e-6  # a probability of exactly 0 or 1 would make one wrong label cost infinitely much
METRICS = ("pr_auc", "roc_auc", "log_loss", "brier", "ece", "mcc", "balanced_accuracy", "top1", "top2")
LOWER_IS_BETTER = ("log_loss", "brier", "ece")


def average_precision(y: np.ndarray, p: np.ndarray) -> float:
    """Area under the precision-recall curve (step-wise); NaN without a positive."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(y, p)) if y.any() else np.nan


def roc_auc(y: np.ndarray, p: np.ndarray) -> float:
    """Probability that a positive is ranked above a negative; NaN when one class is missing."""
    from scipy.stats import rankdata

    n_positive, n_negative = int(y.sum()), int((1 - y).sum())
    if n_positive == 0 or n_negative == 0:
        return np.nan
    return float((rankdata(p)[y == 1].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """-log of the probability given to what was observed, per label."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def brier(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Squared error of the probability, per label."""
    return (p - y) ** 2


def matched_answer(y: np.ndarray, p: np.ndarray) -> np.ndarray:
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


def matthews(y: np.ndarray, answer: np.ndarray) -> float:
    """Correlation of the answer with what was observed (Matthews 1975); NaN when either is constant."""
    if np.ptp(y) == 0 or np.ptp(answer) == 0:
        return 0.0 if np.ptp(y) else np.nan
    return float(np.corrcoef(y, answer)[0, 1])


def balanced_accuracy(y: np.ndarray, answer: np.ndarray) -> float:
    """Mean of the hit rates among positives and among negatives; NaN when one class is missing."""
    if np.ptp(y) == 0:
        return np.nan
    return float((answer[y == 1].mean() + (1 - answer[y == 0]).mean()) / 2)


def top_k_hits(grain: np.ndarray, y: np.ndarray, p: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether one of the k most probable targets of a grain was observed.

    A tie is shared fairly: the hit is the expected one over random orders of equal probabilities.

    Returns
    -------
    grains, hits : grains with at least one observed target, and the hit in [0, 1] of each
    """
    names, where, size = np.unique(grain, return_inverse=True, return_counts=True)
    order = np.lexsort((-p, where))
    start = np.cumsum(size) - size
    k = np.minimum(k, size)
    edge = p[order][start + k - 1][where]

    def count(rows):
        return np.bincount(where, weights=rows, minlength=len(names))

    sure, tied = p > edge, p == edge
    n_tied, wrong, wanted = count(tied), count(tied & (y == 0)), k - count(sure)
    miss = np.ones(len(names))
    for i in range(int(wanted.max(initial=0))):  # all drawn ones are wrong, without replacement
        miss *= np.where(i < wanted, np.maximum(wrong - i, 0) / np.maximum(n_tied - i, 1), 1.0)
    hits = np.where(count(sure & (y == 1)) > 0, 1.0, 1.0 - miss)
    seen = count(y == 1) > 0
    return names[seen], hits[seen]


def reliability(y: np.ndarray, p: np.ndarray, *, n_bins: int = 8) -> dict[str, np.ndarray]:
    """Observed frequency against predicted probability in bins of equal width, with Wilson 90 % intervals.

    Returns
    -------
    dict predicted, observed, low, high, count; bins without a prediction are left out
    """
    which = np.minimum((p * n_bins).astype(int), n_bins - 1)
    count = np.bincount(which, minlength=n_bins)
    used = count > 0
    count = count[used]
    predicted = np.bincount(which, weights=p, minlength=n_bins)[used] / count
    hits = np.bincount(which, weights=y, minlength=n_bins)[used].astype(int)
    low, high = wilson_interval(hits, count, level=0.9)
    return {"predicted": predicted, "observed": hits / count, "low": low, "high": high, "count": count}


def expected_calibration_error(y: np.ndarray, p: np.ndarray, *, n_bins: int = 8) -> float:
    """Mean |observed - predicted| over bins of equal width, weighted by count."""
    bins = reliability(y, p, n_bins=n_bins)
    return float(np.average(np.abs(bins["observed"] - bins["predicted"]), weights=bins["count"]))
