"""Which twin relations make a family: a twin has one parent, and lies in it.

Fragments in twin relation are nodes and relations edges of a graph. Its components are no families: a twin
that ends at a grain boundary may be in relation to the grain beyond it as well, by chance or because the two
parents are near in orientation, and would chain them. So

1. of the relatives of a fragment, those of one orientation that do not touch each other are pieces of one
   crystal (a parent cut by its twin);
2. crystals of more area than its own may be the parent of a fragment. The likeliest has the largest

       score = ln(share) - deviation^2 / (2 DEVIATION_DEG^2),

   relations to the others are taken for chance;
3. the fragment is a twin only if its score is LEAST_SCORE or its share INSIDE at least;
4. a fragment whose parent is a twin itself, and that is no piece of the parent of that one, is a secondary
   twin: it lies inside, and shares at least HALF of its boundary with the family. A
   neighbour that meets a twin from outside does not.

| symbol | meaning | unit |
|---|---|---|
| share | length shared with a relative (all its pieces), over the outline, rim of the map included | - |
| deviation | of mean orientations from the exact relation, mean over the pieces | deg |

Two random hexagonal crystals are within 5 deg of the {10-12} relation with a chance of 0.25 % and then 4.0
deg off (median: the density grows with the square of the angle); measured twins are about 1 deg off.
Relations of annealing twins (cubic Sigma3) among grains of one size cannot tell a parent: each joins its
likeliest larger neighbour.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.symmetry import proper_group
from cpml.microscopy.grains.grains import Grains

SAME_ORIENTATION_DEG = 10.0
"""Disorientation up to which fragments count as pieces of one crystal."""
MANY = 400
"""Crystals from which on those within ALIKE_DEG are put together before pairs are compared."""
ALIKE_DEG = 1.0
DEVIATION_DEG = 1.5
"""Scatter of the deviation of twins from the exact relation."""
LEAST_SCORE = -3.0
"""Score of a pair that shares a fifth of the boundary and is 2.5 deg off."""
INSIDE = 0.6
"""Share of boundary from which on a fragment lies in its relative, however far off the relation is."""
HALF = 0.5
"""Share of boundary that a secondary twin has at least with its family."""
CONTACT_STEPS = 3.0
"""Length of direct contact, in steps of the map, from which on two fragments are two grains."""


def components(first: NDArray, second: NDArray, n: int) -> NDArray:
    """(n,) number of the connected component of each of n nodes."""
    links = sparse.coo_matrix((np.ones(len(first)), (first, second)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def orientation_groups(q: NDArray, group: NDArray, apart: NDArray | None = None) -> NDArray:
    """(n,) number of the group of one orientation, within SAME_ORIENTATION_DEG, of crystals (n, 4).

    Parameters
    ----------
    group : proper group of the phase
    apart : (m, 2) int, pairs that are known to be two crystals: then the nearest are joined first, and no
        group holds such a pair
    """
    # of many crystals those that agree closely speak with one voice
    voice = _alike(q, group) if len(q) > MANY else np.arange(len(q))
    first = np.unique(voice, return_index=True)[1]
    i, j = np.triu_indices(len(first), 1)
    angle = np.degrees(disorientation_angle(q[first[i]], q[first[j]], group))
    same = angle < SAME_ORIENTATION_DEG
    are_two = np.zeros((len(first), len(first)), bool)
    if apart is not None and len(apart):
        are_two[voice[apart], voice[apart[:, ::-1]]] = True
        np.fill_diagonal(are_two, False)
    if not (same & are_two[i, j]).any():
        return components(i[same], j[same], len(first))[voice]
    label = np.arange(len(first))
    order = np.flatnonzero(same & ~are_two[i, j])
    for k in order[np.argsort(angle[order], kind="stable")]:
        left, right = label == label[i[k]], label == label[j[k]]
        if label[i[k]] != label[j[k]] and not are_two[np.ix_(left, right)].any():
            label[right] = label[i[k]]
    return np.unique(label, return_inverse=True)[1][voice]


def _alike(q: NDArray, group: NDArray) -> NDArray:
    """(n,) number of the first crystal within ALIKE_DEG of each."""
    out = np.full(len(q), -1)
    while (left := np.flatnonzero(out < 0)).size:
        angle = np.degrees(disorientation_angle(q[left[0]], q[left], group))
        out[left[angle < ALIKE_DEG]] = out.max() + 1
    return out


def family_of_fragments(grains: Grains, pairs: pd.DataFrame) -> NDArray:
    """(G,) number of the family of each fragment.

    Parameters
    ----------
    pairs : fragment_a, fragment_b, deviation_deg, length_um of fragments in twin relation
    """
    n = grains.n_grains
    ends = pairs[["fragment_a", "fragment_b"]].to_numpy() - 1
    kept, parent = _one_parent(grains, pairs, ends)
    family = components(ends[kept, 0], ends[kept, 1], n)
    kept &= ~_outside(grains, ends, family, parent)
    return components(ends[kept, 0], ends[kept, 1], n)


def _one_parent(grains: Grains, pairs: pd.DataFrame, ends: NDArray) -> tuple[NDArray, dict[int, list[int]]]:
    """(P,) bool, relations that may join a twin and its parent; and the pieces of the parent of each twin."""
    whole = _perimeters(grains)
    length, deviation = pairs["length_um"].to_numpy(), pairs["deviation_deg"].to_numpy()
    touching = _contacts(grains)
    kept, parent = np.ones(len(ends), bool), {}
    of = [(f, edges, ends[edges].sum(axis=1) - f) for f, edges in _edges_of(ends)]
    groups = [_pieces(grains, relatives, touching) for _, _, relatives in of]
    crystal = _crystals([relatives for _, _, relatives in of], groups, grains.n_grains)
    size = np.bincount(crystal, grains.table["area_um2"])[crystal]
    for (f, edges, relatives), group in zip(of, groups, strict=True):
        theirs = np.bincount(group, size[relatives]) / np.bincount(group)
        shared = np.bincount(group, length[edges])
        away = np.bincount(group, length[edges] * deviation[edges]) / shared
        share = shared / whole[f]
        # rounded: of two that are alike the one that comes first, whatever the noise
        score = np.round(np.log(share) - away**2 / (2 * DEVIATION_DEG**2), 2)
        first = np.array([relatives[group == g].min() for g in range(len(theirs))])
        # of two that are equally large the one that comes first is the parent
        same = np.isclose(theirs, size[f], rtol=1e-9)
        is_larger = ((theirs > size[f]) & ~same) | (same & (first < f))
        if not is_larger.any():
            continue
        best = int(np.argmax(np.where(is_larger, score, -np.inf)))
        dropped = is_larger.copy()
        dropped[best] = score[best] < LEAST_SCORE and share[best] < INSIDE
        kept[edges[dropped[group]]] = False
        if not dropped[best]:
            parent[f] = relatives[group == best].tolist()
    return kept, parent


def _crystals(relatives: list[NDArray], groups: list[NDArray], n: int) -> NDArray:
    """(n,) number of the crystal that each fragment is a piece of, as far as common relatives tell."""
    first, second = [], []
    for nodes, group in zip(relatives, groups, strict=True):
        order = np.argsort(group, kind="stable")
        a, b = order[:-1], order[1:]
        same = group[a] == group[b]
        first.append(nodes[a[same]])
        second.append(nodes[b[same]])
    return components(np.concatenate([*first, []]).astype(int), np.concatenate([*second, []]).astype(int), n)


def _edges_of(ends: NDArray) -> list[tuple[int, NDArray]]:
    """Every node of a graph with the numbers of its edges (P, 2)."""
    nodes, edge = ends.ravel(), np.repeat(np.arange(len(ends)), 2)
    order = np.argsort(nodes, kind="stable")
    used, start = np.unique(nodes[order], return_index=True)
    return list(zip(used.tolist(), np.split(edge[order], start[1:]), strict=False))


def _outside(grains: Grains, ends: NDArray, family: NDArray, parent: Mapping[int, list[int]]) -> NDArray:
    """(P,) bool, relations of fragments to a twin that they meet from outside."""
    area, graph, q = grains.table["area_um2"].to_numpy(), grains.graph, grains.mean_quaternions
    whole, wrong = _perimeters(grains), set()
    for f, pieces in parent.items():
        twin = max(pieces, key=lambda i: area[i])
        above = [i for i in parent.get(twin, []) if i != f]
        if not above:
            continue
        group = proper_group(grains.map.phases[int(grains.phase[f])].group)
        if np.degrees(disorientation_angle(q[f], q[above], group)).min() < SAME_ORIENTATION_DEG:
            continue
        row = slice(graph.indptr[f], graph.indptr[f + 1])
        neighbours, shared = graph.indices[row], graph.data[row]
        inner = family[neighbours] == family[f]
        if shared[inner].sum() < HALF * whole[f]:
            wrong |= {(f, i) for i in pieces} | {(i, f) for i in pieces}
    return np.array([tuple(pair) in wrong for pair in ends.tolist()], bool)


def _pieces(grains: Grains, relatives: NDArray, touching: Mapping[int, set[int]]) -> NDArray:
    """(k,) number of the crystal that each of the relatives of a fragment is a piece of."""
    if len(relatives) == 1:
        return np.zeros(1, int)
    group = proper_group(grains.map.phases[int(grains.phase[relatives[0]])].group)
    place = {int(r): i for i, r in enumerate(relatives)}
    apart = [(i, place[s]) for r, i in place.items() for s in touching.get(r, set()) & place.keys()]
    return orientation_groups(grains.mean_quaternions[relatives], group, np.array(apart, int).reshape(-1, 2))


def _perimeters(grains: Grains) -> NDArray:
    """(G,) length of the outline of each fragment, um, with that along the rim of the map: what lies beyond
    is unknown. Gaps inside the map are left out.
    """
    found = grains.outline
    beyond = found.pixel_b < 0
    rim = np.bincount(grains.label[found.pixel_a[beyond]], found.length_um[beyond], grains.n_grains + 1)[1:]
    return np.asarray(grains.graph.sum(axis=1)).ravel() + rim


def _contacts(grains: Grains) -> dict[int, set[int]]:
    """Fragment -> fragments that touch it along more than CONTACT_STEPS, all from 0."""
    table = grains.boundaries
    long = table["length_um"].to_numpy() > CONTACT_STEPS * grains.map.step_um
    out: dict[int, set[int]] = {}
    for a, b in table.loc[long, ["fragment_a", "fragment_b"]].to_numpy() - 1:
        out.setdefault(int(a), set()).add(int(b))
        out.setdefault(int(b), set()).add(int(a))
    return out
