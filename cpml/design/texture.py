"""Textures for a wanted yield stress and r-value, with a certificate: reached, or provably out of reach.

Under Taylor the conditions are linear in the weights of a texture (cpml.design.properties), so

- the target is in the convex hull of single-crystal points, and the texture closest to a prior (least
  relative entropy) is returned with its duality gap, or
- a hyperplane separates it from every single crystal (at the asked r, or at each r of a sweep
  when only the yield stress is asked), and the nearest reachable pair is returned: the smallest
  sum of squared relative deviations;
- the answer is solved again by other routes: a drawn discrete texture with all lateral strains free, and
  the exact rate-independent limit.

Goals over strain, bounds and other routes: cpml.design.search.path_design. Reference: Adams et al. 2001, J.
Mech. Phys. Solids 49:1639; Fast, Knezevic & Kalidindi 2008, Comput. Mater. Sci. 43:374.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.materials import Material, load_material
from cpml.crystallography.odf import Odf, estimate_odf
from cpml.crystallography.rotations import quaternion_to_euler
from cpml.crystallography.symmetry import group_of_lattice
from cpml.design.grid import orientation_grid, prior_names, prior_texture, sample_copies
from cpml.design.properties import (
    Q_RANGE,
    CrystalPoints,
    free_edge_properties,
    q_of_r,
    rate_independent_properties,
    texture_properties,
)
from cpml.design.search.convex import Hyperplane, closest_to_prior, extreme, separate
from cpml.errors import ParameterError
from cpml.plasticity.laws.law import PowerLaw

Target: TypeAlias = dict[str, float]  # any of KEYS
Problem: TypeAlias = tuple[NDArray, NDArray]  # columns (m, G) and wanted averages (m,)

KEYS = ("yield_stress_mpa", "r_value")
N_DRAWN = 500  # orientations of the discrete texture of the verification
_SWEEP = np.linspace(0.06, 0.94, 23)


@dataclass(frozen=True)
class TextureDesign:
    """One texture: weights on a grid of orientations, each standing for its sample-symmetry copies."""

    status: str  # 'reached' or 'nearest'
    target: Mapping[str, float | str]
    properties: dict[str, float]  # yield_stress_mpa, r_value of these weights
    quaternions: NDArray  # (G, 4) crystal_to_sample
    weights: NDArray  # (G,) sum 1
    prior: str
    sample_symmetry: str
    certificate: dict  # kind 'duality gap' or 'separating hyperplane', and its numbers
    verification: dict = field(default_factory=dict)
    alternatives: tuple["TextureDesign", ...] = ()
    microstructure: Mapping[str, float] = field(default_factory=dict)  # variables beside the texture
    strengths: NDArray | None = None  # (K,) MPa of the families, where variables changed them
    shape: NDArray | None = None  # (3, 3) mean ellipsoid of the grains, None: spheres

    @property
    def effective_orientations(self) -> float:
        """exp(entropy): how many orientations share the volume."""
        w = self.weights[self.weights > 0]
        return float(np.exp(-np.sum(w * np.log(w))))

    def to_frame(self) -> pd.DataFrame:
        """One row per orientation, copies included: qw..qz, phi1_deg, Phi_deg, phi2_deg, weight (sum 1)."""
        copies = sample_copies(self.quaternions, self.sample_symmetry)
        q = copies.reshape(-1, 4)
        table = pd.DataFrame(q, columns=["qw", "qx", "qy", "qz"])
        table[["phi1_deg", "Phi_deg", "phi2_deg"]] = np.degrees(quaternion_to_euler(q))
        table["weight"] = np.tile(self.weights, len(copies)) / len(copies)
        return table

    def distance(self, other: "TextureDesign") -> float:
        """Share of the volume that would have to be reoriented to turn one design into the other, 0 to 1."""
        return float(np.abs(self.weights - other.weights).sum() / 2)

    def odf(self, lattice: str, halfwidth_deg: float = 10.0) -> Odf:
        """The orientation distribution function of the weights, smoothed by a kernel."""
        copies = sample_copies(self.quaternions, self.sample_symmetry)
        return estimate_odf(
            copies.reshape(-1, 4),
            group=group_of_lattice(lattice),
            weights=np.tile(self.weights, len(copies)),
            halfwidth_deg=halfwidth_deg,
        )

    def draw(self, n: int = 500, *, seed: int = 0) -> NDArray:
        """(n, 4) orientations of equal volume: systematic draws from the weights, random sample copies."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.weights))
        edges = np.cumsum(self.weights[order])
        picks = order[np.minimum(np.searchsorted(edges, (np.arange(n) + rng.random()) / n), len(order) - 1)]
        copies = sample_copies(self.quaternions[picks], self.sample_symmetry)
        return copies[rng.integers(len(copies), size=n), np.arange(n)]


