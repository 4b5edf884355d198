"""What the crystal-plasticity law says of every grain of a specimen: its mean stress and its total shear.

| scheme | the stress of a grain comes from |
|---|---|
| sachs | the load alone, the same for all |
| taylor | the strain rate of the specimen, imposed on every grain |
| affine | a mean medium that all grains form together (self-consistent) |
| full_field | equilibrium on the measured map: all neighbours and boundaries |

Stresses are relative to the specimen's mean stress along the load, shears to the mean over the grains, and strengths
to their geometric mean: a common factor on all strengths changes nothing of what is asked here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.crystallography.rotations import quaternion_multiply, quaternion_to_matrix
from cpml.crystallography.slip_systems import Systems
from cpml.crystallography.symmetry import group_of_lattice, proper_group
from cpml.crystallography.tensors import rotation_5x5, to_vector
from cpml.errors import CpmlError, ParameterError
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.field.full_field import full_field
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field

SCHEMES = ("sachs", "taylor", "affine", "full_field")


@dataclass(frozen=True)
class GrainState:
    """Every grain of a specimen under one scheme (module docstring)."""

    stress: NDArray  # (G, 5)
    log_total: NDArray  # (G,) natural log of the total shear
    family_share: NDArray  # (K,) share of all shear
    taylor: float = np.nan  # mean total shear per macroscopic von Mises strain
    start: Any = None  # from which a nearby problem of this scheme is solved faster
    converged: bool = True


def grain_state(
    specimen: Specimen,
    log_strength: NDArray,
    scheme: str,
    *,
    numerics: Numerics = STANDARD,
    start: Any = None,
) -> GrainState:
    """Stress and total shear of every grain (remembered with the specimen for equal questions).

    Parameters
    ----------
    log_strength : (K,) of the families, natural log, any common unit
    start : of a nearby :class:`GrainState`

    Raises
    ------
    ParameterError : an unknown scheme; CpmlError : "full_field" for a specimen without a map
    """
    if scheme not in SCHEMES:
        raise ParameterError(f"scheme {scheme!r} is not available; choose from {', '.join(SCHEMES)}")
    relative = np.asarray(log_strength, float)
    relative = relative - relative.mean()
    # whatever the answer depends on: also the lattice (names hide c/a) and the areas behind the mean
    arrays = [
        specimen.quaternions,
        specimen.systems.schmid5,
        specimen.weights,
        specimen.load.stress,
        specimen.raster,
        relative.round(6),
    ]
    question = (
        scheme,
        numerics,
        specimen.systems.names,
        *(None if a is None else np.ascontiguousarray(a).tobytes() for a in arrays),
    )
    return specimen.answers.get(question, lambda: _solved(specimen, relative, scheme, numerics, start))


def _solved(
    specimen: Specimen, log_strength: NDArray, scheme: str, numerics: Numerics, start: Any
) -> GrainState:
    if scheme == "sachs":
        stress = np.tile(load_direction(specimen), (len(specimen), 1))
        return GrainState(stress, np.zeros(len(specimen)), np.zeros(len(log_strength)))
    if scheme == "full_field":
        return _on_the_map(specimen, log_strength, numerics, start)
    return _in_a_medium(specimen, log_strength, scheme, numerics)


def _in_a_medium(specimen: Specimen, log_strength: NDArray, scheme: str, numerics: Numerics) -> GrainState:
    with torch.no_grad():
        solved = mean_field(
            _law(specimen, log_strength, numerics),
            canonical_copies(specimen.quaternions, specimen.systems.lattice),
            weights=specimen.weights,
            loading=specimen.load,
            scheme=scheme,
        )
    shear = solved.shear_rate.abs().numpy()
    return _relative(
        specimen,
        solved.grain_stress.numpy(),
        shear.sum(1),
        shear.sum(0),
        numerics,
        converged=bool(solved.converged.all()),
    )


def _on_the_map(specimen: Specimen, log_strength: NDArray, numerics: Numerics, start: Any) -> GrainState:
    if specimen.raster is None:
        raise CpmlError(
            f"specimen {specimen.name!r} has no map: the full field needs one; use scheme 'affine'"
        )
    field = full_field(
        _law(specimen, log_strength, numerics),
        specimen.raster,
        canonical_copies(specimen.quaternions, specimen.systems.lattice),
        loading=specimen.load,
        tol=numerics.field_tolerance,
        start=start,
    )
    shear = np.abs(field.shear_rate)
    stress, total = _with_small_grains(
        specimen, log_strength, numerics, field.grain_mean(field.stress), field.grain_mean(shear.sum(-1))
    )
    by_system = shear.reshape(-1, shear.shape[-1]).sum(0)
    return _relative(
        specimen, stress, total, by_system, numerics, start=field.rate, converged=field.converged
    )


def _law(specimen: Specimen, log_strength: NDArray, numerics: Numerics) -> PowerLaw:
    strength = torch.as_tensor(np.exp(log_strength))
    return PowerLaw(specimen.systems, strength, n=numerics.exponent, reference_rate=specimen.load.rate)


def _relative(
    specimen: Specimen,
    stress: NDArray,
    total: NDArray,
    by_system: NDArray,
    numerics: Numerics,
    *,
    start: Any = None,
    converged: bool,
) -> GrainState:
    """Record of stresses (G, 5), total shear rates (G,) and shear rates of the systems (S,) in any unit."""
    mean_stress = specimen.weights @ (stress @ load_direction(specimen))
    mean_total = specimen.weights @ total
    by_family = np.bincount(specimen.systems.family, by_system, minlength=len(specimen.systems.family_names))
    return GrainState(
        stress=stress / mean_stress,
        log_total=np.log(np.maximum(total / mean_total, numerics.least_shear)),
        family_share=by_family / by_system.sum(),
        taylor=float(mean_total) / specimen.load.rate,
        start=start,
        converged=converged,
    )


def _with_small_grains(
    specimen: Specimen, log_strength: NDArray, numerics: Numerics, stress: NDArray, total: NDArray
) -> tuple[NDArray, NDArray]:
    """Means over the cells of every grain (G, 5) and (G,).

    Grains too small for a cell of the raster get the self-consistent answer, scaled to the field's mean.
    """
    every_stress, every_total = np.full((len(specimen), 5), np.nan), np.full(len(specimen), np.nan)
    every_stress[: len(total)], every_total[: len(total)] = stress, total
    has_cells = np.isfinite(every_total)
    if not has_cells.all():
        medium = grain_state(specimen, log_strength, "affine", numerics=numerics)
        scale = np.mean(every_stress[has_cells] @ load_direction(specimen))
        every_stress[~has_cells] = medium.stress[~has_cells] * scale
        every_total[~has_cells] = np.exp(medium.log_total[~has_cells]) * np.mean(every_total[has_cells])
    return every_stress, every_total


def load_direction(specimen: Specimen) -> NDArray:
    """(5,) direction of the macroscopic stress deviator, length 1."""
    macro = to_vector(specimen.load.stress)
    return macro / np.linalg.norm(macro)


def canonical_copies(quaternions: NDArray, lattice: str) -> NDArray:
    """(G, 4) symmetry copy of every crystal that is nearest to the sample axes.

    Copies are one crystal: the same one is solved whichever is given, so that answers agree to rounding.
    """
    copies = quaternion_multiply(quaternions[:, None, :], proper_group(group_of_lattice(lattice)))
    best = np.abs(copies[..., 0]).argmax(1)
    chosen = np.take_along_axis(copies, best[:, None, None], 1)[:, 0]
    return chosen * np.where(chosen[:, :1] < 0, -1.0, 1.0)


def schmid_vectors(systems: Systems, quaternions: NDArray) -> NDArray:
    """(G, S, 5) Schmid tensors of every grain in the sample frame."""
    turn = rotation_5x5(quaternion_to_matrix(quaternions))
    return np.einsum("gij,sj->gsi", turn, systems.schmid5)
