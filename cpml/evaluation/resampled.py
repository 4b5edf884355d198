"""Resamples of whole blocks, and the intervals that they give."""

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9  # of every interval in the tables: from the 5 % to the 95 % quantile


def block_weights(blocks: NDArray, n_boot: int, rng: np.random.Generator) -> NDArray:
    """(n_boot, N) how often the block of every row is drawn when as many blocks as there
    are are drawn with replacement.
    """
    names, where = np.unique(blocks, return_inverse=True)
    drawn = rng.integers(len(names), size=(n_boot, len(names)))
    counts = np.stack([(drawn == b).sum(1) for b in range(len(names))], axis=1)
    return counts[:, where].astype(float)


def interval(boot: NDArray) -> tuple[NDArray, NDArray]:
    """Low and high quantile (M,) of (B, M) resamples; NaN without resamples, or
    where none of them has a value.
    """
    ends = np.full((2, boot.shape[1]), np.nan)
    usable = np.isfinite(boot).any(axis=0) if len(boot) else np.zeros(boot.shape[1], dtype=bool)
    if usable.any():
        tail = (1 - LEVEL) / 2
        ends[:, usable] = np.nanquantile(boot[:, usable], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]
