"""What a shop can do to a texture: rolling, compression, extrusion, tension, cross-rolling, as paths of the
law.

| process | velocity gradient, unit axial rate | axes |
|---|---|---|
| rolling | diag(1, 0, -1) | rolled along x, sheet normal z |
| cross_rolling | diag(1, 0, -1) and diag(0, 1, -1) in turn | passes along x and y |
| compression | diag(1/2, 1/2, -1) | along z |
| extrusion, tension | diag(1, -1/2, -1/2) | along x |

A process is recorded as the texture that it makes of a start texture at a true strain; annealing and what
else changes grains by nucleation has no law here. The distance between two textures is the mean angle by
which grains of one must be turned to become the other (earth mover's distance with the disorientation angle,
an assignment of equal grains).

References: Kocks, Tome & Wenk 1998, Texture and Anisotropy, chapter 5; Rubner, Tomasi & Guibas 2000, Int. J.
Comput. Vis. 40:99 (earth mover's distance).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from cpml.crystallography.disorientation import disorientation_angle
from cpml.crystallography.rotations import matrix_to_quaternion
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.design.goals import Goal
from cpml.design.routes import Route
from cpml.design.texture import TextureDesign
from cpml.errors import ParameterError
from cpml.plasticity.laws.twins.reorientation import Reorientation
from cpml.plasticity.paths.deform import deform

GRADIENTS: Mapping[str, tuple[NDArray, ...]] = {
    "rolling": (np.diag([1.0, 0.0, -1.0]),),
    "cross_rolling": (np.diag([1.0, 0.0, -1.0]), np.diag([0.0, 1.0, -1.0])),
    "compression": (np.diag([0.5, 0.5, -1.0]),),
    "extrusion": (np.diag([1.0, -0.5, -0.5]),),
    "tension": (np.diag([1.0, -0.5, -0.5]),),
}
DIFFERENT = tuple(name for name in GRADIENTS if name != "tension")
"""Processes whose textures differ: tension makes that of extrusion."""
STEP = 0.025
"""True strain of an increment."""
_PASS = 0.1  # of cross-rolling, between two turns of the sheet
_COMPARED = 300  # grains of each texture in a distance


def processed(
    route: Route,
    process: str,
    strain: float,
    quaternions: NDArray,
    weights: NDArray | None = None,
) -> NDArray:
    """(G, 4) orientations after a process to a true strain, from (G, 4); twins turn their grains.

    Raises
    ------
    ParameterError : unknown process, a strain outside 0 to 5, crystals that cannot deform so
    """
    if process not in GRADIENTS:
        raise ParameterError(f"process = {process!r}: choose {', '.join(GRADIENTS)}")
    if not 0 < strain <= 5:
        raise ParameterError(f"strain = {strain} of {process} must be above 0 and at most 5")
    gradients, systems = GRADIENTS[process], route.law.systems
    steps = int(np.ceil(strain / STEP))
    each = max(round(_PASS / STEP), 1)
    path = deform(
        route.law,
        route.hardening,
        quaternions,
        weights=weights,
        loading=lambda k: gradients[(k // each) % len(gradients)] * float(route.law.reference_rate),
        increment=strain / steps,
        steps=steps,
        control="33" if process in ("compression", "rolling", "cross_rolling") else "11",
        scheme=route.scheme,
        reorientation=Reorientation(systems) if systems.twin.any() else None,
        temperature=route.temperature,
        tol=1e-3,
    )
    return matrix_to_quaternion(path.orientations.detach().numpy())


def distance(first: NDArray, second: NDArray, lattice: str) -> float:
    """Mean angle, deg, between equal grains (N, 4) of two textures, best assigned; the same number of
    each.
    """
    if len(first) != len(second):
        raise ParameterError(f"{len(first)} and {len(second)} grains: give as many of both")
    group = proper_group(group_of_lattice(lattice))
    angles = np.degrees(disorientation_angle(first[:, None], second[None], group))
    rows, columns = linear_sum_assignment(angles)
    return float(angles[rows, columns].mean())


def by_process(
    goals: Sequence[Goal],
    route: Route,
    start: NDArray,
    *,
    weights: NDArray | None = None,
    processes: Sequence[str] = DIFFERENT,
    strains: Sequence[float] = (0.1, 0.2, 0.4, 0.8),
    design: TextureDesign | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """What processes make of a start texture: its goals afterwards, the best first.

    Parameters
    ----------
    goals, route : as in designs; properties are those of fresh grains in the new texture
    start, weights : (G, 4) orientations of a map or of a random texture, and their volumes
    strains : true strains at which each process is recorded
    design : a wanted texture; how far each product is from it, deg

    Returns
    -------
    table process, strain, one column for each goal, largest_deviation, distance_deg (with a design)
    """
    rng, rows = np.random.default_rng(seed), []
    wanted = None if design is None else design.draw(_COMPARED, seed=seed)
    share = None if weights is None else np.asarray(weights, float) / np.sum(weights)
    for process, strain in [("none", 0.0), *((p, float(s)) for p in processes for s in strains)]:
        texture = start if process == "none" else processed(route, process, strain, start, weights)
        values = route.values(texture, weights, goals)
        row = {"process": process, "strain": strain} | {g.name: v for g, v in zip(goals, values, strict=True)}
        row["largest_deviation"] = max(abs(g.deviation(v)) for g, v in zip(goals, values, strict=True))
        if wanted is not None:
            picks = rng.choice(len(texture), size=_COMPARED, p=share)
            row["distance_deg"] = distance(texture[picks], wanted, route.law.systems.lattice)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("largest_deviation", ignore_index=True)
