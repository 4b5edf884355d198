"""Twins as lamellae: thickness, habit, area fractions, and how sure one can be of who is the parent.

Thickness of a twin with apparent width w on the surface, K1 inclined by i to it:

    w = sqrt(area / aspect ratio),     thickness = w sin i        (a rectangle of equal second moments)

A type I or compound twin shares K1 with its parent, so that a boundary along the K1 trace says that the
boundary is a twin plane, not on which side the parent lies. Who is the parent is a question of evidence. For
the groups g of one orientation in a family, with area A_g,

    score_g = sum_e weight_e x_eg,      P(g is the parent) = softmax of the scores of the family

| evidence x | meaning | weight |
|---|---|---|
| area | ln of the share of the family's area | 1 |
| aspect | mean ln aspect ratio of its fragments: twins are lamellae | -1 |
| aligned | mean cos 2(long axis - K1 trace), times 1 - 1/aspect: twins lie along K1 | -1 |
| enclosed | share of its boundary with the rest of the family: twins lie inside their parent | -3 |
| between | share of its area in fragments that have one partner orientation on two sides | -1 |
| schmid | signed Schmid factor of the variants that would lead to the others (only with `stress`) | 8 |

Means are weighted by area. With the first weight alone the odds of two groups are their ratio of areas. The
weights are judgement, not a fit: with labelled maps they can be fitted and passed. On two virtual maps with
painted lamellae their Brier score was 0.08, that of area alone 0.13 to 0.14. Reference for the geometry:
Christian & Mahajan 1995, Prog. Mater. Sci. 39:1.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.rotations import rotate
from cpml.crystallography.schmid import schmid_factors
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.slip_traces import line_difference, trace_angle_deg
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.grains.boundaries import traces
from cpml.microscopy.maps.means import mean_orientations
from cpml.microscopy.twins.families import orientation_groups
from cpml.microscopy.twins.relations import twin_systems, variant_deviations
from cpml.microscopy.twins.twins import Twins

WEIGHTS = {"area": 1.0, "aspect": -1.0, "aligned": -1.0, "enclosed": -3.0, "between": -1.0, "schmid": 8.0}

ROUND = 1.0 + 1e-6
"""Aspect ratio up to which a region has no long axis."""


def twin_lamellae(twins: Twins) -> pd.DataFrame:
    """One row a grain that is a twin variant of its parent.

    Returns
    -------
    fragment_id, grain_id, twin_type, variant, area_um2, aspect_ratio, width_um (on the surface), thickness_um
    (across K1), k1_trace_deg, k1_inclination_deg (of the plane to the surface), boundary_trace_deg (of its
    boundary with the parent, NaN where they do not touch), trace_deviation_deg (from the K1 trace),
    long_axis_deviation_deg (NaN for a round one, such as a single pixel). A lamella of few pixels has no
    better angle than they allow.
    """
    chosen = twins.table[twins.table["variant"] != ""].reset_index(drop=True)
    rows = twins.segmentation.table.set_index("fragment_id").loc[chosen["fragment_id"]]
    normal = _k1_normals(twins, chosen)
    trace = trace_angle_deg(normal)
    inclination = np.degrees(np.arctan2(np.hypot(normal[:, 0], normal[:, 1]), np.abs(normal[:, 2])))
    width = np.sqrt(rows["area_um2"].to_numpy() / rows["aspect_ratio"].to_numpy())
    boundary = _traces_with_parent(twins, chosen)
    out = chosen[["fragment_id", "grain_id", "twin_type", "variant"]].copy()
    out["area_um2"], out["aspect_ratio"] = rows["area_um2"].to_numpy(), rows["aspect_ratio"].to_numpy()
    out["width_um"], out["thickness_um"] = width, width * np.sin(np.radians(inclination))
    out["k1_trace_deg"], out["k1_inclination_deg"] = trace, inclination
    out["boundary_trace_deg"] = boundary
    out["trace_deviation_deg"] = np.abs(line_difference(boundary, trace))
    axis = np.where(rows["aspect_ratio"] > ROUND, rows["long_axis_deg"], np.nan)
    out["long_axis_deviation_deg"] = np.abs(line_difference(axis, trace))
    return out


def _k1_normals(twins: Twins, chosen: pd.DataFrame) -> NDArray:
    """(n, 3) K1 normals of the variants in the sample frame."""
    rows = twins.grains.set_index("grain_id").loc[chosen["grain_id"]]
    quaternions = rows[["qw", "qx", "qy", "qz"]].to_numpy(float)
    out = np.full((len(chosen), 3), np.nan)
    for k, (phase, variant) in enumerate(zip(rows["phase"].astype(int), chosen["variant"], strict=True)):
        found = twin_systems(twins.segmentation.map.phases[phase], twins.types[phase])
        out[k] = rotate(quaternions[k], found.plane[found.names.index(variant)])
    return out


def _traces_with_parent(twins: Twins, chosen: pd.DataFrame) -> NDArray:
    """(n,) on-screen trace, deg, of the boundary of each twin with fragments of its parent."""
    segments = twins.segmentation.segments
    place = np.full(twins.segmentation.n_grains + 1, -1)
    place[chosen["fragment_id"]] = np.arange(len(chosen))
    parent = np.r_[0, twins.table["grain_id"].to_numpy()]
    is_host = np.r_[False, ~twins.table["is_twin"].to_numpy()]
    a, b = segments["fragment_a"].to_numpy(), segments["fragment_b"].to_numpy()
    same = parent[a] == parent[b]
    row = np.where(same & is_host[b], place[a], np.where(same & is_host[a], place[b], -1))
    out = np.full(len(chosen), np.nan)
    used = row >= 0
    ids, index = np.unique(row[used], return_inverse=True)
    out[ids] = traces(segments[used], index, len(ids))
    return out


def variant_fractions(twins: Twins) -> pd.DataFrame:
    """Per parent and variant that was seen: grain_id, twin_type, variant, n_fragments, area_um2,
    area_fraction (of the whole family), thickness_um (area-weighted mean).
    """
    lamellae = twin_lamellae(twins)
    weighted = lamellae.assign(weighted=lamellae["thickness_um"] * lamellae["area_um2"])
    keys = ["grain_id", "twin_type", "variant"]
    found = weighted.groupby(keys, as_index=False).agg(
        n_fragments=("fragment_id", "size"), area_um2=("area_um2", "sum"), weighted=("weighted", "sum")
    )
    whole = twins.grains.set_index("grain_id")["area_um2"]
    found["area_fraction"] = found["area_um2"] / whole.reindex(found["grain_id"]).to_numpy()
    found["thickness_um"] = found.pop("weighted") / found["area_um2"]
    return found


def parent_probability(
    twins: Twins, *, weights: Mapping[str, float] | None = None, stress: ArrayLike | None = None
) -> pd.DataFrame:
    """How probable it is that the orientation of each grain is the parent of its family.

    Parameters
    ----------
    weights : evidence name -> weight, instead of those of the module docstring
    stress : (3, 3) in the sample frame; None: the Schmid factor is no evidence

    Returns
    -------
    fragment_id, grain_id, group (of one orientation, numbered in the family), one column for each evidence,
    score, probability (of the group, repeated for its grains; 1 for a grain without relatives),
    taken_as_parent (by `find_twins`, the largest area)

    Raises
    ------
    ParameterError : a weight for evidence that does not exist
    """
    unknown = sorted(set(weights or ()) - set(WEIGHTS))
    if unknown:
        raise ParameterError(f"evidence {unknown[0]!r} is unknown; known: {', '.join(WEIGHTS)}")
    used = {**WEIGHTS, **(weights or {})}
    table = twins.table
    out = pd.DataFrame({"fragment_id": table["fragment_id"], "grain_id": table["grain_id"], "group": 0})
    for name in WEIGHTS:
        out[name] = 0.0
    out["score"], out["probability"] = 0.0, 1.0
    shared = _shared_lengths(twins)
    for index in out.groupby("grain_id").groups.values():
        if len(index) > 1:
            found = _family_evidence(twins, np.asarray(index), shared, stress)
            score = sum(used[name] * found[name] for name in WEIGHTS)
            odds = np.exp(score - score.max())
            group = found["group"]
            values = {**{n: found[n] for n in WEIGHTS}, "score": score, "probability": odds / odds.sum()}
            out.loc[index, "group"] = group
            for name, value in values.items():
                out.loc[index, name] = value[group]
    out["taken_as_parent"] = ~table["is_twin"].to_numpy()
    return out


def _shared_lengths(twins: Twins) -> dict[int, dict[int, float]]:
    """grain -> neighbour -> shared length, um."""
    shared: dict[int, dict[int, float]] = {}
    for a, b, length in twins.segmentation.boundaries[["fragment_a", "fragment_b", "length_um"]].itertuples(
        index=False
    ):
        shared.setdefault(int(a), {})[int(b)] = length
        shared.setdefault(int(b), {})[int(a)] = length
    return shared


def _family_evidence(
    twins: Twins, index: NDArray, shared: dict, stress: ArrayLike | None
) -> dict[str, NDArray]:
    """Evidence (n_groups,) of the grains `index` (from 0) of one family, and their group (n,)."""
    grains = twins.segmentation
    phase = int(grains.phase[index[0]])
    description, rows = grains.map.phases[phase], grains.table.iloc[index]
    q, area = grains.mean_quaternions[index], rows["area_um2"].to_numpy()
    symmetry = proper_group(description.group)
    group = orientation_groups(q, symmetry)
    n = group.max() + 1
    total = np.bincount(group, area, n)

    def mean(values: NDArray) -> NDArray:
        return np.bincount(group, values * area, n) / total

    found = twin_systems(description, twins.types[phase])
    means = mean_orientations(q, group, n, symmetry, weight=area)
    aspect = rows["aspect_ratio"].to_numpy()
    enclosed, between = _neighbourhood(index + 1, group, shared)
    evidence = {
        "group": group,
        "area": np.log(total / total.sum()),
        "aspect": mean(np.log(aspect)),
        "aligned": mean(_alignment(rows, group, means, found, symmetry, index + 1, shared)),
        "enclosed": _ratio(*(np.bincount(group, v, n) for v in enclosed)),
        "between": mean(between),
        "schmid": np.zeros(n),
    }
    if stress is not None and n > 1:
        evidence["schmid"] = _schmid_evidence(means, total, found, symmetry, stress)
    return evidence


def _ratio(part: NDArray, whole: NDArray) -> NDArray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _neighbourhood(ids: NDArray, group: NDArray, shared: dict) -> tuple[tuple[NDArray, NDArray], NDArray]:
    """Length shared with other groups of the family and all of it, (n,) each; and whether one partner lies
    on two sides.
    """
    of = dict(zip(ids.tolist(), group.tolist(), strict=True))
    inside, whole, between = np.zeros(len(ids)), np.zeros(len(ids)), np.zeros(len(ids))
    for k, grain in enumerate(ids.tolist()):
        neighbours = shared.get(grain, {})
        relatives = [(of[i], length) for i, length in neighbours.items() if i in of and of[i] != of[grain]]
        inside[k], whole[k] = sum(length for _, length in relatives), sum(neighbours.values())
        partners = [g for g, _ in relatives]
        between[k] = float(any(partners.count(g) > 1 for g in set(partners)))
    return (inside, whole), between


def _alignment(
    rows: pd.DataFrame,
    group: NDArray,
    means: NDArray,
    found: Systems,
    symmetry: NDArray,
    ids: NDArray,
    shared: dict[int, dict[int, float]],
) -> NDArray:
    """(n,) cos 2(long axis - nearest K1 trace) (1 - 1/aspect) of each fragment, mean over its partners
    by shared length.
    """
    place = {int(i): k for k, i in enumerate(ids)}
    pairs = [
        (k, place[i], length)
        for k, grain in enumerate(ids.tolist())
        for i, length in shared.get(grain, {}).items()
        if i in place and group[place[i]] != group[k]
    ]
    if not pairs:
        return np.zeros(len(ids))
    own, other = np.array([p[:2] for p in pairs]).T
    length = np.array([p[2] for p in pairs])
    source = means[group[other]]
    variant = variant_deviations(source, means[group[own]], found.plane, symmetry).argmin(axis=1)
    trace = trace_angle_deg(rotate(source, found.plane[variant]))
    along = np.cos(2 * np.radians(line_difference(rows["long_axis_deg"].to_numpy()[own], trace)))
    value = along * (1 - 1 / rows["aspect_ratio"].to_numpy()[own])
    return _ratio(*(np.bincount(own, w, len(ids)) for w in (value * length, length)))


def _schmid_evidence(
    means: NDArray, area: NDArray, found: Systems, symmetry: NDArray, stress: ArrayLike
) -> NDArray:
    """(n,) area-weighted mean signed Schmid factor of the variants that lead from each group
    to the others.
    """
    factor = schmid_factors(found, means, stress)
    out = np.zeros(len(means))
    for g in range(len(means)):
        others = np.array([h for h in range(len(means)) if h != g])
        source = np.repeat(means[[g]], len(others), axis=0)
        variant = variant_deviations(source, means[others], found.plane, symmetry).argmin(axis=1)
        out[g] = np.average(factor[g, variant], weights=area[others])
    return out
