"""What the crystal-plasticity law says of every grain of a specimen: its mean stress and its total shear.

| scheme | the stress of a grain comes from |
|---|---|
| sachs | the load alone, the same for all |
| taylor | the strain rate of the specimen, imposed on every grain |
| affine | a mean medium that all grains form together (self-consistent) |
| full_field | equilibrium on the measured map, its grains columns: all neighbours and boundaries in it |
| depth | equilibrium of volumes under the map, drawn: their mean, and what they leave open as its scatter |
| learned | the mean medium, a network adds what neighbours do; its scatter is what the map leaves open |

Stresses are relative to the specimen's mean stress along the load, shears to the mean over the grains, and
strengths to their geometric mean: a common factor on all strengths changes nothing of what is asked here.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.errors import CpmlError, ParameterError
from cpml.models.mechanics.crystals import (
    canonical_copies,
    law_of,
    load_direction,
    mean_field_motion,
    solve_mean_field,
)
from cpml.models.mechanics.depth import Depths, solve_depths
from cpml.models.mechanics.learned import learned
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.field.full_field import full_field
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.spin import axial
from cpml.plasticity.polycrystal.motion import plastic_spin, schmid_vectors
from cpml.plasticity.polycrystal.response import MeanField, medium_of

SCHEMES = ("sachs", "taylor", "affine", "full_field", "depth", "learned")
Motion = tuple[NDArray, NDArray]
"""Strain rates (G, 5) and axial lattice spins (G, 3) of grains, per von Mises rate of the load."""
ON_A_MAP = ("full_field", "depth", "learned")
"""Schemes that know the places of the grains."""
DIFFERENTIABLE = ("taylor", "affine")
"""Schemes whose answer has an analytic derivative by the strengths."""
UNCERTAIN = ("depth", "learned")
"""Schemes that say how far they may be wrong: their states have a scatter."""


@dataclass(frozen=True)
class Scatter:
    """Covariances of what one map leaves open, in the units of :class:`GrainState`."""

    stress: NDArray  # (G, 5, 5)
    rate: NDArray  # (G, 5, 5)
    spin: NDArray  # (G, 3, 3)
    log_total_sd: NDArray  # (G,)
    radii: dict[str, list[float]] | None = None  # as of an `Ensemble`; None: those of a normal distribution


@dataclass(frozen=True)
class GrainState:
    """Every grain of a specimen under one scheme (module docstring)."""

    stress: NDArray  # (G, 5)
    log_total: NDArray  # (G,) natural log of the total shear
    family_share: NDArray  # (K,) share of all shear
    rate: NDArray  # (G, 5) strain rate per von Mises rate of the load
    spin: NDArray  # (G, 3) axial vector of the lattice's rotation per von Mises rate of the load
    taylor: float = np.nan  # mean total shear per macroscopic von Mises strain
    start: Any = None  # from which a nearby problem of this scheme is solved faster
    converged: bool = True
    scatter: Scatter | None = None  # what the scheme itself leaves open; None: it claims to know

    @property
    def covariance(self) -> NDArray:
        """(G, 5, 5) of the stress."""
        return np.zeros((len(self.stress), 5, 5)) if self.scatter is None else self.scatter.stress

    @property
    def rate_covariance(self) -> NDArray:
        """(G, 5, 5) of the strain rate."""
        return np.zeros((len(self.stress), 5, 5)) if self.scatter is None else self.scatter.rate

    @property
    def spin_covariance(self) -> NDArray:
        """(G, 3, 3) of the spin."""
        return np.zeros((len(self.stress), 3, 3)) if self.scatter is None else self.scatter.spin

    @property
    def log_total_sd(self) -> NDArray:
        """(G,) standard deviation of the log of the total shear."""
        return np.zeros(len(self.stress)) if self.scatter is None else self.scatter.log_total_sd


def _shear_under_the_load(specimen: Specimen, log_strength: NDArray, numerics: Numerics) -> float:
    """Mean total shear per von Mises strain of grains that all feel the load's stress and deform alike: what
    the stress works on the strain, over the resolved shear stress that does it.
    """
    tau = schmid_vectors(specimen.systems, specimen.quaternions) @ load_direction(specimen)
    strength = np.exp(log_strength)[specimen.systems.family]
    share = flow.shares(flow.relative_stress(tau, strength, specimen.systems.twin), numerics.exponent)
    return float(specimen.weights @ (np.sqrt(1.5) / (share * np.abs(tau)).sum(1)))


def scheme_for(specimen: Specimen) -> str:
    """The scheme of "auto" where many strengths are asked for: on planes of volumes that nobody learned from
    nearly as good as drawn depths, at a hundredth of their time; without a map, a mean medium.
    """
    return "affine" if specimen.raster is None else "learned"


def grain_state(
    specimen: Specimen,
    log_strength: NDArray,
    scheme: str,
    *,
    numerics: Numerics = STANDARD,
    start: Any = None,
    seed: int = 0,
) -> GrainState:
    """Stress and total shear of every grain (remembered with the specimen for equal questions).

    Parameters
    ----------
    log_strength : (K,) of the families, natural log, any common unit
    start : of a nearby :class:`GrainState`
    seed : of what a scheme draws

    Raises
    ------
    ParameterError : an unknown scheme; CpmlError : "full_field" or "depth" for a specimen without a map
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
        seed,
        specimen.free_surface,
        numerics,
        specimen.systems.names,
        *(None if a is None else np.ascontiguousarray(a).tobytes() for a in arrays),
    )
    return specimen.answers.get(question, lambda: _solved(specimen, relative, scheme, numerics, start, seed))


