"""How far slip can pass through the grain graph: clusters of open boundaries, percolation, best paths.

Grains are nodes, boundaries are edges with a weight w from 0 (closed) to 1 (open), such as the m' of the
active systems (cpml.microscopy.grains.boundary_slip).

| quantity | meaning |
|---|---|
| open | boundary with w above a limit |
| cluster | grains joined by open boundaries |
| percolates | one cluster touches two opposite rims of the map |
| transmission | largest product of w along a path from one grain to another |

A map is a section: clusters that are apart in it may be joined below, so that these are lower bounds.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from cpml.errors import ParameterError
from cpml.microscopy.grains.grains import Grains


def transfer_clusters(grains: Grains, weight: ArrayLike, *, above: float = 0.9) -> pd.DataFrame:
    """Cluster of every grain.

    Parameters
    ----------
    weight : (B,) of the rows of `grains.boundaries`; NaN is closed
    above : limit from which on a boundary is open

    Returns
    -------
    fragment_id, cluster (from 1, in the order of the grains), n_grains and area_um2 of the cluster

    Raises
    ------
    ParameterError : another number of weights, or one outside 0 to 1
    """
    weight = _checked(grains, weight)
    ids = grains.boundaries[["fragment_a", "fragment_b"]].to_numpy()[weight > above] - 1
    links = sparse.coo_matrix((np.ones(len(ids)), (ids[:, 0], ids[:, 1])), shape=(grains.n_grains,) * 2)
    label = connected_components(links, directed=False)[1]
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    cluster = np.argsort(np.argsort(first))[label] + 1
    area = grains.table["area_um2"].to_numpy()
    return pd.DataFrame(
        {
            "fragment_id": np.arange(1, grains.n_grains + 1),
            "cluster": cluster,
            "n_grains": np.bincount(cluster)[cluster],
            "area_um2": np.bincount(cluster, area)[cluster],
        }
    )


def percolation(
    grains: Grains, weight: ArrayLike, *, limits: Sequence[float] = (0.5, 0.7, 0.8, 0.9)
) -> pd.DataFrame:
    """What is open above each limit.

    Returns
    -------
    above, open_share (of the boundary length), largest_share (of the area, by the largest cluster),
    mean_grains (of the cluster of a grain, mean over grains), percolates_x, percolates_y
    """
    weight = _checked(grains, weight)
    length = grains.boundaries["length_um"].to_numpy()
    rims = _rims(grains)
    rows = []
    for limit in limits:
        table = transfer_clusters(grains, weight, above=limit)
        cluster, area = table["cluster"].to_numpy(), table["area_um2"].to_numpy()
        across = [bool(set(cluster[a]) & set(cluster[b])) for a, b in rims]
        share = area.max() / grains.table["area_um2"].sum()
        opened = length[weight > limit].sum() / max(length.sum(), 1e-300)
        rows.append((float(limit), opened, share, table["n_grains"].mean(), *across))
    names = ["above", "open_share", "largest_share", "mean_grains", "percolates_x", "percolates_y"]
    return pd.DataFrame(rows, columns=names)


def path_transmission(grains: Grains, weight: ArrayLike, fragment_id: int) -> NDArray:
    """(G,) largest product of weights along a path from one grain to every other; 1 for itself, 0
    without a path.

    Raises
    ------
    ParameterError : no such grain, another number of weights, or one outside 0 to 1
    """
    weight = _checked(grains, weight)
    if not 1 <= fragment_id <= grains.n_grains:
        raise ParameterError(f"fragment {fragment_id} is not from 1 to {grains.n_grains}")
    passing = weight > 0
    ids = grains.boundaries[["fragment_a", "fragment_b"]].to_numpy()[passing] - 1
    # the longest product is the shortest sum of -log w; an edge of length 0 would be none
    cost = np.maximum(-np.log(weight[passing]), 1e-300)
    links = sparse.coo_matrix((cost, (ids[:, 0], ids[:, 1])), shape=(grains.n_grains,) * 2).tocsr()
    return np.exp(-dijkstra(links, directed=False, indices=fragment_id - 1))


def passing_clusters(passing: pd.DataFrame, *, n_deals: int = 500, seed: int = 0) -> pd.DataFrame:
    """Grains that passed boundaries join, beside the same boundaries with their evidence dealt out anew.

    States are drawn from their probabilities, so that a boundary that fits either counts half. Boundaries
    without evidence are left out of both: a difference is one of where slip passes, not of where somebody
    looked.

    Parameters
    ----------
    passing : grain_a, grain_b, p_passes, log_ratio (0: no evidence), of `slip_passing`
    n_deals : how often states are drawn, and evidence is dealt out

    Returns
    -------
    quantity, observed (mean over draws), chance (mean over deals), chance_low, chance_high (5 and 95 % of
    deals), p_more (share of deals with as much as or more than the draw beside it), n_boundaries (with
    evidence), n_passing (expected). Quantities are "largest cluster" (grains), "longest chain" (boundaries on
    the shortest way between the two ends of a cluster) and "mean cluster" (grains in that of a grain with a
    passed boundary); NaN without evidence

    Raises
    ------
    ParameterError : no deal
    """
    if n_deals < 1:
        raise ParameterError(f"n_deals {n_deals}: one or more are needed")
    known = passing[passing["log_ratio"] != 0]
    ids, p = known[["grain_a", "grain_b"]].to_numpy(int), known["p_passes"].to_numpy(float)
    rng = np.random.default_rng(seed)
    numbers = np.full((2, n_deals, len(CLUSTER_QUANTITIES)), np.nan)
    for k in range(n_deals if len(known) else 0):
        numbers[0, k] = _cluster_numbers(ids[rng.random(len(p)) < p])
        numbers[1, k] = _cluster_numbers(ids[rng.random(len(p)) < rng.permutation(p)])
    observed, dealt = numbers
    return pd.DataFrame(
        {
            "quantity": CLUSTER_QUANTITIES,
            "observed": observed.mean(axis=0),
            "chance": dealt.mean(axis=0),
            "chance_low": np.quantile(dealt, 0.05, axis=0),
            "chance_high": np.quantile(dealt, 0.95, axis=0),
            "p_more": np.where(np.isfinite(observed[0]), (dealt >= observed).mean(axis=0), np.nan),
            "n_boundaries": len(known),
            "n_passing": p.sum(),
        }
    )


CLUSTER_QUANTITIES = ("largest cluster", "longest chain", "mean cluster")


def _cluster_numbers(ends: NDArray) -> NDArray:
    """CLUSTER_QUANTITIES of the graph with these edges (E, 2)."""
    if not len(ends):
        return np.zeros(len(CLUSTER_QUANTITIES))
    nodes, ends = np.unique(ends, return_inverse=True)
    ends = ends.reshape(-1, 2)
    links = sparse.coo_matrix((np.ones(len(ends)), ends.T), shape=(len(nodes),) * 2).tocsr()
    label = connected_components(links, directed=False)[1]
    size = np.bincount(label)
    steps = dijkstra(links, directed=False, unweighted=True)
    chain = steps[np.isfinite(steps)].max()
    return np.array([size.max(), chain, size[label].mean()], float)


def _checked(grains: Grains, weight: ArrayLike) -> NDArray:
    """Weights (B,) with 0 where they are missing."""
    weight = np.asarray(weight, float)
    if weight.shape != (len(grains.boundaries),) or np.any((weight < 0) | (weight > 1 + 1e-9)):
        raise ParameterError(
            f"weights of shape {weight.shape}: one from 0 to 1 for each of the "
            f"{len(grains.boundaries)} boundaries is needed"
        )
    return np.minimum(np.nan_to_num(weight, nan=0.0), 1.0)


def _rims(grains: Grains) -> tuple[tuple[NDArray, NDArray], tuple[NDArray, NDArray]]:
    """Grains (rows of the table) on the left and right, and on the upper and lower rim of the map."""
    m = grains.map
    margin, top = int(m.grid == "hex" and not m.flat_top), int(m.flat_top)
    columns, rows = m.half_columns, m.rows
    sides = (
        (columns <= margin, columns >= columns.max() - margin),
        (rows <= top, rows >= rows.max() - top),
    )
    found = [[np.setdiff1d(grains.label[place], 0) - 1 for place in pair] for pair in sides]
    return tuple(tuple(pair) for pair in found)
