"""Cleaning of EBSD maps, off unless asked for: every changed point is counted and stays marked.

Steps, always in this order, each only with its own option:

| option | what happens |
|---|---|
| min_confidence, max_mad_deg | points of lower ci or larger mad lose their orientation |
| spike_deg | a point farther than this from all its neighbours takes their orientation |
| min_grain_pixels | smaller grains take phase and orientation of the nearest point of a larger grain |
| fill_holes_pixels | holes of up to this many points take those of the nearest indexed point |
| denoise | strength of the filter of cpml.microscopy.cleaning.denoising inside grains (10 is usual) |
| threshold_deg | disorientation that separates grains for the last steps and for spikes; default 5 |

Points that took over another point's orientation are marked in properties["filled"]: they close gaps for
the eye and for boundaries, and add nothing to what was measured; a copied neighbour has zero misorientation
and lowers KAM.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cpml.errors import ParameterError
from cpml.microscopy.maps.ebsd_map import EbsdMap

USUAL = {"spike_deg": 5.0, "min_grain_pixels": 4, "fill_holes_pixels": 4, "denoise": 10.0}
DEFAULT_THRESHOLD_DEG = 5.0
OPTIONS = {
    "min_confidence": (0.0, 1.0),
    "max_mad_deg": (0.0, 10.0),
    "spike_deg": (0.1, 90.0),
    "min_grain_pixels": (1, 1e6),
    "fill_holes_pixels": (0, 1e9),
    "denoise": (0.0, 1e6),
    "threshold_deg": (0.1, 60.0),
}
"""Name of each option and the range of its values."""


@dataclass(frozen=True)
class CleaningStep:
    """One step of cleaning: its option, the value, how many points it changed, and what to say of it."""

    option: str
    value: float
    n_changed: int
    note: str


@dataclass(frozen=True)
class Cleaned:
    """A cleaned map and what was done to it.

    `n_filled` counts the points with an orientation taken over from another point, `n_left`
    those without any.
    """

    map: EbsdMap
    n_filled: int
    n_left: int
    steps: tuple[CleaningStep, ...] = ()

    @property
    def note(self) -> str:
        """One line for a report."""
        done = "; ".join(step.note for step in self.steps) or f"{self.n_filled} points filled"
        return f"{done}, {self.n_left} left without orientation, of {self.map.n_pixels}"

    def table(self) -> pd.DataFrame:
        """One row a step: option, value, n_changed, note."""
        return pd.DataFrame(
            [vars(step) for step in self.steps], columns=["option", "value", "n_changed", "note"]
        )


def clean(ebsd_map: EbsdMap, options: dict | None = None) -> Cleaned:
    """Apply the steps named in `options` (the table above) in their order; none by default.

    Raises
    ------
    ParameterError : an unknown option or value, a property that the map does not have, or nothing left
    """
    options = dict(options or {})
    for name, value in options.items():
        low, high = OPTIONS.get(name, (1, 0))
        known = ", ".join(f"{k} {a:g} to {b:g}" for k, (a, b) in OPTIONS.items())
        if name not in OPTIONS or isinstance(value, bool) or not low <= value <= high:
            raise ParameterError(f"cleaning option {name}: {value!r}; known: {known}")
    threshold = options.pop("threshold_deg", DEFAULT_THRESHOLD_DEG)
    steps, current = [], ebsd_map
    for option, run in _STEPS.items():
        if option in options:
            current, step = run(current, options[option], threshold)
            steps.append(step)
    n_filled = sum(
        s.n_changed for s in steps if s.option in ("spike_deg", "min_grain_pixels", "fill_holes_pixels")
    )
    return Cleaned(current, n_filled, int(np.sum(~current.indexed)), tuple(steps))


def usual_cleaning(ebsd_map: EbsdMap) -> dict[str, float]:
    """Options for `clean` that people usually take, for a trial; no merging where all grains are small."""
    from cpml.microscopy.grains.grains import segment

    label = segment(ebsd_map, threshold=DEFAULT_THRESHOLD_DEG, min_pixels=1).own
    has_grains = bool(np.bincount(label)[1:].max(initial=0) >= USUAL["min_grain_pixels"])
    return {name: value for name, value in USUAL.items() if has_grains or name != "min_grain_pixels"}


def small_holes(ebsd_map: EbsdMap, max_pixels: int) -> NDArray:
    """(N,) bool, points in connected regions without orientation of at most `max_pixels` points."""
    empty = ~ebsd_map.indexed
    pairs = ebsd_map.neighbours[empty[ebsd_map.neighbours].all(axis=1)]
    n = ebsd_map.n_pixels
    links = sparse.coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    region = connected_components(links, directed=False)[1]
    return empty & (np.bincount(region)[region] <= max_pixels)


def spikes(
    ebsd_map: EbsdMap, spike_deg: float, threshold: float = DEFAULT_THRESHOLD_DEG
) -> tuple[NDArray, NDArray]:
    """Single wrong points and, for each, the neighbour that speaks for its surroundings.

    A spike has at least three indexed neighbours, differs from each by more than `spike_deg` (or in phase),
    and some neighbour agrees within `threshold` with at least half of them.

    Returns
    -------
    (K,) points, (K,) their substitutes
    """
    from cpml.microscopy.maps.neighbours import neighbour_angles

    pairs, indexed = ebsd_map.neighbours, ebsd_map.indexed
    pairs = pairs[indexed[pairs].all(axis=1)]
    angle = np.degrees(np.nan_to_num(neighbour_angles(ebsd_map, pairs), nan=np.pi))
    n = ebsd_map.n_pixels
    alike = np.bincount(pairs[angle <= spike_deg].ravel(), minlength=n)
    around = np.bincount(pairs.ravel(), minlength=n)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[(alike[both[:, 0]] == 0) & (around[both[:, 0]] >= 3)]
    points, substitutes = [], []
    order = np.argsort(both[:, 0], kind="stable")
    starts = np.unique(both[order, 0], return_index=True)[1] if len(both) else []
    for near in np.split(both[order], starts[1:]) if len(both) else []:
        ring = near[:, 1]
        i, j = np.triu_indices(len(ring), 1)
        close = (
            np.degrees(np.nan_to_num(neighbour_angles(ebsd_map, np.stack([ring[i], ring[j]], 1)), nan=np.pi))
            < threshold
        )
        votes = np.bincount(np.r_[i[close], j[close]], minlength=len(ring)) + 1
        if 2 * votes.max() >= len(ring) and votes.max() >= 2:
            points.append(near[0, 0])
            substitutes.append(ring[np.argmax(votes)])
    return np.array(points, np.int64), np.array(substitutes, np.int64)


def _take_over(ebsd_map: EbsdMap, points: NDArray, source: NDArray) -> EbsdMap:
    """The map with phase and orientation of `points` copied from `source`, and marked."""
    if not len(points):
        return ebsd_map
    q, phase_id = ebsd_map.quaternions.copy(), ebsd_map.phase_id.copy()
    q[points], phase_id[points] = ebsd_map.quaternions[source], ebsd_map.phase_id[source]
    marked = np.asarray(ebsd_map.properties.get("filled", np.zeros(len(q)))) > 0
    marked[points] = True
    properties = {**ebsd_map.properties, "filled": marked.astype(np.uint8)}
    return replace(ebsd_map, quaternions=q, phase_id=phase_id, properties=properties)


def _nearest(ebsd_map: EbsdMap, points: NDArray, allowed: NDArray) -> NDArray:
    """For each of `points` the nearest point that is `allowed` (N,) bool."""
    full = np.flatnonzero(allowed)
    return full[cKDTree(ebsd_map.xy[full]).query(ebsd_map.xy[points])[1]]


def _without(
    ebsd_map: EbsdMap, option: str, value: float, bad: NDArray, why: str
) -> tuple[EbsdMap, CleaningStep]:
    bad = bad & ebsd_map.indexed
    if bad.sum() == ebsd_map.indexed.sum():
        raise ParameterError(f"cleaning {option}: {value} leaves no indexed point of map {ebsd_map.name!r}")
    q = np.where(bad[:, None], np.nan, ebsd_map.quaternions)
    cleaned = replace(ebsd_map, quaternions=q, phase_id=np.where(bad, 0, ebsd_map.phase_id).astype(np.int32))
    n = int(bad.sum())
    return cleaned, CleaningStep(option, value, n, f"{n} points with {why} treated as not indexed")


def _property(ebsd_map: EbsdMap, option: str, name: str) -> NDArray:
    if name not in ebsd_map.properties:
        raise ParameterError(
            f"cleaning {option}: map {ebsd_map.name!r} has no {name!r}, only "
            f"{sorted(ebsd_map.properties)}; leave it out"
        )
    return np.asarray(ebsd_map.properties[name], float)


def _confidence(ebsd_map: EbsdMap, value: float, threshold: float) -> tuple[EbsdMap, CleaningStep]:
    bad = ~(_property(ebsd_map, "min_confidence", "ci") > value)
    return _without(ebsd_map, "min_confidence", value, bad, f"a confidence of {value:g} or less")


def _misfit(ebsd_map: EbsdMap, value: float, threshold: float) -> tuple[EbsdMap, CleaningStep]:
    bad = ~(_property(ebsd_map, "max_mad_deg", "mad") <= value)
    return _without(ebsd_map, "max_mad_deg", value, bad, f"a misfit above {value:g} deg")


def _despike(ebsd_map: EbsdMap, value: float, threshold: float) -> tuple[EbsdMap, CleaningStep]:
    points, source = spikes(ebsd_map, value, threshold)
    note = f"{len(points)} single points more than {value:g} deg from all neighbours replaced"
    return _take_over(ebsd_map, points, source), CleaningStep("spike_deg", value, len(points), note)


def _merge(ebsd_map: EbsdMap, value: float, threshold: float) -> tuple[EbsdMap, CleaningStep]:
    from cpml.microscopy.grains.grains import segment

    grains = segment(ebsd_map, threshold=threshold)
    large = np.r_[False, np.bincount(grains.own)[1:] >= value]
    if not large.any():
        raise ParameterError(
            f"cleaning min_grain_pixels: {value} is more than the largest grain of map "
            f"{ebsd_map.name!r} has: lower it"
        )
    points = np.flatnonzero((grains.label > 0) & ~large[grains.label])
    merged = _take_over(
        ebsd_map, points, _nearest(ebsd_map, points, large[grains.label]) if len(points) else points
    )
    n_grains = int(np.sum(~large) - 1)
    note = f"{n_grains} grains below {value:g} pixels ({len(points)} points) merged into their surroundings"
    return merged, CleaningStep("min_grain_pixels", value, len(points), note)


def _fill(ebsd_map: EbsdMap, value: float, threshold: float) -> tuple[EbsdMap, CleaningStep]:
    points = np.flatnonzero(small_holes(ebsd_map, value))
    filled = _take_over(
        ebsd_map, points, _nearest(ebsd_map, points, ebsd_map.indexed) if len(points) else points
    )
    note = f"{len(points)} points filled in holes of up to {value:g} points"
    return filled, CleaningStep("fill_holes_pixels", value, len(points), note)


def _denoise(ebsd_map: EbsdMap, value: float, threshold: float) -> tuple[EbsdMap, CleaningStep]:
    from cpml.microscopy.cleaning.denoising import denoise
    from cpml.microscopy.grains.grains import segment

    result = denoise(segment(ebsd_map, threshold=threshold), alpha=value)
    moved = result.moved_deg
    n = int(np.sum(moved > 1e-9))
    largest = float(moved.max(initial=0))
    median = float(np.median(moved[moved > 1e-9])) if n else 0.0
    note = (
        f"orientations of {n} points denoised inside grains (strength {value:g}, noise estimated at "
        f"{result.noise_deg:.3g} deg, moved by {median:.3g} deg, at most {largest:.3g})"
    )
    return replace(ebsd_map, quaternions=result.quaternions), CleaningStep("denoise", value, n, note)


_STEPS = {
    "min_confidence": _confidence,
    "max_mad_deg": _misfit,
    "spike_deg": _despike,
    "min_grain_pixels": _merge,
    "fill_holes_pixels": _fill,
    "denoise": _denoise,
}
