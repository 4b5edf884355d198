"""What only the simulation knows of a plane, as the tables of `cpml.virtual.truth`.

Slip and twins are accumulated over the path. Cross-slip and climb are not in the law of the field: they are
said afterwards, as F says them, from the shears and the stress at the end,

    shear that changes planes = mean over the voxels of gamma_s P(s -> s')  (`cpml.plasticity.CrossSlip`)
    share of climb            = climb / (climb + rate of the load)          (`cpml.plasticity.DiffusionClimb`)

where the material file has their parameters.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cpml.crystallography.cross_slip_pairs import cross_slip_pairs
from cpml.crystallography.materials import ROOM
from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import to_vector
from cpml.plasticity.laws.thermal.climb import DiffusionClimb
from cpml.plasticity.laws.thermal.cross_slip import CrossSlip
from cpml.virtual.microscope.deforming import Deformed
from cpml.virtual.truth import Truth


def truth_of(deformed: Deformed, pixels: int) -> Truth:
    """Truth of every region of the plane; ``pixels`` of the map along the edge of a voxel."""
    recipe, plane = deformed.recipe, deformed.plane
    systems = recipe.material.systems()
    turn = quaternion_to_matrix(plane.orientations)
    shear = plane.mean(plane.shear)
    number = np.arange(1, len(turn) + 1)
    return Truth(
        surface_grain=np.kron(plane.region, np.ones((pixels, pixels), int)),
        planes=_planes(systems, number, turn, shear),
        variants=_variants(systems, number, turn, shear),
        strengths=pd.DataFrame({"family": list(recipe.material.families), "strength_mpa": recipe.strengths}),
        pairs=_pairs(deformed, number, turn),
        climb=_climb(deformed, number),
        grains=_grains(deformed, number),
    )


def _vectors(names: str, vectors: NDArray) -> dict[str, NDArray]:
    return {f"{names}{axis}": vectors[..., i].ravel() for i, axis in enumerate("xyz")}


def _planes(systems, number: NDArray, turn: NDArray, shear: NDArray) -> pd.DataFrame:
    plane_ids = np.unique(systems.plane_id[systems.slip])
    member = (systems.plane_id == plane_ids[:, None]) & systems.slip
    normals = np.einsum("gij,pj->gpi", turn, systems.plane_normals[plane_ids])
    first = [systems.family_names[systems.family[np.flatnonzero(row)[0]]] for row in member]
    return pd.DataFrame(
        {
            "grain": np.repeat(number, len(plane_ids)),
            "family": np.tile(np.array(first), len(number)),
            "shear": (shear @ member.T).ravel(),
            **_vectors("n", normals),
        }
    )


def _variants(systems, number: NDArray, turn: NDArray, shear: NDArray) -> pd.DataFrame:
    twins = np.flatnonzero(systems.twin)
    normals, senses = (np.einsum("gij,tj->gti", turn, v[twins]) for v in (systems.plane, systems.direction))
    return pd.DataFrame(
        {
            "grain": np.repeat(number, len(twins)),
            "fraction": (shear[:, twins] / systems.twin_shear[twins]).ravel(),
            **_vectors("n", normals),
            **_vectors("b", senses),
        }
    )


def _grains(deformed: Deformed, number: NDArray) -> pd.DataFrame:
    plane = deformed.plane
    start = quaternion_to_matrix(plane.orientations_before)
    moved = quaternion_to_matrix(plane.orientations) @ start.swapaxes(-1, -2)
    turned = Rotation.from_matrix(moved).as_rotvec(degrees=True)
    gradient = plane.mean(plane.gradient)
    parts = {f"F{i + 1}{j + 1}": gradient[:, i, j] for i in range(3) for j in range(3)}
    return pd.DataFrame({"grain": number, **_vectors("w", turned), **parts})


def _crystal_stress(deformed: Deformed) -> torch.Tensor:
    """(rows, columns, 5) deviators in crystal axes, MPa."""
    plane = deformed.plane
    inside = np.einsum("...ji,...jk,...kl->...il", plane.after, plane.stress, plane.after)
    return torch.as_tensor(to_vector(inside))


def _pairs(deformed: Deformed, number: NDArray, turn: NDArray) -> pd.DataFrame | None:
    recipe, plane = deformed.recipe, deformed.plane
    if not recipe.material.cross_slip:
        return None
    law, systems = CrossSlip.from_material(recipe.material), recipe.material.systems()
    temperature = recipe.load.temperature or ROOM
    leaves = law.probability(_crystal_stress(deformed), temperature, recipe.load.rate).numpy()
    moved = plane.mean(plane.shear[..., law.pairs[:, 0]] * leaves)
    pairs = cross_slip_pairs(systems)
    ends = pairs[["system_a", "system_b"]].to_numpy(int)
    place = {tuple(pair): k for k, pair in enumerate(law.pairs.tolist())}
    there, back = ([place[tuple(pair)] for pair in way.tolist()] for way in (ends, ends[:, ::-1]))
    vectors = {"n": systems.plane[ends[:, 0]], "m": systems.plane[ends[:, 1]]}
    vectors["b"] = systems.direction[ends[:, 0]]
    columns = {"grain": np.repeat(number, len(ends)), "shear": (moved[:, there] + moved[:, back]).ravel()}
    for name, own in vectors.items():
        columns |= _vectors(name, np.einsum("gij,pj->gpi", turn, own))
    return pd.DataFrame(columns)


def _climb(deformed: Deformed, number: NDArray) -> pd.DataFrame | None:
    recipe, plane = deformed.recipe, deformed.plane
    if not recipe.material.diffusion:
        return None
    law = DiffusionClimb.from_material(recipe.material, recipe.load.temperature or ROOM)
    rate = law.rates(_crystal_stress(deformed) @ law.schmid.T)[0].abs().sum(-1).numpy()
    climbed = plane.mean(rate)
    return pd.DataFrame({"grain": number, "share": climbed / (climbed + recipe.load.rate)})
