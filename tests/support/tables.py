"""Tables of grains whose neighbours are known, and an answer that only places explain."""

import numpy as np
import pandas as pd

from cpml.evaluation import Splits


def square_grains(side: int, *, distance_um: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables `grains` and `boundaries` of side x side grains on a square lattice, numbered row by row."""
    number = np.arange(side**2).reshape(side, side)
    y, x = np.divmod(number.ravel(), side)
    grains = pd.DataFrame({"grain_id": number.ravel() + 1, "x_um": x * distance_um, "y_um": y * distance_um})
    pairs = np.concatenate(
        [
            np.stack([number[:, :-1], number[:, 1:]], axis=-1).reshape(-1, 2),
            np.stack([number[:-1], number[1:]], axis=-1).reshape(-1, 2),
        ]
    )
    return grains, pd.DataFrame(pairs + 1, columns=["grain_a", "grain_b"])


def copied_from_nearest(grains: pd.DataFrame, truth: np.ndarray, splits: Splits) -> np.ndarray:
    """(G,) the answer of the nearest training grain: what a model gains that knows nothing but places."""
    xy, copied = grains[["x_um", "y_um"]].to_numpy(), np.empty(len(truth))
    for fold in splits.folds:
        train, test = splits.train(fold) - 1, splits.test(fold) - 1
        copied[test] = truth[train][np.linalg.norm(xy[test][:, None] - xy[train][None], axis=-1).argmin(1)]
    return copied