def plain_design(
    target: Target,
    law: PowerLaw,
    *,
    grid_deg: float,
    sample_symmetry: str,
    priors: Sequence[str] | None,
    verify: bool,
    seed: int,
) -> TextureDesign:
    """The design for numbers of KEYS, those for the other priors as its alternatives (arguments of
    cpml.design.suggest).
    """
    quaternions = orientation_grid(law.systems.lattice, grid_deg)
    sample_copies(quaternions[:1], sample_symmetry)
    points = CrystalPoints(law, quaternions, sample_symmetry)
    designs = _designs(target, points, tuple(priors or prior_names(law.systems.lattice)))
    if verify:
        designs = [replace(d, verification=verification(d, law, seed)) for d in designs]
    return replace(designs[0], alternatives=tuple(designs[1:]))


def law_of(material: str | Path | Material | None, law: PowerLaw | None) -> PowerLaw:
    """The law of the material, or the one given, without its graph."""
    if law is not None and material is None:
        return PowerLaw(law.systems, law.strength.detach(), float(law.n), float(law.reference_rate))
    if law is not None or material is None:
        raise ParameterError(
            "give either material= (name, path or Material) or law= (a PowerLaw), and not both"
        )
    return PowerLaw.from_material(material if isinstance(material, Material) else load_material(material))


def _problem(points: CrystalPoints, q: float, target: Target) -> Problem:
    """Columns (m, G) and wanted averages (m,) at lateral share q."""
    strength, conditions = points.rows(q)
    wanted = np.zeros(len(conditions))
    if "yield_stress_mpa" in target:
        return np.r_[strength[None], conditions], np.r_[target["yield_stress_mpa"], wanted]
    return conditions, wanted


def _designs(target: Target, points: CrystalPoints, names: tuple[str, ...]) -> list[TextureDesign]:
    """Main design first, then the alternatives."""
    shares = [q_of_r(target["r_value"])] if "r_value" in target else list(_SWEEP)
    problems = [_problem(points, q, target) for q in shares]
    planes = [separate(*p) for p in problems]
    size = np.abs(problems[0][0]).max()
    inside = [
        (q, p) for q, p, plane in zip(shares, problems, planes, strict=True) if plane.margin <= 1e-9 * size
    ]
    designs = [d for name in names if (d := _closest(target, points, name, inside))]
    return designs or _nearest(target, points, names, shares, planes)


def _closest(
    target: Target, points: CrystalPoints, prior_name: str, problems: list[tuple[float, Problem]]
) -> TextureDesign | None:
    """Of several lateral shares q with their conditions, the texture of least relative entropy."""
    prior = prior_texture(points.law.systems.lattice, prior_name, points.quaternions)
    solved = [(closest_to_prior(*problem, prior), q) for q, problem in problems]
    converged = [pair for pair in solved if pair[0].converged]
    if not converged:
        return None
    best, q = min(converged, key=lambda pair: pair[0].relative_entropy)
    certificate = {
        "kind": "duality gap",
        "duality_gap": best.duality_gap,
        "relative_entropy": best.relative_entropy,
        "multipliers": best.multipliers,
        "residual_mpa": best.residual,
    }
    return _design("reached", target, points, q, best.weights, certificate, prior_name)


def _design(
    status: str,
    target: Target,
    points: CrystalPoints,
    q: float,
    weights: NDArray,
    certificate: dict,
    prior: str = "none",
) -> TextureDesign:
    """The record of weights (G,) at lateral share q."""
    return TextureDesign(
        status=status,
        target=target,
        properties={"yield_stress_mpa": float(points.rows(q)[0] @ weights), "r_value": float(q / (1 - q))},
        quaternions=points.quaternions,
        weights=weights,
        prior=prior,
        sample_symmetry=points.sample_symmetry,
        certificate=certificate,
    )


