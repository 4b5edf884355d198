"""The experiment to do next: which two or three reflections tell the Burgers vectors of a grain apart best.

For a set of reflections G, each looked at once, the Burgers vector of largest posterior is right with

    P = sum over patterns r of  max_b  P(b) mean_u prod_{g in G} P(r_g | g, b, u)

patterns being all combinations of visible, weak and invisible, u the directions of lines on the slip planes
of b (`hypotheses`), P(r | g, b, u) that of `contrast`. Angles, which tell planes, come on top of it. All sets
are tried where they are few, else each set of k is grown from the best of k - 1.
"""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.microscopy.ecci.channelling import settings_for
from cpml.microscopy.ecci.contrast import (
    TEXTBOOK,
    Reading,
    burgers_of_systems,
    confused_pairs,
    one_of_each_pair,
    state_probability,
)
from cpml.microscopy.ecci.reflections import Reflections
from cpml.microscopy.ecci.stage import Stage

MOST_SETS = 4000
N_CHARACTERS = 12
"""Directions of line on each plane."""


def best_reflections(
    found: Reflections,
    systems: Systems,
    quaternion: ArrayLike,
    stage: Stage,
    *,
    sizes: Sequence[int] = (1, 2, 3),
    reading: Reading = TEXTBOOK,
    clear_deg: float = 1.0,
    n_best: int = 3,
) -> pd.DataFrame:
    """The best sets of reflections within reach of the stage in a grain.

    Parameters
    ----------
    quaternion : (4,) of the grain
    sizes : how many reflections
    clear_deg : least distance to other strong reflections (`settings_for`)

    Returns
    -------
    DataFrame n, reflections (text), p_right (of the Burgers vector, first), confused (pairs of Burgers
    vectors that no reflection of the set tells apart by g . b = 0), settings (tilt / second motion, deg, as
    text); the best first in each size; no rows where the stage reaches nothing
    """
    reach = settings_for(found, quaternion, stage)
    reach = reach[reach["clear_deg"] >= clear_deg].reset_index(drop=True)
    numbers = one_of_each_pair(found, [found.number(name) for name in reach["g"]])
    reach = reach.set_index("g").loc[[found.names[i] for i in numbers]]
    if not len(numbers):
        return pd.DataFrame(columns=["n", "reflections", "p_right", "confused", "settings"])
    gb, table = _tables(found, systems, numbers, reading)
    rows = []
    for n in sizes:
        for chosen, p in _best_sets(table, n, n_best):
            at = reach.iloc[list(chosen)]
            rows.append(
                {
                    "n": n,
                    "reflections": " ".join(at.index),
                    "p_right": p,
                    "confused": confused_pairs(gb[list(chosen)]),
                    "settings": ", ".join(
                        f"{t:.2f} / {s:.2f}" for t, s in zip(at["tilt_deg"], at["second_deg"], strict=True)
                    ),
                }
            )
    return pd.DataFrame(rows)


def p_right(found: Reflections, systems: Systems, names: Sequence[str], reading: Reading = TEXTBOOK) -> float:
    """P of a set of reflections, each looked at once.

    Raises
    ------
    ParameterError : no reflection, or an unknown one
    """
    if not names:
        raise ParameterError("name at least one reflection")
    _, table = _tables(found, systems, np.array([found.number(name) for name in names]), reading)
    return _p_right(table, tuple(range(len(names))))


def _tables(
    found: Reflections, systems: Systems, numbers: NDArray, reading: Reading
) -> tuple[NDArray, NDArray]:
    """g . b (R, B), and P(r | g, b, u) P(b) P(u) as (B, U, R, 3) with P(b) P(u) in `_p_right`."""
    vectors, of_system = burgers_of_systems(systems)
    psi = (np.arange(N_CHARACTERS) + 0.5) * np.pi / N_CHARACTERS
    directions: list[NDArray] = []
    for k in range(len(vectors)):
        own = np.flatnonzero(of_system == k)
        b, n = systems.direction[own][:, None], systems.plane[own][:, None]
        lines = np.cos(psi)[:, None] * b + np.sin(psi)[:, None] * np.cross(n, b)
        directions.append(lines.reshape(-1, 3))
    most = max(len(d) for d in directions)
    u = np.array([d[np.arange(most) % len(d)] for d in directions])  # repeated where a b has fewer planes
    g = found.vector[numbers]
    table = state_probability(g, vectors.vector[:, None, None], u[:, :, None], reading)
    return g @ vectors.vector.T, table


def _p_right(table: NDArray, chosen: tuple[int, ...]) -> float:
    """P of the set at positions ``chosen``."""
    total = 0.0
    for pattern in product(range(3), repeat=len(chosen)):
        both = np.prod([table[:, :, r, state] for r, state in zip(chosen, pattern, strict=True)], axis=0)
        total += float(both.mean(1).max())
    return total / len(table)


def _best_sets(table: NDArray, n: int, n_best: int) -> list[tuple[tuple[int, ...], float]]:
    every = range(table.shape[2])
    sets = list(combinations(every, n))
    if len(sets) > MOST_SETS:
        grown = {chosen for chosen, _ in _best_sets(table, n - 1, 4 * n_best)}
        sets = sorted({tuple(sorted({*chosen, i})) for chosen in grown for i in every if i not in chosen})
    scored = [(chosen, _p_right(table, chosen)) for chosen in sets]
    return sorted(scored, key=lambda each: -each[1])[:n_best]
