"""Footprints that a fitted model would leave, beside those that were seen: by family and by part of the map.

Replicates are drawn as the model says footprints arise: parameters from the posterior, a stress for every
grain from its spread, traces of what is active, missed, false and merged ones, angles with their errors.
Lines of replicates and of the map are then given to families by one rule, the share of the angle's density
among the planes within reach, so that what is ambiguous is so on both sides.

    z = (sqrt(seen + 3/8) - mean) / sd over replicates of the same root          of a family
    X = sum over families of (seen - mean)^2 / variance                          of a part of the map

p is two-sided for z (normal), one-sided for X (gamma distribution with the replicates' mean and variance).
The strengths were fitted to the same counts, so that families deviate less than chance would have it: what
stands out here is what no strength can mend."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import gamma, norm

from cpml.crystallography.slip_traces import line_difference, slip_traces
from cpml.microscopy.images.trace_likelihood import match_traces
from cpml.microscopy.labels.detection import MIN_INCLINATION_DEG
from cpml.microscopy.labels.rows import normalised
from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.specimen.specimen import MERGED_DEG, Specimen

REPLICATES = 256
REACH_DEG = 6.0
"""A plane further than this from a line is no candidate for it, as in `cpml.microscopy.slip_labels`."""
ORIENTATION_DEG = 0.5
"""Error of an orientation about one axis, as in `match_traces`."""
GRAINS_PER_PART = 25
MOST_PARTS = 4
"""Along each axis of the map."""
NO_PLANE = "no plane"
CLEAR = 0.01
"""Probability of a chance result, for all counts together, below which one stands out."""


@dataclass(frozen=True)
class _Geometry:
    """Slip planes of every grain of a specimen as lines on its surface."""

    angle: NDArray  # (G, P) deg
    inclination: NDArray  # (G, P) deg
    sigma: float  # deg, usual error of a line
    member: NDArray  # (P, F) family of every plane, shares where families have a plane in common
    visible: NDArray  # (G, P)

    @classmethod
    def of(cls, specimen: Specimen) -> "_Geometry":
        systems, found = specimen.systems, slip_traces(specimen.quaternions, specimen.systems)
        slip = np.flatnonzero(systems.slip)
        member = np.zeros((len(specimen.slip_planes), len(systems.family_names)))
        np.add.at(member, (specimen.token[slip], systems.family[slip]), 1.0)
        inclination = found.inclination_deg[:, specimen.slip_planes]
        sigma = specimen.traces["sigma_deg"].median() if len(specimen.traces) else 2.0
        return cls(
            found.angle_deg[:, specimen.slip_planes],
            inclination,
            float(sigma),
            member / member.sum(1, keepdims=True),
            inclination >= MIN_INCLINATION_DEG,
        )

    def families(self, grain: NDArray, angle: NDArray) -> NDArray:
        """(J, F + 1) share of every line that each family has, the last column: no plane."""
        density = match_traces(
            angle,
            self.angle[grain],
            self.inclination[grain],
            sigma_deg=np.full(len(grain), self.sigma),
            floor=0.0,
        )
        away = np.abs(line_difference(angle[:, None], self.angle[grain]))
        share = normalised(density * ((away <= REACH_DEG) & self.visible[grain])) @ self.member
        return np.column_stack([share, 1 - share.sum(1)])


def check_counts(
    model: CoupledClassifier, specimen: Specimen, *, replicates: int = REPLICATES, seed: int = 0
) -> pd.DataFrame:
    """Counts that were seen beside those that the model expects.

    Returns
    -------
    DataFrame where ("the map", or x and y of a part, um), mechanism ("slip", "twin", "all"), family, seen,
    expected, low, high (90 % of replicates), p_value, stands_out (for all rows together); without rows where
    nobody looked
    """
    specimen = replace(specimen, motions=None)
    seen, drawn, names = _counts(model, specimen, replicates, seed)
    part, where = parts_of(specimen)
    whole = [
        _row("the map", kind, family, seen[:, f].sum(), drawn[:, :, f].sum(1), _p_of_total)
        for f, (kind, family) in enumerate(names)
    ]
    rows = [row for row in whole if row["seen"] or row["expected"] > 0]
    for k, name in enumerate(where if len(where) > 1 else []):
        inside = part == k
        here, there = seen[inside].sum(0), drawn[:, inside].sum(1)
        if not there.any():  # nobody looked
            continue
        row = _row(name, "all", "", here.sum(), there.sum(1), _p_of_total)
        rows.append(row | {"p_value": _p_of_sum(here, there)})
    table = pd.DataFrame(
        rows, columns=["where", "mechanism", "family", "seen", "expected", "low", "high", "p_value"]
    )
    return table.assign(stands_out=table["p_value"] * len(table) < CLEAR)


def parts_of(specimen: Specimen) -> tuple[NDArray, list[str]]:
    """(G,) part of the map of every grain, and what the parts are called."""
    n = int(np.clip(np.sqrt(len(specimen) / GRAINS_PER_PART), 1, MOST_PARTS))
    column, row = (
        (n * (specimen.grains[c].rank(method="first").to_numpy() - 1) / len(specimen)).astype(int)
        for c in ("x_um", "y_um")
    )
    part, names = n * row + column, []
    for k in range(n * n):
        inside = specimen.grains[part == k]
        ends = [f"{c} {inside[f'{c}_um'].min():.0f} to {inside[f'{c}_um'].max():.0f}" for c in "xy"]
        names.append(f"{', '.join(ends)} µm" if len(inside) else "")
    return part, names


def _counts(
    model: CoupledClassifier, specimen: Specimen, replicates: int, seed: int
) -> tuple[NDArray, NDArray, list[tuple[str, str]]]:
    """Footprints (G, C) that were seen, (R, G, C) of replicates; mechanism and family of the columns."""
    rng, geometry = np.random.default_rng(seed), _Geometry.of(specimen)
    families, g = specimen.systems.family_names, len(specimen)
    twins = specimen.tokens.loc[specimen.tokens["mechanism"] == "twin", "family"]
    of_variant = (
        np.stack([twins.to_numpy() == f for f in families], axis=1).astype(float).reshape(-1, len(families))
    )
    known = np.isfinite(specimen.twin_observed)
    lines = geometry.families(specimen.trace_grain, specimen.traces["angle_deg"].to_numpy())
    slip = np.zeros((g, lines.shape[1]))
    np.add.at(slip, specimen.trace_grain, lines)
    seen = np.hstack([slip, np.nan_to_num(specimen.twin_observed) @ of_variant])
    drawn = np.zeros((replicates, *seen.shape))
    data, _ = model.forward(specimen)
    thetas = model._posterior_draws()
    with torch.no_grad():
        for r, theta in enumerate(thetas):
            sheared = data.at(theta)
            found, turned = sheared.found.numpy(), sheared.turned
            for k in range(r, replicates, len(thetas)):
                grain, angle, variants = _replicate(
                    specimen, geometry, found, turned, theta.rates, model.frequency_, rng
                )
                np.add.at(drawn[k, :, : lines.shape[1]], grain, geometry.families(grain, angle))
                drawn[k, :, lines.shape[1] :] = (variants * known) @ of_variant
    slip_names = [*(("slip", f) for f in families), ("slip", NO_PLANE)]
    return seen, drawn, [*slip_names, *(("twin", f) for f in families)]


def _replicate(specimen, geometry, found, turned, rates, frequency, rng) -> tuple[NDArray, NDArray, NDArray]:
    """Grain (J,) and angle (J,) of lines, and variants (G, V) that are seen."""
    g, n_planes = len(specimen), geometry.angle.shape[1]
    one = found[np.arange(g), rng.integers(found.shape[1], size=g)]  # one stress of every grain
    by_chance = rng.random(g) < float(rates.outlier)
    across = np.zeros((g, 0)) if turned is None else np.cumsum(turned.probability.numpy(), axis=1)
    side = (rng.random(g)[:, None] > across).sum(1)  # of the parent; beyond the last: it is one
    rests = np.flatnonzero((side < across.shape[1]) & ~by_chance)
    is_outlier = by_chance | (side < across.shape[1])
    imaged = specimen.imaged
    left = rng.random((g, n_planes)) < float(rates.detection) * one[:, :n_planes]
    left &= geometry.visible & (imaged & ~is_outlier)[:, None]
    grain, plane = np.nonzero(_merged(left, geometry.angle))
    sine = np.sin(np.radians(geometry.inclination[grain, plane]))
    error = np.hypot(geometry.sigma, ORIENTATION_DEG / sine) * rng.standard_normal(len(grain))
    mean = np.where(is_outlier, frequency[0] * n_planes, float(rates.false_rate)) * imaged
    false = np.repeat(np.arange(g), rng.poisson(mean))
    angle = np.r_[geometry.angle[grain, plane] + error, 180 * rng.random(len(false))] % 180
    p_variant = np.where(is_outlier[:, None], frequency[1], one[:, n_planes:])
    if turned is not None:
        p_variant[rests, side[rests]] = turned.rest_found.numpy()[rests]
    return np.r_[grain, false], angle, rng.random(p_variant.shape) < p_variant


def _merged(left: NDArray, angle: NDArray) -> NDArray:
    """Lines (G, P) less those that lie within MERGED_DEG of one that comes before."""
    kept = left.copy()
    for p in range(1, left.shape[1]):
        near = np.abs(line_difference(angle[:, p, None], angle[:, :p])) <= MERGED_DEG
        kept[:, p] &= ~(near & kept[:, :p]).any(1)
    return kept


def _row(where, mechanism, family, seen, drawn, p_of) -> dict:
    low, high = np.quantile(drawn, [0.05, 0.95])
    return {
        "where": where,
        "mechanism": mechanism,
        "family": family,
        "seen": float(seen),
        "expected": float(drawn.mean()),
        "low": float(low),
        "high": float(high),
        "p_value": p_of(seen, drawn),
    }


def _p_of_total(seen: float, drawn: NDArray) -> float:
    """Two-sided, on the root of the count, whose spread hardly depends on its mean."""
    root, roots = np.sqrt(seen + 0.375), np.sqrt(drawn + 0.375)
    return float(2 * norm.sf(abs(root - roots.mean()) / max(roots.std(), 0.1)))


def _p_of_sum(seen: NDArray, drawn: NDArray) -> float:
    """One-sided, of the distance of counts (C,) from replicates (R, C) of them."""
    mean, variance = drawn.mean(0), np.maximum(drawn.var(0), 0.1)
    distance, distances = (((x - mean) ** 2 / variance).sum(-1) for x in (seen, drawn))
    scale = distances.var() / distances.mean()
    return float(gamma.sf(distance, distances.mean() / scale, scale=scale))
