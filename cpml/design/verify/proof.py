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

import pandas as pd

from cpml.design.goals import Goal
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.design.verify.volumes import in_volume

SCHEMES = ("n_eff", "tangent", "taylor")
N_GRAINS, N_OTHER = 4000, 1000
"""Grains of the discrete texture, and of that for other mean fields."""


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
    route : that of the design; of one that was judged by the full field the affine one that it was made with
    schemes : other mean fields
    field : with a full field, some ten seconds, where the grains of the design are as long as wide
    seed : of the discrete texture and of the volume

    Returns
    -------
    table route, goal, value, design, deviation (relative to what was asked)
    """
    route = route.of(design)
    grains = design.draw(N_GRAINS, seed=seed)
    some = design.draw(N_OTHER, seed=seed)
    fine = replace(route, step=route.step / 2, tol=route.tol / 10)
    found = {"drawn": fine.values(grains, None, goals)}
    for scheme in schemes:
        if scheme != route.scheme:
            found[scheme] = replace(route, scheme=scheme).values(some, None, goals)
    if field and design.shape is None:
        found["full field"] = in_volume(design, goals, route, seed=seed).field
    rows = [
        (name, goal.name, float(value), design.properties[goal.name], (value - own) / goal.size)
        for name, values in found.items()
        for goal, value in zip(goals, values, strict=True)
        for own in [design.properties[goal.name]]
    ]
    table = pd.DataFrame(rows, columns=["route", "goal", "value", "design", "deviation"])
    return table.dropna(ignore_index=True)
