"""A design solved again by routes that it was not made by.

| route | what is other than in the design |
|---|---|
| drawn | a discrete texture of equal grains, without sample symmetry, half the increment, ten times the
tolerance |
| n_eff, tangent, taylor | another mean field, on the same discrete texture |
| full field | a periodic volume of grains: neighbours in place of a mean medium |

The first says whether the texture has these properties in the model that it was made for; the others how far
they hang on the model.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cpml.design.crystal_paths import TWINNED
from cpml.design.goals import AT_STRAIN, Goal
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.load import Load
from cpml.plasticity.field_path.path import full_field_path
from cpml.plasticity.field_path.record import FieldPath
from cpml.virtual.volumes.tessellation import random_grains

SCHEMES = ("n_eff", "tangent", "taylor")
N_GRAINS, N_OTHER, CELLS, DIAMETER = 4000, 1000, 16, 4.0
"""Grains of the discrete texture, and of that for other mean fields; voxels along the edge of the volume,
and of a grain across.
"""
_FIELD_TOL = 1e-3
_INCREMENTS = 10
_OF_FIELD = ("yield_stress_mpa", "r_value", *AT_STRAIN)


def prove(
    design: TextureDesign,
    goals: Sequence[Goal],
    route: Route,
    *,
    schemes: Sequence[str] = SCHEMES,
    field: bool = True,
    seed: int = 1,
) -> pd.DataFrame:
    """Values of the goals by other routes, and how far each is from the design's.

    Parameters
    ----------
    route : that of the design
    schemes : other mean fields
    field : with a full field, some ten seconds
    seed : of the discrete texture and of the volume

    Returns
    -------
    table route, goal, value, design, deviation (relative to what was asked)
    """
    grains = design.draw(N_GRAINS, seed=seed)
    some = design.draw(N_OTHER, seed=seed)
    fine = replace(route, step=route.step / 2, tol=route.tol / 10)
    found = {"drawn": fine.values(grains, None, goals)}
    for scheme in schemes:
        if scheme != route.scheme:
            found[scheme] = replace(route, scheme=scheme).values(some, None, goals)
    if field:
        found["full field"] = _field_values(design, goals, route, seed)
    rows = [
        (name, goal.name, float(value), design.properties[goal.name], (value - own) / goal.size)
        for name, values in found.items()
        for goal, value in zip(goals, values, strict=True)
        for own in [design.properties[goal.name]]
    ]
    table = pd.DataFrame(rows, columns=["route", "goal", "value", "design", "deviation"])
    return table.dropna(ignore_index=True)


def _field_values(design: TextureDesign, goals: Sequence[Goal], route: Route, seed: int) -> NDArray:
    """Goals of a full field of the design's texture over the longest strain."""
    rng = np.random.default_rng(seed)
    index = random_grains((CELLS,) * 3, DIAMETER, rng)
    count, rate = int(index.max()) + 1, float(route.law.reference_rate)
    strain = max(g.strain for g in goals) or 1e-4
    path = full_field_path(
        route.law,
        index,
        design.draw(count, seed=seed),
        loading=Load.from_dict({"kind": "tension", "axis": "x", "rate": rate}),
        strain=strain,
        steps=_INCREMENTS if strain > 1e-3 else 1,
        hardening=route.hardening,
        temperature=route.temperature,
        tol=_FIELD_TOL,
    )
    return np.array([_field_value(goal, path) if goal.key in _OF_FIELD else np.nan for goal in goals])


def _field_value(goal: Goal, path: FieldPath) -> float:
    axial = np.log(path.gradient[:, 0, 0])
    share = np.bincount(path.grain_index.ravel()) / path.grain_index.size
    if goal.key == "yield_stress_mpa":
        return float(path.von_mises[0])
    if goal.key == "r_value":
        stretch = path.gradient[-1]
        return float(np.log(stretch[1, 1]) / np.log(stretch[2, 2]))
    rows = {
        "stress_mpa": path.von_mises,
        "twin_fraction": path.grain_twinned @ share,
        "twinned_grains": (path.grain_twinned > TWINNED) @ share,
    }
    return float(np.interp(goal.strain, axial, rows[goal.key]))
