"""Splits of one map into folds that do not leak.

Neighbouring grains share boundaries, stresses and sometimes a parent, so a random split lets a model
look up the answer next door. Here a map is cut into rectangular *blocks* of about equal grain number;
whole blocks are held out, and training grains within ``shells`` neighbours of a held-out grain are
dropped (the buffer). The block is also the unit that is resampled for intervals, because it is the
smallest part that is close to exchangeable.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array

from cpml.errors import ParameterError


@dataclass(frozen=True)
class Splits:
    """Fold and block of every grain.

    Attributes
    ----------
    table : DataFrame grain_id, block, fold
    adjacency : (G, G) sparse 0/1, order of ``table``; None where neighbours are unknown
    shells : width of the buffer in grain shells
    """

    table: pd.DataFrame
    adjacency: Any
    shells: int

    @property
    def folds(self) -> list[int]:
        """Fold numbers that hold at least one grain."""
        return sorted(self.table["fold"].unique().tolist())

    def test(self, fold: int) -> np.ndarray:
        """grain_id of the grains held out in ``fold``."""
        return self.table["grain_id"].to_numpy()[self.table["fold"].to_numpy() == fold]

    def train(self, fold: int) -> np.ndarray:
        """grain_id of the training grains of ``fold``: neither held out nor within the buffer around it."""
        held = self.table["fold"].to_numpy() == fold
        reach = held.copy()
        for _ in range(self.shells):
            reach |= (self.adjacency @ reach.astype(float)) > 0
        return self.table["grain_id"].to_numpy()[~reach]


def blocked_folds(
    grains: pd.DataFrame,
    boundaries: pd.DataFrame,
    *,
    n_folds: int = 5,
    blocks: tuple[int, int] = (4, 4),
    shells: int = 1,
    seed: int = 0,
) -> Splits:
    """Hold out spatial blocks, with a buffer of ``shells`` grain shells.

    Parameters
    ----------
    grains : table with grain_id, x_um, y_um (one row per grain, twins merged into their parent)
    boundaries : table with grain_a, grain_b (neighbouring grains)
    blocks : number of blocks along x and along y; cuts at equal grain number

    Raises
    ------
    ParameterError : fewer blocks than folds, or a negative buffer
    """
    if blocks[0] * blocks[1] < n_folds or n_folds < 2 or shells < 0:
        raise ParameterError(
            f"{blocks[0]} x {blocks[1]} blocks, {n_folds} folds, {shells} shells: need 2 <= "
            "folds <= blocks, shells >= 0"
        )
    x, y = grains["x_um"].to_numpy(), grains["y_um"].to_numpy()
    column = _quantile_bin(x, blocks[0])
    row = np.zeros(len(grains), dtype=int)
    for c in range(blocks[0]):
        row[column == c] = _quantile_bin(y[column == c], blocks[1])
    block = column * blocks[1] + row
    order = np.random.default_rng(seed).permutation(blocks[0] * blocks[1])
    return _splits(grains, boundaries, block, order[block] % n_folds, shells)


def random_folds(
    grains: pd.DataFrame, boundaries: pd.DataFrame, *, n_folds: int = 5, seed: int = 0
) -> Splits:
    """Plain random folds without a buffer: optimistic, shown beside the blocked result as a warning."""
    blocked = blocked_folds(grains, boundaries, n_folds=n_folds, shells=0, seed=seed)
    fold = np.random.default_rng(seed).permutation(len(grains)) % n_folds
    return _splits(grains, boundaries, blocked.table["block"].to_numpy(), fold, 0)


def _quantile_bin(values: np.ndarray, n: int) -> np.ndarray:
    """Bin of each value, n bins of equal count."""
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return rank * n // max(len(values), 1)


def _splits(
    grains: pd.DataFrame, boundaries: pd.DataFrame, block: np.ndarray, fold: np.ndarray, shells: int
) -> Splits:
    table = pd.DataFrame({"grain_id": grains["grain_id"].to_numpy(), "block": block, "fold": fold})
    position = pd.Series(np.arange(len(table)), index=table["grain_id"])
    known = boundaries["grain_a"].isin(position.index) & boundaries["grain_b"].isin(position.index)
    a = position[boundaries.loc[known, "grain_a"]].to_numpy()
    b = position[boundaries.loc[known, "grain_b"]].to_numpy()
    ones = np.ones(2 * len(a))
    adjacency = coo_array((ones, (np.r_[a, b], np.r_[b, a])), shape=(len(table), len(table))).tocsr()
    return Splits(table, adjacency, shells)
