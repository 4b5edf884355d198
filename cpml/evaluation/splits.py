"""Splits of one map into folds that do not leak.

Neighbouring grains share boundaries, stresses and sometimes a parent, so a random split lets a model
look up the answer next door. Here a map is cut into rectangular *blocks* of about equal grain number;
whole blocks are held out, and training grains within ``shells`` neighbours of a held-out grain are
dropped (the buffer). The block is also the unit that is resampled for intervals, because it is the
smallest part that is close to exchangeable.

Receptive field: a model that looks L shells away shares inputs with training grains up to 2 L shells from the
held-out ones, but labels only with those that it is trained on. ``shells`` counts the latter: 1 keeps labels
of touching grains out, 1 + L those whose inputs contain a held-out grain's neighbours.

Of a periodic map one grain may be seen on both sides; ``groups`` says which grains are images of each other.
They are held out together, and the neighbours of one are those of the other.
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
    groups: pd.Series | None = None,
) -> Splits:
    """Hold out spatial blocks, with a buffer of ``shells`` grain shells.

    The blocks are those of the map; ``seed`` deals them to the folds, so several seeds are several partitions
    over the same blocks.

    Parameters
    ----------
    grains : table with grain_id, x_um, y_um (one row per grain, twins merged into their parent)
    boundaries : table with grain_a, grain_b (neighbouring grains)
    blocks : number of blocks along x and along y; cuts at equal grain number
    groups : by grain_id, equal where grains are images of one (a periodic map shows it on both sides): they
        belong to the block of the largest image. Grains that are missing, or NaN, are their own group

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
    member = _members(grains, groups)
    block = block[_largest(grains, member)[member]]
    return _splits(grains, boundaries, block, order[block] % n_folds, shells, member)


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


def _members(grains: pd.DataFrame, groups: pd.Series | None) -> np.ndarray:
    """(G,) number of the group of every grain."""
    own = pd.Series([f"grain {g}" for g in grains["grain_id"]], index=grains["grain_id"], dtype=object)
    if groups is not None:
        known = groups.dropna()
        known = known[known.index.isin(own.index)]
        own[known.index] = [f"group {g}" for g in known]
    return np.unique(own.to_numpy(str), return_inverse=True)[1]


def _largest(grains: pd.DataFrame, member: np.ndarray) -> np.ndarray:
    """(M,) row of the largest grain of every group (of the first, where nobody knows sizes)."""
    size = grains["n_pixels"].to_numpy(float) if "n_pixels" in grains else np.ones(len(grains))
    order = np.lexsort((-size, member))
    return order[np.unique(member[order], return_index=True)[1]]


def _splits(
    grains: pd.DataFrame,
    boundaries: pd.DataFrame,
    block: np.ndarray,
    fold: np.ndarray,
    shells: int,
    member: np.ndarray | None = None,
) -> Splits:
    table = pd.DataFrame({"grain_id": grains["grain_id"].to_numpy(), "block": block, "fold": fold})
    position = pd.Series(np.arange(len(table)), index=table["grain_id"])
    known = boundaries["grain_a"].isin(position.index) & boundaries["grain_b"].isin(position.index)
    a = position[boundaries.loc[known, "grain_a"]].to_numpy()
    b = position[boundaries.loc[known, "grain_b"]].to_numpy()
    ones = np.ones(2 * len(a))
    adjacency = coo_array((ones, (np.r_[a, b], np.r_[b, a])), shape=(len(table), len(table))).tocsr()
    if member is not None and len(np.unique(member)) < len(member):
        images = coo_array((np.ones(len(member)), (np.arange(len(member)), member))).tocsr()
        adjacency = images @ (images.T @ adjacency @ images) @ images.T
    return Splits(table, adjacency, shells)
