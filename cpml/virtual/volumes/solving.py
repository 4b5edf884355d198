"""The response of a volume: the full field of its law under its load, relative to the macroscopic one."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_to_matrix
from cpml.crystallography.tensors import to_vector
from cpml.plasticity.field.full_field import Field, full_field
from cpml.plasticity.field.surface import with_gap
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.spin import axial, slip_spin
from cpml.virtual.volumes.cuts import Cut, Response, cut
from cpml.virtual.volumes.recipes import Recipe

TOLERANCE = 1e-3
"""Of the field's power: grain stresses to 1 %, where they differ by 30 %."""
PLANES_APART = 3
"""Parallel cuts through a bulk volume: a grain apart, so that they show other grains."""


@dataclass(frozen=True)
class Solved:
    """A volume that has been loaded, and what plane cuts through it show."""

    recipe: Recipe
    cuts: list[Cut]
    converged: bool


def law_of(recipe: Recipe) -> PowerLaw:
    """The power law of a recipe."""
    return PowerLaw(
        recipe.material.systems(),
        torch.tensor(recipe.strengths),
        n=recipe.exponent,
        reference_rate=recipe.load.rate,
    )


def solve(recipe: Recipe, *, tol: float = TOLERANCE) -> Solved:
    """The full field of a recipe, cut by planes: both surfaces of a plate, or planes through the bulk, with
    and without what lies beyond their edges.
    """
    index = with_gap(recipe.grain_index) if recipe.is_free else recipe.grain_index
    no_grain = "empty" if recipe.is_free else "refuse"
    field = full_field(
        law_of(recipe), index, recipe.quaternions, loading=recipe.load, tol=tol, no_grain=no_grain
    )
    response = response_of(field, recipe)
    cuts = []
    for axis, layer in _planes(recipe):
        for repeats in (True, False):
            cuts.append(cut(recipe.grain_index, response, axis, layer, repeats=repeats))
    return Solved(recipe, cuts, field.converged)


def response_of(field: Field, recipe: Recipe) -> Response:
    """The voxels of the solid, relative to its means."""
    solid = tuple(slice(0, n) for n in recipe.grain_index.shape)
    systems = recipe.material.systems()
    stress, shear = field.stress[solid], field.shear_rate[solid]
    macro = to_vector(recipe.load.stress)
    macro /= np.linalg.norm(macro)
    turn = quaternion_to_matrix(recipe.quaternions)[recipe.grain_index]
    plastic = np.einsum("...ij,...j->...i", turn, shear @ slip_spin(systems).numpy())
    total = np.abs(shear).sum(-1)
    return Response(
        stress=stress / (stress @ macro).mean(),
        rate=field.rate[solid] / recipe.load.rate,
        spin=(axial(field.velocity_gradient[solid]) - plastic) / recipe.load.rate,
        log_shear=np.log(np.maximum(total / total.mean(), 1e-12)),
    )


def _planes(recipe: Recipe) -> list[tuple[int, int]]:
    """Axis and layer of every cut."""
    edge = recipe.grain_index.shape[0]
    if recipe.is_free:
        return [(2, 0), (2, edge - 1)]
    layers = [round(k * edge / PLANES_APART) for k in range(PLANES_APART)]
    return [(axis, layer) for axis in range(3) for layer in layers]


def as_arrays(solved: Solved) -> dict[str, NDArray]:
    """Plain arrays of a solved volume for `numpy.savez`; cuts one after another, ``sizes`` (C, 2) of their
    grains and boundaries.
    """
    recipe, cuts = solved.recipe, solved.cuts
    weights = np.bincount(recipe.grain_index.ravel(), minlength=len(recipe.quaternions))
    arrays: dict[str, NDArray] = {
        "seed": np.array(recipe.seed),
        "material": np.array(recipe.material.name),
        "strengths": recipe.strengths,
        "exponent": np.array(recipe.exponent),
        "load": recipe.load.stress,
        "is_free": np.array(recipe.is_free),
        "converged": np.array(solved.converged),
        "quaternions": recipe.quaternions,
        "voxels": weights,
        "sizes": np.array([(len(c.grain), len(c.neighbours)) for c in cuts]),
        "normal": np.array([c.normal for c in cuts]),
    }
    for name in ("grain", "area", "neighbours"):
        arrays[name] = np.concatenate([getattr(c, name) for c in cuts]).astype(np.int32)
    for name in ("rim", "length", "boundary", "stress", "rate", "spin", "log_shear"):
        arrays[name] = np.concatenate([getattr(c, name) for c in cuts]).astype(np.float32)
    return arrays
