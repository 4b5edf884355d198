"""Deformation twins: which boundaries, which grains belong together, who is the parent, which variant.

Deviation from a twin relation and variants: cpml.microscopy.twins.relations. Fragments whose means are within
`tolerance` of a twin relation across a shared boundary are pairs; which of them form families, so that every
twin has one parent, is decided in cpml.microscopy.twins.families. A few bad points
(cpml.microscopy.twins.quality) are no twin. Within a family fragments of one orientation are a group; the
group of the largest area is the parent, a group in twin relation to it is a twin with the nearest variant k
of the parent's stored symmetry copy (and the second-best deviation, a margin), any other group is
"secondary". Area decides: a grain that has twinned more than half is named after its twin.
`cpml.microscopy.twins.evidence` weighs more evidence and gives a probability.

Annealing twins (cubic Sigma3) are boundaries (`csl` = 3), not families, unless a cubic twin type is asked
for. Reference: Christian & Mahajan 1995, Prog. Mater. Sci. 39:1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.slip_systems import REPRESENTATIVES
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.microscopy.grains.boundaries import group_pairs, pair_columns
from cpml.microscopy.grains.grains import Grains
from cpml.microscopy.grains.shapes import shape_columns
from cpml.microscopy.maps.means import mean_orientations
from cpml.microscopy.twins.families import family_of_fragments, orientation_groups
from cpml.microscopy.twins.quality import fragment_quality
from cpml.microscopy.twins.relations import nearest_type, twin_systems, types_of, variant_deviations

HCP_TYPES = ("twin_1012", "twin_1121", "twin_1011", "twin_1122")


@dataclass(frozen=True)
class Twins:
    """Twin families of a segmented map; the columns are listed in `find_twins`."""

    segmentation: Grains
    types: dict[int, tuple[str, ...]]
    tolerance: float
    segments: pd.DataFrame
    pairs: pd.DataFrame
    table: pd.DataFrame

    @cached_property
    def grain_label(self) -> NDArray:
        """(N,) grain_id of each pixel, 0 = none."""
        return np.r_[0, self.table["grain_id"].to_numpy()].astype(np.int32)[self.segmentation.label]

    @cached_property
    def twinned(self) -> NDArray:
        """(N,) bool, pixels inside a twin or a secondary twin."""
        return np.r_[False, self.table["is_twin"].to_numpy()][self.segmentation.label]

    @cached_property
    def grains(self) -> pd.DataFrame:
        """One row a family or single grain: grain_id, phase, n_fragments, n_pixels, area_um2,
        equivalent_diameter_um, x_um, y_um, qw, qx, qy, qz (parent group), gos_deg, on_edge, twin_fraction,
        aspect_ratio, long_axis_deg. Area and shape are those of the whole family.
        """
        grains, twins = self.segmentation.table, self.table
        of_grain = twins["grain_id"].to_numpy() - 1
        n = int(of_grain.max(initial=-1)) + 1
        is_host = ~twins["is_twin"].to_numpy()
        shape = shape_columns(self.segmentation.map, self.grain_label, n)
        mean, phase = self._parent_means(of_grain, is_host, n)
        area, pixels = grains["area_um2"].to_numpy(), grains["n_pixels"].to_numpy()
        spread = np.where(is_host, grains["gos_deg"] * pixels, 0)
        return pd.DataFrame(
            {
                "grain_id": np.arange(1, n + 1),
                "phase": phase,
                "n_fragments": np.bincount(of_grain, minlength=n),
                "n_pixels": np.bincount(of_grain, pixels, n).astype(int),
                **{k: shape[k] for k in ("area_um2", "equivalent_diameter_um", "x_um", "y_um")},
                **dict(zip(("qw", "qx", "qy", "qz"), mean.T, strict=True)),
                "gos_deg": np.bincount(of_grain, spread, n) / np.bincount(of_grain, pixels * is_host, n),
                "on_edge": shape["on_edge"],
                "twin_fraction": np.bincount(of_grain, area * ~is_host, n) / np.bincount(of_grain, area, n),
                "aspect_ratio": shape["aspect_ratio"],
                "long_axis_deg": shape["long_axis_deg"],
            }
        )

    def _parent_means(self, of_grain: NDArray, is_host: NDArray, n: int) -> tuple[NDArray, NDArray]:
        """Area-weighted mean orientation (n, 4) of the parent fragments, and phase (n,)."""
        mean, phase = np.full((n, 4), np.nan), np.zeros(n, int)
        phase[of_grain] = self.segmentation.phase
        weight = self.segmentation.table["area_um2"].to_numpy()
        for phase_id, description in self.segmentation.map.phases.items():
            label = np.where(is_host & (self.segmentation.phase == phase_id), of_grain, -1)
            found = mean_orientations(
                self.segmentation.mean_quaternions, label, n, proper_group(description.group), weight=weight
            )
            mean[phase == phase_id] = found[phase == phase_id]
        return mean, phase

    @cached_property
    def grain_boundaries(self) -> pd.DataFrame:
        """One row a pair of touching grains: grain_a, grain_b and the columns of `Grains.boundaries`."""
        of = np.r_[0, self.table["grain_id"].to_numpy()]
        a, b = of[self.segments["fragment_a"]], of[self.segments["fragment_b"]]
        outer = a != b
        ids, row = group_pairs(a[outer], b[outer])
        grains = self.grains
        return pair_columns(
            ids,
            row,
            self.segments[outer],
            grains[["qw", "qx", "qy", "qz"]].to_numpy(),
            grains["phase"].to_numpy(),
            self.segmentation.map.phases,
            "grain",
        )


def find_twins(grains: Grains, *, types: Sequence[str] | None = None, tolerance: float = 5.0) -> Twins:
    """Twin boundaries, pairs, families and variants of a segmented map.

    Parameters
    ----------
    types : twin families of cpml.crystallography.slip_systems; each phase looks for those of its lattice.
        None: {10-12}, which all hexagonal metals share, and none of the cubic. Ask for others by name where
        the material has them: every type adds chance relations (in simulated Mg all four gave 3 to 5 % more
        merged grains, all wrong)
    tolerance : largest deviation, deg, from the exact twin relation

    Returns
    -------
    Twins
        .segments : grains.segments and twin_type ("" for none), deviation_deg (to the nearest type asked for)
        .pairs : fragment_a, fragment_b, type, deviation_deg (of the means), length_um
        .table : fragment_id, grain_id, is_twin, twin_type ("", a type, or "secondary"), variant (name of the
            system),
            variant_deviation_deg, second_deviation_deg; and what speaks for it
            (cpml.microscopy.twins.quality): n_pixels, spread_deg, relation_share, quality, is_cluster
        .grains, .grain_label, .grain_boundaries, .twinned

    Raises
    ------
    ParameterError : an unknown type, a tolerance outside 0 to 15 deg, or a type for a phase whose
        lattice is unknown
    """
    if not 0 < tolerance <= 15:
        raise ParameterError(f"tolerance {tolerance} deg: twin relations are told apart within 0 to 15 deg")
    chosen = {i: types_of(phase, types) for i, phase in grains.map.phases.items()}
    known = [t for families in REPRESENTATIVES.values() for t, spec in families.items() if spec[0] == "twin"]
    unknown = sorted(set(types or ()) - set(known))
    if unknown:
        raise ParameterError(
            f"twin type {', '.join(unknown)} is unknown; known: {', '.join(sorted(set(known)))}"
        )
    segments = _segments(grains, chosen, tolerance)
    pairs = _pairs(grains, chosen, tolerance)
    quality = fragment_quality(grains, segments, pairs)
    table = _table(grains, chosen, pairs, quality["is_cluster"].to_numpy(), tolerance)
    table = pd.concat([table, quality], axis=1)
    return Twins(grains, chosen, float(tolerance), segments, pairs, table)


def _segments(grains: Grains, chosen: dict, tolerance: float) -> pd.DataFrame:
    table = grains.segments.copy()
    a, b = (grains.source[table[name].to_numpy()] for name in ("pixel_a", "pixel_b"))
    phase = grains.map.phase_id
    shared = np.where(phase[a] == phase[b], phase[a], 0)
    kind, deviation = nearest_type(
        grains.map.phases, chosen, grains.map.quaternions[a], grains.map.quaternions[b], shared
    )
    return table.assign(twin_type=np.where(deviation <= tolerance, kind, ""), deviation_deg=deviation)


def _pairs(grains: Grains, chosen: dict, tolerance: float) -> pd.DataFrame:
    bounds = grains.boundaries
    a, b = bounds["fragment_a"].to_numpy() - 1, bounds["fragment_b"].to_numpy() - 1
    shared = np.where(grains.phase[a] == grains.phase[b], grains.phase[a], 0)
    kind, deviation = nearest_type(
        grains.map.phases, chosen, grains.mean_quaternions[a], grains.mean_quaternions[b], shared
    )
    near = deviation <= tolerance
    return pd.DataFrame(
        {
            "fragment_a": a[near] + 1,
            "fragment_b": b[near] + 1,
            "type": kind[near],
            "deviation_deg": deviation[near],
            "length_um": bounds["length_um"].to_numpy()[near],
        }
    )


def _table(
    grains: Grains, chosen: dict, pairs: pd.DataFrame, is_cluster: NDArray, tolerance: float
) -> pd.DataFrame:
    n = grains.n_grains
    trusted = ~is_cluster[pairs[["fragment_a", "fragment_b"]].to_numpy() - 1].any(axis=1)
    family = family_of_fragments(grains, pairs[trusted])
    columns = {
        "is_twin": np.zeros(n, bool),
        "twin_type": np.full(n, "", object),
        "variant": np.full(n, "", object),
        "variant_deviation_deg": np.full(n, np.nan),
        "second_deviation_deg": np.full(n, np.nan),
    }
    members = np.split(np.argsort(family, kind="stable"), np.cumsum(np.bincount(family))[:-1])
    for index in members:
        if len(index) > 1:
            for name, values in _family(grains, chosen, index, tolerance).items():
                columns[name][index] = values
    return pd.DataFrame({"fragment_id": np.arange(1, n + 1), "grain_id": family + 1, **columns})


def _family(grains: Grains, chosen: dict, index: NDArray, tolerance: float) -> dict[str, NDArray]:
    """Roles of the grains `index` (from 0) of one family."""
    description = grains.map.phases[grains.phase[index[0]]]
    found = twin_systems(description, chosen[grains.phase[index[0]]])
    group, q = proper_group(description.group), grains.mean_quaternions[index]
    area = grains.table["area_um2"].to_numpy()[index]
    orientation = orientation_groups(q, group)
    host = np.argmax(np.bincount(orientation, area))
    label = np.where(orientation == host, 0, -1)
    parent = mean_orientations(q, label, 1, group, weight=area)
    deviation = variant_deviations(np.repeat(parent, len(q), axis=0), q, found.plane, group)
    order = np.argsort(deviation, axis=1)
    rows = np.arange(len(q))
    best, second = deviation[rows, order[:, 0]], deviation[rows, order[:, 1]]
    is_twin = orientation != host
    # fragments of one orientation may differ, so a twin found at a fragment may
    # be further from the family mean
    is_variant = is_twin & (best <= 2 * tolerance)
    families, names = np.array(found.family_names, object), np.array(found.names, object)
    return {
        "is_twin": is_twin,
        "twin_type": np.where(
            is_variant, families[found.family[order[:, 0]]], np.where(is_twin, "secondary", "")
        ),
        "variant": np.where(is_variant, names[order[:, 0]], ""),
        "variant_deviation_deg": np.where(is_variant, best, np.nan),
        "second_deviation_deg": np.where(is_variant, second, np.nan),
    }
