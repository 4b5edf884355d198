"""Textures for several goals at once, over strain: from the certificate of a linear programme to the
polycrystal.

1. Under Taylor all goals are linear in the weights at each lateral share q (cpml.design.crystal_paths), so
that the texture within all bounds that is closest to a prior is found, or a proof that there is none
(cpml.design.within): at the r-values that are asked for, or at 15 of a sweep where they are open.
2. That texture is solved by the route that counts, the self-consistent path on the whole grid. Where it
misses a goal the linear goal is moved by what it missed and 1 is solved again (space mapping): the linear
model is right about how properties change with texture, the route about what they are.
3. Several priors (random, fibres, components at random) give several answers; those are kept that are at
least a given share of the volume apart.

Reference: Bandler et al. 1994, IEEE Trans. Microw. Theory Tech. 42:2536 (space mapping); Fast, Knezevic &
Kalidindi 2008, Comput. Mater. Sci. 43:374.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.design.crystal_paths import CrystalPaths, apart_yield, crystal_moduli, crystal_paths
from cpml.design.goals import OTHER_LOADS, SHARES, Goal
from cpml.design.grid import orientation_grid, prior_names, prior_texture, sample_copies
from cpml.design.properties import Q_RANGE, q_of_r
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.design.within import Nearest, Rows, closest, nearest
from cpml.errors import CpmlError

MET = 0.01
"""Deviation of a goal, over its size, that counts as met."""
_ROUNDS = 12
_SHARES = np.linspace(0.08, 0.92, 15)  # lateral shares q where the r-value is open
_COMPONENTS = 40  # random components tried as priors once fibres are used up
_COMPONENT = "component"
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

    def rows(self, q: float, goals: Sequence[Goal], low: NDArray, high: NDArray) -> Rows:
        """Goals with bounds (m,), the r-value left out, and free edges."""
        paths = self.at(q)
        asked = [k for k, goal in enumerate(goals) if goal.key != "r_value"]
        a = [self.row(q, goals[k]) for k in asked] + [paths.free_edge]
        size = [goals[k].size for k in asked] + [0.01 * float(np.abs(paths.stress[0]).mean())]
        return Rows(np.array(a), np.r_[low[asked], 0.0], np.r_[high[asked], 0.0], np.array(size))

    def values(self, q: float, weights: NDArray, goals: Sequence[Goal]) -> NDArray:
        """(m,) goals of weights."""
        return np.array([q / (1 - q) if g.key == "r_value" else self.row(q, g) @ weights for g in goals])


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
) -> TextureDesign:
    """The design for goals, the others as its alternatives (arguments of cpml.design.suggest)."""
    lattice = route.law.systems.lattice
    grid = orientation_grid(lattice, grid_deg)
    linear = Linear(route, grid, max(g.strain for g in goals))
    copies = sample_copies(grid, sample_symmetry)
    found: list[TextureDesign] = []
    missed: list[TextureDesign] = []
    for name, prior in _priors(lattice, grid, priors, seed):
        design = _refined(goals, linear, copies, name, prior, sample_symmetry)
        is_new = all(design.distance(other) >= apart for other in found)
        if design.status == "reached" and is_new:
            found.append(design)
        elif design.status != "reached":
            missed.append(design)
            if "proven_deviation" in design.certificate:
                break  # a proof does not hang on the prior
        if len(found) == count or (not found and name.startswith(_COMPONENT)):
            break
    best = found or sorted(missed, key=lambda d: d.certificate["largest_deviation"])
    return replace(best[0], alternatives=tuple(best[1:]))


def _priors(
    lattice: str, grid: NDArray, names: Sequence[str] | None, seed: int
) -> Iterator[tuple[str, NDArray]]:
    """Named priors, then components about random orientations."""
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
    copies: NDArray,
    name: str,
    prior: NDArray,
    sample_symmetry: str,
) -> TextureDesign:
    """Space mapping from one prior: the first texture within MET of all goals, else the best one seen."""
    low, high = (np.array([getattr(g, end) for g in goals]) for end in ("low", "high"))
    asked_low, asked_high, best, wanted_r = low.copy(), high.copy(), None, _r_goal(goals)
    shift_r, proof = 1.0, None
    for k_round in range(_ROUNDS):
        answer = _linear_answer(goals, linear, prior, low, high, wanted_r, shift_r)
        if answer is None:
            break
        q, weights, certificate = answer
        if k_round == 0 and "proven_deviation" in certificate:
            proof = certificate  # of the goals themselves; later rounds ask for others
        full = np.tile(weights / len(copies), len(copies))
        values = linear.route.values(copies.reshape(-1, 4), full, goals)
        deviation = np.array([g.deviation(v) for g, v in zip(goals, values, strict=True)])
        worst = float(np.abs(deviation).max())
        if best is None or worst < best[0]:
            best = (worst, q, weights, values, certificate)
        if worst <= MET:
            break
        coarse = linear.values(q, weights, goals)
        for k, goal in enumerate(goals):
            if goal.key == "r_value":
                shift_r = float(np.clip(coarse[k] / max(values[k], 1e-6), 0.05, 20.0))
            elif goal.key in SHARES:
                low[k], high[k] = (
                    np.clip(end[k] + coarse[k] - values[k], 0.0, 1.0) if np.isfinite(end[k]) else end[k]
                    for end in (asked_low, asked_high)
                )
            else:
                low[k], high[k] = (end[k] * coarse[k] / values[k] for end in (asked_low, asked_high))
    if best is None:
        raise CpmlError("no texture of this grid has free edges: the families may be too few")
    worst, q, weights, values, certificate = best
    if worst > MET and proof is not None:
        certificate = proof
    else:
        certificate = {key: v for key, v in certificate.items() if key != "proven_deviation"}
    return TextureDesign(
        status="reached" if worst <= MET else "nearest",
        target={g.name: g.low if g.is_equality else g.words for g in goals},
        properties={g.name: float(v) for g, v in zip(goals, values, strict=True)},
        quaternions=linear.quaternions,
        weights=weights,
        prior=name,
        sample_symmetry=sample_symmetry,
        certificate=certificate | {"largest_deviation": worst, "lateral_share": q},
    )


def _r_goal(goals: tuple[Goal, ...]) -> tuple[float, float] | None:
    """Bounds of the r-value that is asked for."""
    asked = [g for g in goals if g.key == "r_value"]
    return (asked[0].low, asked[0].high) if asked else None


def _linear_answer(
    goals: tuple[Goal, ...],
    linear: Linear,
    prior: NDArray,
    low: NDArray,
    high: NDArray,
    wanted_r: tuple[float, float] | None,
    shift_r: float,
) -> tuple[float, NDArray, dict] | None:
    """q, weights and certificate of the linear goals: of all q that are open the texture closest to the
    prior.
    """
    shares = _open_shares(wanted_r, shift_r)
    answers = []
    for q in shares:
        found = closest(linear.rows(q, goals, low, high), prior)
        if found is not None:
            answers.append((found.relative_entropy, q, found))
    if answers:
        entropy, q, found = min(answers, key=lambda row: row[0])
        certificate = {
            "kind": "duality gap",
            "duality_gap": found.duality_gap,
            "relative_entropy": entropy,
            "residual": found.residual,
        }
        return q, found.weights, certificate
    misses = [(q, nearest(linear.rows(q, goals, low, high))) for q in shares]
    if not misses:
        return None
    q, miss = min(misses, key=lambda row: float(row[1].deviation.sum()))
    return q, miss.weights, _proof(goals, misses, miss)


def _proof(goals: tuple[Goal, ...], misses: list[tuple[float, Nearest]], miss: Nearest) -> dict:
    names = [g.name for g in goals if g.key != "r_value"] + ["free edges"]
    proven = min(float(m.bound) for _, m in misses)
    blamed = {n: float(d) for n, d in zip(names, miss.deviation, strict=True) if d > 1e-9}
    certificate = {
        "kind": "separating hyperplane" if proven > 1e-9 else "none",
        "multipliers": dict(zip(names, miss.multipliers.tolist(), strict=True)),
        "deviation": blamed,
        "n_r_values": len(misses),
    }
    return certificate | ({"proven_deviation": proven} if proven > 1e-9 else {})


def _open_shares(wanted_r: tuple[float, float] | None, shift: float) -> list[float]:
    """Lateral shares of the r-values asked for, moved by a factor; a sweep where r is open."""
    if wanted_r is None:
        return list(_SHARES)
    low, high = (float(np.clip(q_of_r(r * shift), *Q_RANGE)) if np.isfinite(r) else None for r in wanted_r)
    if low is not None and low == high:
        return [low]
    inside = [q for q in _SHARES if (low is None or q >= low) and (high is None or q <= high)]
    return sorted({*inside, *(q for q in (low, high) if q is not None)})
