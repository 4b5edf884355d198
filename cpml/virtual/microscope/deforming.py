"""A specimen from one seed, deformed by the project's own law, and the plane of it that is looked at.

Grains, texture and strengths are drawn as for training volumes (cpml.virtual.volumes), strengths about the
literature. The whole volume is followed over strain by `cpml.plasticity.full_field_path`, with the hardening
of the material; a plane is cut out of its end: slice 0, a section of the bulk or, with a gap above it, a free
surface.

| symbol | meaning | unit | shape |
|---|---|---|---|
| R | lattice, crystal_to_sample | - | (rows, columns, 3, 3) |
| F | deformation gradient | - | (rows, columns, 3, 3) |
| gamma | accumulated shear, unsigned | - | (rows, columns, S) |
| sigma | Cauchy stress at the end | MPa | (rows, columns, 3, 3) |
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from skimage.measure import label

from cpml.crystallography.materials import ROOM, Material
from cpml.crystallography.rotations import matrix_to_quaternion, quaternion_to_matrix, random_quaternions
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.field.surface import with_gap
from cpml.plasticity.field_path.path import full_field_path
from cpml.plasticity.field_path.record import FieldPath
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.strength.from_material import material_hardening
from cpml.virtual.volumes.recipes import Recipe
from cpml.virtual.volumes.tessellation import random_grains
from cpml.virtual.volumes.textures import fibre, random_texture

DIAMETER, SPREAD = 5.5, 0.25
"""Mean grain diameter in voxels and spread of its log."""
MOST_SPREADS = 1.5
"""Strengths farther from the literature than so many of its spreads are not drawn."""
TOLERANCE = 1e-3
"""Of every increment's power: grain stresses to 1 %, where they differ by 30 %."""
BASAL_DEG = 24.0
TEXTURES = ("drawn", "none", "basal")


@dataclass(frozen=True)
class Plane:
    """What the voxels of the plane did (module docstring); ``region`` (rows, columns) from 1: connected
    voxels of one grain of the volume.
    """

    region: NDArray
    before: NDArray
    after: NDArray
    gradient: NDArray
    shear: NDArray
    stress: NDArray

    def mean(self, values: NDArray) -> NDArray:
        """Mean (G, ...) of values (rows, columns, ...) over every region."""
        number = self.region.ravel() - 1
        count = np.bincount(number)
        flat = values.reshape(len(number), -1)
        sums = np.stack([np.bincount(number, column) for column in flat.T], axis=1)
        return (sums / count[:, None]).reshape(len(count), *values.shape[2:])

    @property
    def orientations(self) -> NDArray:
        """(G, 4) crystal_to_sample at the end, the rotation nearest to the mean."""
        return self._nearest_rotations(self.after)

    @property
    def orientations_before(self) -> NDArray:
        """(G, 4) crystal_to_sample before the test."""
        return self._nearest_rotations(self.before)

    def _nearest_rotations(self, matrices: NDArray) -> NDArray:
        u, _, v = np.linalg.svd(self.mean(matrices))
        return matrix_to_quaternion(u @ v)  # a mean of near rotations has a positive determinant


@dataclass(frozen=True)
class Deformed:
    """A specimen after its test; ``curve`` true_strain, true_stress_mpa."""

    recipe: Recipe
    plane: Plane
    curve: pd.DataFrame


