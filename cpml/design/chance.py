"""Designs that hold with a probability: strengths are known with an interval, so that properties are too.

For draws d of the strengths (learned ones, or the literature's with its spread) a goal reaches its bound
where

    v_d(w) >= low,   v_d(w) = v(w) c_d(w)/c(w)

with c_d the goal of the crystals at the strengths of draw d, linear in the weights.

The bounds of the design are tightened by one margin for all goals until the share of draws that meet all of
them is the probability asked for; a design is then judged by paths at draws that it was not made with.

Reference: Charnes & Cooper 1959, Manage. Sci. 6:73 (chance constraints).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.design.crystal_paths import crystal_paths
from cpml.design.goals import SHARES, Goal
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError
from cpml.plasticity.laws.law import PowerLaw

_ROUNDS = 6
_GRAINS = 500  # of the discrete texture that draws are judged on
_SHARPER = 0.01  # of the probability, beyond what is asked


def check_chance(goals: Sequence[Goal], strengths: NDArray, probability: float, n_families: int) -> NDArray:
    """(D, K) draws as numbers.

    Raises
    ------
    ParameterError : goals that ask for numbers, draws that are not positive numbers of the families, too few
        of them
    """
    draws = np.asarray(strengths, float)
    if (
        draws.ndim != 2
        or draws.shape[1] != n_families
        or not np.isfinite(draws).all()
        or not (draws > 0).all()
    ):
        raise ParameterError(f"strengths: give positive finite draws (D, {n_families}), one row a draw")
    if not 0.5 <= probability < 1 or len(draws) < 20:
        raise ParameterError(
            f"probability = {probability} must be 0.5 to below 1, with at least 20 draws of strengths"
        )
    if any(g.is_equality for g in goals):
        raise ParameterError(
            "a number is met with probability 0: ask for min or max where strengths are draws"
        )
    return draws


def with_chance(
    make: Callable[[tuple[Goal, ...]], TextureDesign],
    goals: tuple[Goal, ...],
    route: Route,
    draws: NDArray,
    probability: float,
) -> TextureDesign:
    """The design whose goals hold in the share `probability` of the draws, by tightening what `make` is
    asked for.
    """
    size = {g.name: np.zeros(2) for g in goals}
    design, factor = make(goals), 0.0
    for _ in range(_ROUNDS):
        ratio = _ratios(design, goals, route, draws)
        met = _met(goals, np.array([design.properties[g.name] for g in goals]) * ratio)
        share = float(met.mean())
        if share >= probability + _SHARPER or design.status != "reached":
            break
        spread = {
            g.name: np.quantile(ratio[:, k], [1 - probability, probability]) for k, g in enumerate(goals)
        }
        factor += 0.5 if factor else 1.0
        size = {name: factor * (1 - s) for name, s in spread.items()}
        design = make(tuple(_tightened(g, *size[g.name]) for g in goals))
    certificate = dict(design.certificate) | {"probability": share, "asked_probability": probability}
    return replace(design, target={g.name: _words(g) for g in goals}, certificate=certificate)


def _words(goal: Goal) -> str:
    ends = [f"at least {goal.low:g}"] if np.isfinite(goal.low) else []
    return " and ".join([*ends, *([f"at most {goal.high:g}"] if np.isfinite(goal.high) else [])])


def _tightened(goal: Goal, below: float, above: float) -> Goal:
    """Bounds moved inwards by relative margins; shares stay between 0 and 1."""
    low = goal.low * (1 + max(below, 0.0)) if np.isfinite(goal.low) else goal.low
    high = goal.high / (1 + max(-above, 0.0)) if np.isfinite(goal.high) else goal.high
    if goal.key in SHARES:
        low, high = (np.clip(v, 0.0, 1.0) if np.isfinite(v) else v for v in (low, high))
    return replace(goal, low=float(min(low, high)), high=float(high))


def _ratios(design: TextureDesign, goals: tuple[Goal, ...], route: Route, draws: NDArray) -> NDArray:
    """(D, m) goals of the crystals at each draw over those at the route's strengths; the r-value counts
    as fixed.
    """
    q, strain = design.certificate["lateral_share"], max(g.strain for g in goals)

    def values(law: PowerLaw) -> NDArray:
        paths = crystal_paths(
            law, route.hardening, design.quaternions, q, strain=strain, temperature=route.temperature
        )
        return np.array([1.0 if g.key == "r_value" else paths.row(g) @ design.weights for g in goals])

    own = values(route.law)
    return np.array([values(_at(route, draw).law) for draw in draws]) / np.where(own > 0, own, 1.0)


def _at(route: Route, draw: NDArray) -> Route:
    return replace(route, law=replace(route.law, strength=draw))


def _met(goals: Sequence[Goal], values: NDArray) -> NDArray:
    """(D,) whether all goals hold, of values (D, m)."""
    low, high = (np.array([getattr(g, end) for g in goals]) for end in ("low", "high"))
    inside: NDArray = (values >= low) & (values <= high)
    return np.all(inside, axis=1)


def chance_table(
    design: TextureDesign, goals: Sequence[Goal], route: Route, draws: NDArray, *, seed: int = 1
) -> pd.DataFrame:
    """How often a design meets its goals at draws (D, K) that it was not made with, by paths of a discrete
    texture.

    Returns
    -------
    table goal, probability, low, median, high (5 to 95 % of the values); the last row is all goals together
    """
    grains = design.draw(_GRAINS, seed=seed)
    values = np.array([_at(route, draw).values(grains, None, goals) for draw in draws])
    rows = []
    for k, goal in enumerate(goals):
        met = _met([goal], values[:, k : k + 1]).mean()
        rows.append((goal.name, float(met), *np.quantile(values[:, k], [0.05, 0.5, 0.95])))
    rows.append(("all goals", float(_met(goals, values).mean()), np.nan, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["goal", "probability", "low", "median", "high"])