def _solved(
    specimen: Specimen, log_strength: NDArray, scheme: str, numerics: Numerics, start: Any, seed: int
) -> GrainState:
    if scheme == "sachs":
        motion = motion_of(
            specimen, solve_mean_field(specimen, torch.as_tensor(log_strength), scheme, numerics)
        )
        return GrainState(
            stress=np.tile(load_direction(specimen), (len(specimen), 1)),
            log_total=np.zeros(len(specimen)),
            family_share=np.zeros(len(log_strength)),
            rate=motion[0],
            spin=motion[1],
            taylor=_shear_under_the_load(specimen, log_strength, numerics),
        )
    if scheme == "full_field":
        return _on_the_map(specimen, log_strength, numerics, start)
    if scheme == "learned":
        return _learned(specimen, log_strength, numerics, start)
    if scheme == "depth":
        return _under_the_map(specimen, log_strength, numerics, seed)
    with torch.no_grad():
        solved = solve_mean_field(specimen, torch.as_tensor(log_strength), scheme, numerics)
    shear = solved.shear_rate.abs()
    return _state(
        specimen,
        solved.grain_stress,
        shear.sum(1),
        shear.sum(0),
        numerics,
        motion=motion_of(specimen, solved),
        start=None if solved.medium is None else solved.medium.start,
        converged=bool(solved.converged.all()),
    )


def _learned(specimen: Specimen, log_strength: NDArray, numerics: Numerics, start: Any) -> GrainState:
    with torch.no_grad():
        found = learned(specimen, torch.as_tensor(log_strength), numerics, start)
    answer, field = found.answer, found.field
    shear = field.shear_rate.abs()
    state = _state(
        specimen,
        answer.stress,
        answer.log_total.exp(),
        shear.sum(0),
        numerics,
        motion=(answer.rate.numpy(), answer.spin.numpy()),
        start=medium_of(field).start,
        converged=bool(field.converged.all()),
    )
    taylor = float(torch.as_tensor(specimen.weights) @ shear.sum(1)) / specimen.load.rate
    scatter = Scatter(
        stress=answer.stress_covariance.numpy(),
        rate=answer.rate_covariance.numpy(),
        spin=answer.spin_covariance.numpy(),
        log_total_sd=answer.log_total_variance.sqrt().numpy(),
        radii=found.radii,
    )
    return replace(state, taylor=taylor, scatter=scatter)


def motion_of(specimen: Specimen, solved: MeanField) -> Motion:
    """Of the grains of a mean field."""
    with torch.no_grad():
        rate, spin = mean_field_motion(specimen, solved)
    return rate.numpy(), spin.numpy()


def _on_the_map(specimen: Specimen, log_strength: NDArray, numerics: Numerics, start: Any) -> GrainState:
    if specimen.raster is None:
        raise CpmlError(
            f"specimen {specimen.name!r} has no map: the full field needs one; use scheme 'affine'"
        )
    field = full_field(
        law_of(specimen, torch.as_tensor(log_strength), numerics),
        specimen.raster,
        canonical_copies(specimen.quaternions, specimen.systems.lattice),
        loading=specimen.load,
        tol=numerics.field_tolerance,
        start=start,
    )
    shear = np.abs(field.shear_rate)
    plastic = plastic_spin(
        specimen.systems,
        canonical_copies(specimen.quaternions, specimen.systems.lattice)[field.grain_index],
        field.shear_rate,
    )
    motion = (
        field.grain_mean(field.rate) / specimen.load.rate,
        field.grain_mean(axial(field.velocity_gradient) - plastic) / specimen.load.rate,
    )
    stress, total, motion = _with_small_grains(
        specimen,
        log_strength,
        numerics,
        field.grain_mean(field.stress),
        field.grain_mean(shear.sum(-1)),
        motion,
    )
    by_system = shear.reshape(-1, shear.shape[-1]).sum(0)
    means, totals, sums = (torch.as_tensor(values) for values in (stress, total, by_system))
    return _state(
        specimen,
        means,
        totals,
        sums,
        numerics,
        motion=motion,
        # many are remembered: what starts a nearby field needs no shears
        start=replace(field, shear_rate=np.empty((*field.grain_index.shape, 0))),
        converged=field.converged,
    )