def draw(
    material: Material,
    seed: int,
    *,
    shape: tuple[int, int, int],
    texture: str,
    load: Load,
    free_surface: bool,
    orientations: NDArray | None = None,
    strengths: NDArray | None = None,
) -> Recipe:
    """The specimen of a seed before its test; strengths in MPa.

    Parameters
    ----------
    orientations : (N, 4) that the grains get, each once where there are enough, in place of a texture
    strengths : (K,) in place of those drawn about the literature

    Raises
    ------
    ParameterError : an unknown texture, a negative seed, a shape without room for grains, orientations or
        strengths that are none
    """
    if texture not in TEXTURES:
        raise ParameterError(f"texture {texture!r}: choose one of {', '.join(TEXTURES)}")
    if texture == "basal" and material.lattice != "hcp":
        raise ParameterError(
            f"texture 'basal' is for hexagonal crystals, {material.name} is {material.lattice}"
        )
    if seed < 0 or len(shape) != 3 or min(shape) < 4:
        raise ParameterError(
            f"seed {seed}, shape {shape}: give a seed of at least 0 and three edges of at least 4 voxels"
        )
    rng = np.random.default_rng(seed)
    index = random_grains(shape, DIAMETER, rng, spread=SPREAD)
    count = index.max() + 1
    drawn = np.clip(rng.standard_normal(len(material.families)), -MOST_SPREADS, MOST_SPREADS)
    if orientations is not None:
        crystals = _given(orientations, count, rng)
    elif texture == "none":
        crystals = random_quaternions(count, rng)
    elif texture == "basal":
        crystals = fibre(np.array([0.0, 0, 1]), np.array([0.0, 0, 1]), count, BASAL_DEG, rng)
    else:
        crystals = random_texture(count, material.lattice == "hcp", rng)
    if strengths is None:
        strengths = material.strengths * np.exp(material.log_spreads * drawn)
    elif np.shape(strengths) != material.strengths.shape or not np.all(np.asarray(strengths) > 0):
        raise ParameterError(
            f"strengths = {strengths}: give a positive one for each of {len(drawn)} families"
        )
    return Recipe(
        seed, material, np.asarray(strengths, float), material.n, index, crystals, load, free_surface
    )


def _given(orientations: NDArray, count: int, rng: np.random.Generator) -> NDArray:
    """(count, 4) of given orientations, in random order."""
    q = np.asarray(orientations, float)
    if q.ndim != 2 or q.shape[1] != 4 or not len(q) or not np.allclose(np.linalg.norm(q, axis=1), 1):
        raise ParameterError(f"orientations of shape {q.shape}: give unit quaternions (N, 4)")
    order = np.concatenate([rng.permutation(len(q)) for _ in range(-(-count // len(q)))])
    crystals: NDArray = q[order[:count]]
    return crystals


def deform(recipe: Recipe, strain: float, *, increments: int = 6) -> Deformed:
    """Follow a specimen to a von Mises strain.

    Parameters
    ----------
    increments : explicit steps; 1 scales the flow at the beginning by the strain

    Raises
    ------
    NotConvergedError : an increment that fails
    """
    index = with_gap(recipe.grain_index) if recipe.is_free else recipe.grain_index
    law = PowerLaw(
        recipe.material.systems(),
        torch.tensor(recipe.strengths),
        n=recipe.exponent,
        reference_rate=recipe.material.reference_rate,
    )
    path = full_field_path(
        law,
        index,
        recipe.quaternions,
        loading=recipe.load,
        strain=strain,
        steps=increments,
        hardening=material_hardening(_as_strong_as(recipe)),
        temperature=recipe.load.temperature or ROOM,
        no_grain="empty" if recipe.is_free else "refuse",
        tol=TOLERANCE,
    )
    return Deformed(recipe, _plane(recipe, path), _curve(recipe, path))


def _as_strong_as(recipe: Recipe) -> Material:
    """The material with the stresses of its hardening block scaled as the strengths of each family are."""
    material = recipe.material
    factor = dict(zip(material.families, recipe.strengths / material.strengths, strict=True))

    def scaled(key: str, value: object) -> object:
        if not key.endswith("_mpa"):
            return value
        return {
            name: by * float(value[name] if isinstance(value, dict) else value)  # type: ignore[arg-type]
            for name, by in factor.items()
        }

    return replace(material, hardening={key: scaled(key, value) for key, value in material.hardening.items()})


def _plane(recipe: Recipe, path: FieldPath) -> Plane:
    """Slice 0 of the end of a path."""
    volume_grain, last = recipe.grain_index[0], path.last

    def cut(values: NDArray) -> NDArray:
        return values.reshape(*path.grain_index.shape, *values.shape[1:])[0]

    return Plane(
        region=label(volume_grain, background=-1, connectivity=1),
        before=quaternion_to_matrix(recipe.quaternions)[volume_grain],
        after=cut(last.matrices),
        gradient=cut(last.gradient),
        shear=cut(last.shear),
        stress=cut(last.cauchy),
    )


def _curve(recipe: Recipe, path: FieldPath) -> pd.DataFrame:
    """Along the axis of a uniaxial load, with its sign; of other loads von Mises stress and strain."""
    sign = -1.0 if recipe.load.kind == "compression" else 1.0
    # a gap carries nothing: the force is that of the solid
    solid = path.grain_index.size / np.count_nonzero(path.grain_index >= 0)
    return pd.DataFrame({"true_strain": sign * path.strain, "true_stress_mpa": sign * solid * path.von_mises})
