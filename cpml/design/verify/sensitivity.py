"""How far the properties of a design move with what it is made of, and what its grains do.

| change | how |
|---|---|
| strength of a family +10 % | exact derivative of the design's route |
| a tenth of the texture at random | weights mixed with those of the random texture |
| texture spread by 5 deg | a discrete sample, its grains turned about random axes, beside the same sample |
| grain size, particles ... +10 % | strengths of the variable's closed form, exact derivative |

| symbol | meaning | unit |
|---|---|---|
| share | of a family in all shear up to a strain | - |
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.crystallography.rotations import axis_angle_to_quaternion, quaternion_multiply
from cpml.design.goals import Goal, goals_of
from cpml.design.grid import sample_copies
from cpml.design.microstructure import Microstructure
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign

_GRAINS, _SPREAD_DEG, _MIXED, _STEP = 2000, 5.0, 0.1, 0.1


def sensitivity(
    design: TextureDesign,
    goals: Sequence[Goal],
    route: Route,
    *,
    micro: Microstructure | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """What small changes of texture, strengths and variables do to the goals of a design.

    Parameters
    ----------
    goals, route : those that the design was made with
    micro : its variables (cpml.design.microstructure.microstructure_of), where it has any
    seed : of the discrete sample and its spread

    Returns
    -------
    table change, goal, value (after the change), deviation (relative to what was asked, from the design)
    """
    made, copies = route.of(design), sample_copies(design.quaternions, design.sample_symmetry)
    solved = made.solved(copies, design.weights, goals, unconverged="warn")
    by_strength = solved.slopes()[1]
    strength = made.law.strength.detach().numpy()
    moved = {
        f"{name} {_STEP:+.0%}": solved.values + by_strength[:, k] * _STEP * strength[k]
        for k, name in enumerate(made.law.systems.family_names)
    }
    uniform = np.full(len(design.weights), 1 / len(design.weights))
    mixed = (1 - _MIXED) * design.weights + _MIXED * uniform
    full = np.tile(mixed / len(copies), len(copies))
    moved[f"{_MIXED:.0%} of the texture at random"] = made.values(copies.reshape(-1, 4), full, goals)
    sample = design.draw(_GRAINS, seed=seed)
    values = [made.values(q, None, goals) for q in (sample, _spread(sample, seed))]
    moved[f"texture spread by {_SPREAD_DEG:g} deg"] = solved.values + values[1] - values[0]
    if micro is not None:
        moved |= _of_variables(design, micro, solved.values, by_strength)
    rows = [
        (change, goal.name, float(value), float(value - own) / goal.size)
        for change, values_of in moved.items()
        for goal, value, own in zip(goals, values_of, solved.values, strict=True)
    ]
    return pd.DataFrame(rows, columns=["change", "goal", "value", "deviation"])


def _spread(quaternions: NDArray, seed: int) -> NDArray:
    """Grains turned about random axes by angles of a normal distribution."""
    rng = np.random.default_rng(seed)
    axis = rng.standard_normal((len(quaternions), 3))
    angle = np.deg2rad(_SPREAD_DEG) * rng.standard_normal(len(quaternions))
    return quaternion_multiply(axis_angle_to_quaternion(axis, angle), quaternions)


def _of_variables(
    design: TextureDesign, micro: Microstructure, values: NDArray, by_strength: NDArray
) -> dict[str, NDArray]:
    """Values after each variable has grown; shapes, whose effect is not through strengths, are left out."""
    z = np.array([v.coordinate(design.microstructure[v.name]) for v in micro.variables])
    moved = {}
    for k, variable in enumerate(micro.variables):
        grown = (1 + _STEP) * design.microstructure[variable.name]
        if variable.name == "grain_aspect" or grown == 0:
            continue
        after = z.copy()
        after[k] = variable.coordinate(grown)
        shift = micro.shift_to(after, z)
        moved[f"{variable.name} {_STEP:+.0%}"] = values + by_strength @ shift
    return moved


def mechanisms(
    textures: Mapping[str, tuple[NDArray, NDArray | None]], route: Route | Mapping[str, Route], strain: float
) -> pd.DataFrame:
    """Which families carry the shear of textures in tension along x, and how unevenly grains are stressed.

    Parameters
    ----------
    textures : name -> orientations (G, 4) and weights (G,) or None
    route : for all of them, or for each

    Returns
    -------
    table texture, family, share; the rows of family "" have twin_fraction and stress_spread
    """
    rows: list[tuple[str, str, float, float, float]] = []
    for name, (quaternions, weights) in textures.items():
        way = route if isinstance(route, Route) else route[name]
        families = way.law.systems.family_names
        asked: dict[str, object] = {
            "twin_fraction": {"strain": strain, "max": 1.0},
            "stress_spread": {"strain": strain, "max": 1.0},
        }
        goals = [*goals_of(asked), *(Goal("activity", 0.0, 1.0, strain, f) for f in families)]
        twins, spread, *shares = way.values(quaternions, weights, goals)
        rows += [(name, f, float(s), np.nan, np.nan) for f, s in zip(families, shares, strict=True)]
        rows.append((name, "", np.nan, float(twins), float(spread)))
    return pd.DataFrame(rows, columns=["texture", "family", "share", "twin_fraction", "stress_spread"])