def _nearest(
    target: Target,
    points: CrystalPoints,
    names: tuple[str, ...],
    shares: list[float],
    planes: list[Hyperplane],
) -> list[TextureDesign]:
    """The reachable pair of smallest relative deviation, the plane that keeps the
    target out, and alternatives.

    The nearest texture lies on the edge of the hull and consists of a few orientations; the
    alternatives retreat from the edge by 2 % of the reachable span of yield stress and are the
    textures closest to each prior there.
    """
    best = min(range(len(planes)), key=lambda i: planes[i].margin)
    sweep = np.unique(np.clip([*_SWEEP, *shares], *Q_RANGE))
    candidates = [c for q in sweep if (c := _nearest_at(float(q), target, points))]
    if not candidates:
        raise ParameterError(
            "no orientation mixture has free edges for any r-value: the families may be too few"
        )
    nearest = min(candidates, key=lambda c: c.deviation)
    for step in (0.01, 0.003, 0.001, 0.0003):  # refine q by shrinking neighbourhoods
        trials = [float(np.clip(nearest.q + step * k, *Q_RANGE)) for k in (-3, -2, -1, 1, 2, 3)]
        candidates = [c for q in trials if (c := _nearest_at(q, target, points))]
        nearest = min([nearest, *candidates], key=lambda c: c.deviation)
    q, weights = nearest.q, nearest.weights
    if nearest.deviation < 1e-18:
        certificate = {
            "kind": "duality gap",
            "duality_gap": 0.0,
            "note": "on the edge of the hull: a mixture of few orientations found by linear programme",
        }
        return [_design("reached", target, points, q, weights, certificate)]
    certificate = {
        "kind": "separating hyperplane",
        "normal": planes[best].normal,
        "offset_mpa": planes[best].offset,
        "margin_mpa": planes[best].margin,
        "at_r_value": float(shares[best] / (1 - shares[best])),
        "smallest_margin_over_r_mpa": min(p.margin for p in planes),
        "n_r_values": len(planes),
        "relative_deviation": float(np.sqrt(nearest.deviation)),
    }
    main = _design("nearest", target, points, q, weights, certificate)
    margin = 0.02 * (nearest.highest - nearest.lowest)
    inside = np.clip(main.properties["yield_stress_mpa"], nearest.lowest + margin, nearest.highest - margin)
    eased = _problem(points, q, {"yield_stress_mpa": float(inside)})
    others = [_closest(target, points, name, [(q, eased)]) for name in names]
    return [
        main,
        *(replace(d, status="nearest", certificate={**d.certificate, **certificate}) for d in others if d),
    ]


class _Candidate(NamedTuple):
    """The texture nearest to the target at one lateral share."""

    deviation: float  # squared, relative
    q: float
    weights: NDArray
    lowest: float  # reachable yield stress, MPa
    highest: float


def _ends(points: CrystalPoints, q: float) -> tuple[tuple[float, NDArray], tuple[float, NDArray]] | None:
    """Lowest and highest yield stress at q with their weights; None when no texture has that r-value."""
    strength, conditions = points.rows(q)
    low, high = (extreme(conditions, np.zeros(len(conditions)), strength, sign) for sign in (-1, 1))
    return None if low is None or high is None else (low, high)


def _nearest_at(q: float, target: Target, points: CrystalPoints) -> _Candidate | None:
    """None when no texture has the r-value of q."""
    ends = _ends(points, q)
    if ends is None:
        return None
    (low, w_low), (high, w_high) = ends
    wanted = target.get("yield_stress_mpa", (low + high) / 2)
    reached = float(np.clip(wanted, low, high))
    share = (reached - low) / (high - low) if high > low else 0.0
    deviation = (reached / wanted - 1) ** 2
    if "r_value" in target:
        deviation += (q / (1 - q) / target["r_value"] - 1) ** 2
    return _Candidate(deviation, q, (1 - share) * w_low + share * w_high, low, high)


def verification(design: TextureDesign, law: PowerLaw, seed: int) -> dict[str, float]:
    """The two properties by other routes, and their relative deviations from the design's.

    drawn_*: a discrete texture with all lateral strains free (five-dimensional Newton); grid_*: the
    whole grid with the edge solved for q; limit_*: exact rate-independent plasticity on the drawn
    texture. An r-value far from 1, or a texture of few orientations, moves much between routes because
    W(q) is nearly flat or kinked there.
    """
    drawn = design.draw(N_DRAWN, seed=seed)
    routes = {"drawn": free_edge_properties(law, drawn), "limit": rate_independent_properties(law, drawn)}
    if design.sample_symmetry == "orthotropic" and _is_inside(design.properties["r_value"]):
        routes["grid"] = texture_properties(law, design.quaternions, design.weights)
    checks = {}
    for route, values in routes.items():
        for key, value in values.items():
            checks[f"{route}_{key}"] = value
            checks[f"{route}_{key}_deviation"] = value / design.properties[key] - 1
    return checks


def _is_inside(r: float) -> bool:
    """Whether an r-value lies in the range that free edges are sought in."""
    return Q_RANGE[0] < q_of_r(r) < Q_RANGE[1]


def reachable(
    *,
    material: str | Path | Material | None = None,
    law: PowerLaw | None = None,
    grid_deg: float = 10.0,
    sample_symmetry: str = "orthotropic",
    r_values: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The reachable region: columns r_value, yield_min_mpa, yield_max_mpa; r-values that
    no texture has are left out.

    Arguments as in `suggest`; `r_values` None takes a sweep of 23 values from 0.06 to 16.
    """
    law = law_of(material, law)
    points = CrystalPoints(law, orientation_grid(law.systems.lattice, grid_deg), sample_symmetry)
    shares = _SWEEP if r_values is None else [q_of_r(r) for r in r_values]
    rows = [(q / (1 - q), ends[0][0], ends[1][0]) for q in shares if (ends := _ends(points, float(q)))]
    return pd.DataFrame(rows, columns=["r_value", "yield_min_mpa", "yield_max_mpa"])
