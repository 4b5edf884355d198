"""Textures for several goals at once, over strain: from the certificate of a linear programme to the
polycrystal.

1. Under Taylor many goals are linear in the weights at each lateral share q of crystal_paths, so that the
texture within all of their bounds that is closest to a prior is found, or a proof that there is none
(cpml.design.search.within): at the r-values that are asked for, or at 15 of a sweep where they are open.
2. From that texture on the route that counts is followed by its own gradients, with all goals and with the
variables beside the texture (cpml.design.search.refine).
3. Several priors (random, fibres, components at random) give several answers; those are kept that are at
least a given share of the volume apart.

Reference: Fast, Knezevic & Kalidindi 2008, Comput. Mater. Sci. 43:374.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.design.goals import OTHER_LOADS, TWINNING, Goal
from cpml.design.grid import orientation_grid, prior_names, prior_texture, sample_copies, texture_on_grid
from cpml.design.microstructure import Microstructure
from cpml.design.properties import Q_RANGE, q_of_r
from cpml.design.routes import Route
from cpml.design.search.crystal_paths import CrystalPaths, apart_yield, crystal_moduli, crystal_paths
from cpml.design.search.refine import MET, Refinement, cost
from cpml.design.search.within import Nearest, Rows, closest, nearest
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError

LINEAR = ("yield_stress_mpa", *OTHER_LOADS, "young_modulus_gpa", "stress_mpa", *TWINNING)
"""Goals that are linear in the weights under Taylor, beside r_value."""
PRESENT = "present"
PROOF = "separating hyperplane"
_SHARES = np.linspace(0.08, 0.92, 15)  # lateral shares q where the r-value is open
_COMPONENTS = 40  # random components tried as priors once fibres are used up
_COMPONENT = "component"
_MIXED = 0.1
_SPREAD_DEG, _BACKGROUND = 15.0, 0.2


@dataclass
class Linear:
    """Crystals of a grid at every q that was asked for."""

    route: Route
    quaternions: NDArray  # (G, 4)
    strain: float

    def __post_init__(self) -> None:
        self._known: dict[float, CrystalPaths] = {}
        self._apart: dict[str, NDArray] = {}

    def at(self, q: float) -> CrystalPaths:
        """Paths at a lateral share, solved once."""
        q = round(float(q), 6)
        if q not in self._known:
            self._known[q] = crystal_paths(
                self.route.law,
                self.route.hardening,
                self.quaternions,
                q,
                strain=self.strain,
                temperature=self.route.temperature,
            )
        return self._known[q]

    def row(self, q: float, goal: Goal) -> NDArray:
        """(G,) what a goal averages, at a lateral share of the path along x."""
        if goal.key not in OTHER_LOADS and goal.key != "young_modulus_gpa":
            return self.at(q).row(goal)
        if goal.key not in self._apart:
            is_elastic = goal.key == "young_modulus_gpa"
            self._apart[goal.key] = (
                crystal_moduli(self.route.constants(), self.quaternions)
                if is_elastic
                else apart_yield(self.route.law, self.quaternions, goal)
            )
        return self._apart[goal.key]

    def rows(self, q: float, goals: Sequence[Goal]) -> Rows:
        """Linear goals (m,) and free edges."""
        paths = self.at(q)
        a = [self.row(q, goal) for goal in goals] + [paths.free_edge]
        size = [goal.size for goal in goals] + [0.01 * float(np.abs(paths.stress[0]).mean())]
        low, high = ([getattr(goal, end) for goal in goals] for end in ("low", "high"))
        return Rows(np.array(a), np.array([*low, 0.0]), np.array([*high, 0.0]), np.array(size))


def design_path(
    goals: tuple[Goal, ...],
    *,
    route: Route,
    grid_deg: float,
    sample_symmetry: str,
    priors: Sequence[str] | None,
    count: int,
    apart: float,
    seed: int,
    micro: Microstructure | None = None,
    present: tuple[NDArray, NDArray | None] | None = None,
) -> TextureDesign:
    """The design for goals, the others as its alternatives (arguments of cpml.design.suggest).

    Raises
    ------
    ParameterError : goals that the law has nothing for; a texture that is held and not given
    """
    route.check(goals)
    lattice = route.law.systems.lattice
    grid = orientation_grid(lattice, grid_deg)
    linear = Linear(route, grid, max((g.strain for g in goals if g.key in LINEAR), default=0.0))
    copies = sample_copies(grid, sample_symmetry)
    search = Refinement(goals, route, copies, micro)
    if search.is_held and present is None:
        raise ParameterError("variables: texture = false holds the present texture: give present=")
    found: list[TextureDesign] = []
    missed: list[TextureDesign] = []
    for name, prior in _priors(lattice, copies, priors, seed, present):
        design = _refined(goals, linear, search, name, prior, sample_symmetry)
        is_new = all(design.distance(other) >= apart for other in found)
        if design.status == "reached" and is_new:
            found.append(design)
        elif design.status != "reached":
            missed.append(design)
            if "proven_deviation" in design.certificate:
                break  # a proof does not hang on the prior
        if len(found) == count or search.is_held or (not found and name.startswith(_COMPONENT)):
            break
    best = found or sorted(missed, key=lambda d: d.certificate["largest_deviation"])
    return replace(best[0], alternatives=tuple(best[1:]))


def _priors(
    lattice: str,
    copies: NDArray,
    names: Sequence[str] | None,
    seed: int,
    present: tuple[NDArray, NDArray | None] | None,
) -> Iterator[tuple[str, NDArray]]:
    """The present texture, named priors, then components about random orientations."""
    grid = copies[0]
    if present is not None:
        yield PRESENT, texture_on_grid(lattice, copies, *present)
    for name in names or prior_names(lattice):
        yield name, prior_texture(lattice, name, grid)
    if names:
        return
    for k, centre in enumerate(random_quaternions(_COMPONENTS, np.random.default_rng(seed))):
        angle = np.degrees(disorientation_angle(grid, centre, proper_group(group_of_lattice(lattice))))
        density = np.exp(-((angle / _SPREAD_DEG) ** 2) / 2)
        yield f"{_COMPONENT} {k + 1}", _BACKGROUND / len(grid) + (1 - _BACKGROUND) * density / density.sum()


def _refined(
    goals: tuple[Goal, ...],
    linear: Linear,
    search: Refinement,
    name: str,
    prior: NDArray,
    sample_symmetry: str,
) -> TextureDesign:
    """The first texture within MET of all goals from one prior, else the best one seen."""
    found = None if search.is_held else _linear_answer(goals, linear, prior)
    weights, certificate = (prior, {"kind": "none"}) if found is None else found
    if certificate["kind"] == PROOF:  # a few crystals: the medium of a mixture has gradients for all of them
        weights = prior if search.micro is not None else (1 - _MIXED) * weights + _MIXED * prior
    point = search.run(weights, prior)
    if certificate["kind"] == PROOF:
        is_proven = point.worst > MET and search.micro is None  # a proof is of textures alone
    else:  # the closest texture of the linear problem is that of the goals where it was not left
        is_proven = point.weights is weights and all(g.key in (*LINEAR, "r_value") for g in goals)
    about = certificate if is_proven else {"kind": "none"}
    values = zip(goals, point.solved.values, strict=True)
    micro = search.micro
    return TextureDesign(
        status="reached" if point.worst <= MET else "nearest",
        target={g.name: g.low if g.is_equality else g.words for g in goals},
        properties={g.name: float(v) for g, v in values},
        quaternions=linear.quaternions,
        weights=point.weights,
        prior=name,
        sample_symmetry=sample_symmetry,
        certificate=about
        | {
            "largest_deviation": point.worst,
            "relative_entropy": cost(point.weights, np.zeros(0), prior),
            "volume_moved": float(np.abs(point.weights - prior).sum() / 2),  # from the prior
        },
        microstructure={} if micro is None else micro.values(point.z),
        strengths=None if micro is None else point.solved.strength.detach().numpy(),
        shape=None if micro is None else micro.shape(point.z),
    )


def _r_goal(goals: tuple[Goal, ...]) -> tuple[float, float] | None:
    """Bounds of the r-value that is asked for."""
    asked = [g for g in goals if g.key == "r_value"]
    return (asked[0].low, asked[0].high) if asked else None


def _linear_answer(goals: tuple[Goal, ...], linear: Linear, prior: NDArray) -> tuple[NDArray, dict] | None:
    """Weights and certificate of the linear goals: of all r-values that are open the texture closest to the
    prior. None where nothing is linear.
    """
    asked = [g for g in goals if g.key in LINEAR]
    if not asked and _r_goal(goals) is None:
        return None
    shares = _open_shares(_r_goal(goals))
    answers = []
    for q in shares:
        found = closest(linear.rows(q, asked), prior)
        if found is not None:
            answers.append((found.relative_entropy, q, found))
    if answers:
        entropy, q, found = min(answers, key=lambda row: row[0])
        certificate = {
            "kind": "duality gap",
            "duality_gap": found.duality_gap,
            "relative_entropy": entropy,
            "residual": found.residual,
            "lateral_share": q,
        }
        return found.weights, certificate
    misses = [(q, nearest(linear.rows(q, asked))) for q in shares]
    if not misses:
        return None
    q, miss = min(misses, key=lambda row: float(row[1].deviation.sum()))
    return miss.weights, _proof(asked, misses, miss) | {"lateral_share": q}


def _proof(goals: list[Goal], misses: list[tuple[float, Nearest]], miss: Nearest) -> dict:
    names = [g.name for g in goals] + ["free edges"]
    proven = min(float(m.bound) for _, m in misses)
    blamed = {n: float(d) for n, d in zip(names, miss.deviation, strict=True) if d > 1e-9}
    certificate = {
        "kind": PROOF if proven > 1e-9 else "none",
        "multipliers": dict(zip(names, miss.multipliers.tolist(), strict=True)),
        "deviation": blamed,
        "n_r_values": len(misses),
    }
    return certificate | ({"proven_deviation": proven} if proven > 1e-9 else {})


def _open_shares(wanted_r: tuple[float, float] | None) -> list[float]:
    """Lateral shares of the r-values asked for; a sweep where r is open."""
    if wanted_r is None:
        return list(_SHARES)
    low, high = (float(np.clip(q_of_r(r), *Q_RANGE)) if np.isfinite(r) else None for r in wanted_r)
    if low is not None and low == high:
        return [low]
    inside = [q for q in _SHARES if (low is None or q >= low) and (high is None or q <= high)]
    return sorted({*inside, *(q for q in (low, high) if q is not None)})
