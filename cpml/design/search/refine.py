"""From a first texture to one that the polycrystal itself says is right: a sequence of convex problems.

Properties v(w, z) of a texture w and variables z (grain size ...) are differentiated exactly by the route
that judges the design (cpml.design.routes). Each round asks for the texture closest to the prior whose
linearised properties are within bounds,

    min KL(w || p) + |z|^2/2    subject to   low <= v + A (w - w_k) + C (z - z_k) <= high

or for the nearest one where there is none, and goes there, or part of the way where the properties do not
come closer. Once all are met it goes on as long as texture and variables come closer to where they began (not
for whole curves). What has no gradient has that of single crystals (moduli). r-values are taken as
logarithms.

Reference: Nocedal & Wright 2006, Numerical Optimization, chapter 18 (sequential programming with a line
search).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from cpml.design.goals import ANISOTROPIES, R_VALUES, Goal
from cpml.design.microstructure import Microstructure
from cpml.design.routes import Route, Solved
from cpml.design.search.crystal_paths import crystal_moduli
from cpml.design.search.within import Rows, closest, nearest
from cpml.errors import CpmlError

MET = 0.01
"""Deviation of a goal, over its size, that counts as met."""
_ROUNDS, _POLISH = 15, 4
_FEW = 8  # goals, at most, that it is worth to go on for once they are met: every one is a pass backwards
_STEPS = (1.0, 0.5, 0.2, 0.05)
_GAIN = 0.02  # of a step, at least, times its size: of the deviation, or of the cost once all goals are met
_LOGARITHMS = (*R_VALUES, ANISOTROPIES[0])
_ASPECT_STEP = 0.1  # of z, where shapes are differenced


@dataclass(frozen=True)
class Point:
    """A texture with its variables, solved."""

    weights: NDArray  # (G,)
    z: NDArray  # (V,)
    solved: Solved
    deviation: NDArray  # (m,) signed, over size

    @property
    def worst(self) -> float:
        """Largest deviation."""
        return float(np.abs(self.deviation).max())

    @property
    def merit(self) -> float:
        """Sum of the deviations: what a step must make smaller."""
        return float(np.abs(self.deviation).sum())


@dataclass(frozen=True)
class Refinement:
    """One search: goals, the route and the orientations with their sample copies (C, G, 4)."""

    goals: Sequence[Goal]
    route: Route
    copies: NDArray
    micro: Microstructure | None = None

    @property
    def is_held(self) -> bool:
        """Whether the texture stays as it is."""
        return self.micro is not None and self.micro.holds_texture

    def at(self, weights: NDArray, z: NDArray, *, unconverged: str = "stop") -> Point:
        """The point of weights (G,) and variables (V,)."""
        solved = self.route_of(z).solved(self.copies, weights, self.goals, unconverged=unconverged)
        pairs = zip(self.goals, solved.values, strict=True)
        return Point(weights, z, solved, np.array([goal.deviation(v) for goal, v in pairs]))

    def route_of(self, z: NDArray) -> Route:
        """The route with the strengths and shape at z."""
        if self.micro is None:
            return self.route
        strength = self.route.law.strength.detach().numpy() + self.micro.shift(z)
        return replace(self.route, law=replace(self.route.law, strength=strength), shape=self.micro.shape(z))

    def run(self, weights: NDArray, prior: NDArray) -> Point:
        """The point closest to the prior that is within MET of all goals, from a start (G,); else the best
        one.
        """
        count = 0 if self.micro is None else len(self.micro.variables)
        start = self.tried(weights, np.zeros(count))
        point, polished = start or self.at(prior, np.zeros(count), unconverged="warn"), 0
        most = _POLISH if len(self.goals) <= _FEW else 0
        for _ in range(_ROUNDS + _POLISH):
            polished += point.worst <= MET
            after = self._after(point, prior) if polished <= most else None
            if after is None:
                break
            point = after
        return point

    def _after(self, point: Point, prior: NDArray) -> Point | None:
        """The next point; None where no step comes closer."""
        rows = self._rows(point)
        found = closest(rows, prior)
        target = found or nearest(rows)
        is_met = point.worst <= MET
        if is_met and found is None:
            return None
        for size in _STEPS[: 2 if is_met else None]:
            weights = (
                point.weights if self.is_held else point.weights + size * (target.weights - point.weights)
            )
            z = point.z + size * (target.moved - point.z)
            if is_met and cost(weights, z, prior) > (1 - _GAIN * size) * cost(point.weights, point.z, prior):
                return None
            trial = self.tried(weights, z)
            if trial is None:
                continue
            if trial.worst <= MET if is_met else trial.merit < (1 - _GAIN * size) * point.merit:
                return trial
        return None

    def tried(self, weights: NDArray, z: NDArray) -> Point | None:
        """The point of weights and variables; None where the polycrystal has no solution."""
        try:
            return self.at(weights, z)
        except CpmlError:
            return None

    def _rows(self, point: Point) -> Rows:
        """The linearised goals."""
        values = point.solved.values
        by_weight, by_strength = point.solved.slopes()
        for k, goal in enumerate(self.goals):
            if goal.key == "young_modulus_gpa":
                by_weight[k] = crystal_moduli(self.route.constants(), self.copies[0])
        by_z = self._by_variable(point, by_strength)
        low, high = (np.array([getattr(g, end) for g in self.goals]) for end in ("low", "high"))
        size = np.array([g.size for g in self.goals])
        for k, goal in enumerate(self.goals):
            if goal.key in _LOGARITHMS and values[k] > 0:
                by_weight[k], by_z[k] = by_weight[k] / values[k], by_z[k] / values[k]
                low[k], high[k] = np.log(low[k]) if low[k] > 0 else -np.inf, np.log(high[k])
                size[k], values = 1.0, np.r_[values[:k], np.log(values[k]), values[k + 1 :]]
        if self.is_held:
            by_weight = np.zeros_like(by_weight)
        constant = values - by_weight @ point.weights - by_z @ point.z
        box = np.zeros((0, 2)) if self.micro is None else self.micro.box
        return Rows(by_weight + constant[:, None], low, high, size, by_z, box)

    def _by_variable(self, point: Point, by_strength: NDArray) -> NDArray:
        """(m, V) derivatives: through the strengths, and by differences where grains change shape."""
        if self.micro is None:
            return np.zeros((len(self.goals), 0))
        columns = by_strength @ self.micro.slope(point.z)
        for k, variable in enumerate(self.micro.variables):
            if variable.name == "grain_aspect":
                step = _ASPECT_STEP * np.eye(len(point.z))[k]
                near = self.at(point.weights, point.z + step, unconverged="warn")
                columns[:, k] = (near.solved.values - point.solved.values) / _ASPECT_STEP
        return columns


def cost(weights: NDArray, z: NDArray, prior: NDArray) -> float:
    """KL(w || p) + |z|^2/2, nats."""
    return float(rel_entr(weights, prior).sum() + z @ z / 2)
