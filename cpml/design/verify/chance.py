"""Designs that hold with a probability: strengths are known with an interval, so that properties are too.

For draws d of the strengths (learned ones, or the literature's with its spread) a goal reaches its bound
where

    v_d(w) >= low,   v_d(w) = v(w) c_d(w)/c(w)

with v the goal by the route of the design and c_d that of a discrete sample of its texture, by the same route
at the strengths of draw d (v + c_d - c for goals that may be negative). What grain size and particles add to
the strengths is added to every draw. The bounds of the design are tightened by one margin for all goals,
found by halving, at which the share of draws that meet all of them is the probability asked for, and half a
standard error more; a design is then judged at draws that it was not made with.

Reference: Charnes & Cooper 1959, Manage. Sci. 6:73 (chance constraints).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.design.goals import SHARES, SIGNED, Goal
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError

_ROUNDS = 7
_GRAINS, _JUDGED = 300, 600  # of the discrete texture of the search, and of the judgement


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
    """The design whose goals hold in the share `probability` of the draws, by tightening what `make` is asked
    for; where no margin is enough, the one that holds most often, called nearest.
    """
    margin = np.zeros((len(goals), 2))
    error = np.sqrt(probability * (1 - probability) / len(draws))
    wanted = probability + 0.5 * error
    low, high = 0.0, np.inf
    factor, tried = 0.0, []
    for _ in range(_ROUNDS):
        design = make(tuple(_tightened(g, *(factor * m)) for g, m in zip(goals, margin, strict=True)))
        values = _values(design, goals, route, draws, grains=_GRAINS)
        share = float(_met(goals, values).mean())
        tried.append((factor, share, design))
        if not tried[:-1]:
            own = np.array([design.properties[g.name] for g in goals])
            low_high = np.quantile(values, [1 - probability, probability], axis=0)
            margin = (np.maximum([[1], [-1]] * (own - low_high), 0) / [g.size for g in goals]).T
        is_enough = share >= wanted
        low, high = (low, min(high, factor)) if is_enough else (max(low, factor), high)
        if factor == 0 and is_enough:
            break
        factor = (low + high) / 2 if np.isfinite(high) else (2 * factor or 1.0)
    enough = [row for row in tried if row[1] >= wanted and row[2].status == "reached"]
    _, share, design = min(enough, key=lambda row: row[0]) if enough else max(tried, key=lambda row: row[1])
    certificate = dict(design.certificate) | {"probability": share, "asked_probability": probability}
    return replace(
        design,
        status="reached" if enough else "nearest",
        target={g.name: g.words for g in goals},
        certificate=certificate,
    )


def _tightened(goal: Goal, below: float, above: float) -> Goal:
    """Bounds moved inwards by margins over the goal's size, to one number where they would cross; shares stay
    between 0 and 1, what is positive stays so.
    """
    low, high = goal.low + below * goal.size, goal.high - above * goal.size
    if goal.key in SHARES:
        low, high = (np.clip(v, 0.0, 1.0) if np.isfinite(v) else v for v in (low, high))
    elif goal.key not in SIGNED:
        high = max(high, 0.05 * goal.high)
    return replace(goal, low=float(min(low, high)), high=float(high))


def _values(
    design: TextureDesign,
    goals: Sequence[Goal],
    route: Route,
    draws: NDArray,
    *,
    grains: int,
    seed: int = 0,
) -> NDArray:
    """(D, m) goals at each draw: the design's, moved as those of a sample of its texture move."""
    sample, made = design.draw(grains, seed=seed), route.of(design)
    added = (made.law.strength - route.law.strength).detach().numpy()
    own = made.values(sample, None, goals)
    drawn = np.array([_at(made, draw + added).values(sample, None, goals) for draw in draws])
    value = np.array([design.properties[g.name] for g in goals])
    is_signed = np.array([g.key in SIGNED for g in goals])
    return np.where(is_signed, value + drawn - own, value * drawn / np.where(own > 0, own, 1.0))


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
    """How often a design meets its goals at draws (D, K) that it was not made with: the design's values times
    those of a discrete sample of its texture at each draw over those at the route's strengths, so that the
    sample's own error cancels.

    Returns
    -------
    table goal, probability, low, median, high (5 to 95 % of the values); the last row is all goals together
    """
    values = _values(design, goals, route, np.asarray(draws, float), grains=_JUDGED, seed=seed)
    rows = []
    for k, goal in enumerate(goals):
        met = _met([goal], values[:, k : k + 1]).mean()
        rows.append((goal.name, float(met), *np.quantile(values[:, k], [0.05, 0.5, 0.95])))
    rows.append(("all goals", float(_met(goals, values).mean()), np.nan, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["goal", "probability", "low", "median", "high"])
