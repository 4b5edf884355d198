"""Choice of hyper-parameters without leaks: by log-loss on spatial blocks inside the training grains.

Each specimen is cut into alternating tiles (`Specimen.chequerboard`); every candidate is trained on one half
of the labels and scored on the other, then the other way round. The test grains of an outer split have no
labels here, so they play no part.
"""

from collections.abc import Callable, Sequence

import numpy as np

from cpml.models.baselines.simple import observed
from cpml.models.specimen.specimen import Specimen


def inner_halves(specimens: list[Specimen]) -> np.ndarray:
    """(N,) bool, the half of every observed (grain, token) pair, in the order of `baselines.pairs`."""
    half = np.concatenate([np.repeat(s.chequerboard(), len(s.tokens)) for s in specimens])
    known = np.concatenate([np.isfinite(observed(s)).ravel() for s in specimens])
    return half[known]


def choose(
    candidates: Sequence[dict],
    losses: Callable[[dict, np.ndarray, np.ndarray], dict],
    half: np.ndarray,
    y: np.ndarray,
) -> dict:
    """The candidate of smallest summed log-loss over both directions of the inner split.

    Parameters
    ----------
    losses : (candidate, training rows, held-out rows) -> {refined candidate: summed log-loss};
        one fit may score several candidates at once (boosting after fewer trees). Keys are
        tuples of sorted (name, value) pairs
    half, y : (N,) half and label of every observed pair

    Returns
    -------
    dict; the first candidate where a half lacks one of the classes
    """
    directions = [(np.flatnonzero(half == side), np.flatnonzero(half != side)) for side in (True, False)]
    if any(len(np.unique(y[rows])) < 2 for pair in directions for rows in pair):
        return dict(candidates[0])
    total: dict[tuple, float] = {}
    for candidate in candidates:
        for train, held_out in directions:
            for key, loss in losses(candidate, train, held_out).items():
                total[key] = total.get(key, 0.0) + loss
    best, _ = min(total.items(), key=lambda item: item[1])
    return dict(best)


def key_of(candidate: dict) -> tuple:
    """Hashable form of a candidate."""
    return tuple(sorted(candidate.items()))


def summed_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Log-loss summed over pairs."""
    from sklearn.metrics import log_loss

    return float(log_loss(y, p, normalize=False, labels=[0, 1]))