def _under_the_map(specimen: Specimen, log_strength: NDArray, numerics: Numerics, seed: int) -> GrainState:
    return state_of_depths(
        specimen, solve_depths(specimen, log_strength, numerics, seed), log_strength, numerics
    )


def state_of_depths(
    specimen: Specimen, depths: Depths, log_strength: NDArray, numerics: Numerics = STANDARD
) -> GrainState:
    """The state of the scheme "depth", from volumes that were solved at these log strengths (K,)."""
    medium = grain_state(specimen, log_strength, "affine", numerics=numerics)
    names = ("stress", "log_total", "rate", "spin")
    found = depths.summary({name: getattr(medium, name) for name in names}, numerics.pooled_depths)
    mean = {name: values for name, (values, _) in found.items()}
    covariance = {name: values for name, (_, values) in found.items()}
    by_family = np.bincount(
        specimen.systems.family, depths.by_system, minlength=len(specimen.systems.family_names)
    )
    return GrainState(
        **mean,
        family_share=by_family / by_family.sum(),
        taylor=depths.taylor,
        converged=depths.converged,
        scatter=Scatter(
            stress=covariance["stress"],
            rate=covariance["rate"],
            spin=covariance["spin"],
            log_total_sd=np.sqrt(covariance["log_total"][:, 0, 0]),
        ),
    )


def relative_to_mean(
    specimen: Specimen, stress: Tensor, total: Tensor, numerics: Numerics
) -> tuple[Tensor, Tensor]:
    """Stresses (G, 5) over their mean along the load, and log of total shear rates (G,) over their mean."""
    weights, macro = torch.as_tensor(specimen.weights), torch.as_tensor(load_direction(specimen))
    share = total / (weights @ total)
    return stress / (weights @ (stress @ macro)), share.clamp(min=numerics.least_shear).log()


def _state(
    specimen: Specimen,
    stress: Tensor,
    total: Tensor,
    by_system: Tensor,
    numerics: Numerics,
    *,
    motion: Motion,
    start: Any,
    converged: bool,
) -> GrainState:
    """Record of stresses (G, 5), total shear rates (G,) and shear rates of the systems (S,) in any unit."""
    relative_stress, log_total = relative_to_mean(specimen, stress, total, numerics)
    families = specimen.systems.family_names
    by_family = np.bincount(specimen.systems.family, by_system.numpy(), minlength=len(families))
    return GrainState(
        stress=relative_stress.numpy(),
        log_total=log_total.numpy(),
        family_share=by_family / by_family.sum(),
        taylor=float(torch.as_tensor(specimen.weights) @ total) / specimen.load.rate,
        start=start,
        converged=converged,
        rate=motion[0],
        spin=motion[1],
    )


def _with_small_grains(
    specimen: Specimen,
    log_strength: NDArray,
    numerics: Numerics,
    stress: NDArray,
    total: NDArray,
    motion: Motion,
) -> tuple[NDArray, NDArray, Motion]:
    """Means over the cells of every grain: stress (G, 5), total shear (G,), and its motion.

    Grains too small for a cell of the raster get the self-consistent answer, scaled to the field's mean.
    """
    every_stress, every_total = _for_all(stress, specimen), _for_all(total, specimen)
    rate, spin = (_for_all(values, specimen) for values in motion)
    has_cells = np.isfinite(every_total)
    if not has_cells.all():
        medium = grain_state(specimen, log_strength, "affine", numerics=numerics)
        scale = np.mean(every_stress[has_cells] @ load_direction(specimen))
        every_stress[~has_cells] = medium.stress[~has_cells] * scale
        every_total[~has_cells] = np.exp(medium.log_total[~has_cells]) * np.mean(every_total[has_cells])
        rate[~has_cells], spin[~has_cells] = medium.rate[~has_cells], medium.spin[~has_cells]
    return every_stress, every_total, (rate, spin)


def _for_all(means: NDArray, specimen: Specimen) -> NDArray:
    """Values (G, ...) of all grains from those up to the last that has a cell; NaN for the others."""
    every = np.full((len(specimen), *means.shape[1:]), np.nan)
    every[: len(means)] = means
    return every
