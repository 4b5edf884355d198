"""What the map does not show, drawn: every grain's stress, strain rate, spin and shear under many depths.

A map fixes the grains of a plane. Under it (and above it, in a section of the bulk) other grains carry part
of the load, and nobody knows which. So volumes are drawn that all show the same plane
(`cpml.virtual.volumes.under_map`), each is solved by the full field, and what differs between them is what
the map leaves open:

    x_g = 1/K sum_k x_gk,        S_g = sum_k (x_gk - x_g)(x_gk - x_g)^T
    m_g = (1 - a) x_g + a b_g,   a = (tr C / K) / <|x_g - b_g|^2>, at most 1
    C_g = (1 + (1 - a)/K) (nu C + S_g) / (nu + K - 1),   C = <S_g> / (K - 1)

with x_gk the mean of grain g over its cells of the plane in volume k, b_g its answer in a mean medium
(scheme "affine"), < > the mean over grains. The mean of K draws has a noise of its own, tr C / K, which the
mean medium does not have: a is the share of noise in their distance, and goes to zero as K grows (shrinkage
of James and Stein). A few volumes say little about the covariance of one grain in five directions: nu
volumes' worth of what all grains say stands beside them (an inverse Wishart prior), which makes every C_g
positive definite. 1 + (1 - a)/K is the spread of a truth about a mean that is itself uncertain. Ellipsoids
are those of a normal distribution all the same: with ten volumes, that of 90 % holds 80 to 90 %.

Stresses are relative to the mean stress along the load of the whole volume, rates and spins per von Mises
rate of the load, shears to the mean of the volume.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cpml.errors import CpmlError, ParameterError
from cpml.models.mechanics.crystals import canonical_copies, law_of, load_direction
from cpml.models.numerics import Numerics
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.field.full_field import Field, full_field
from cpml.plasticity.field.surface import with_gap
from cpml.plasticity.laws.spin import axial
from cpml.plasticity.polycrystal.motion import plastic_spin
from cpml.progress import progress
from cpml.virtual.volumes.under_map import UnderMap, fit_plane, under_map

THREADS = 2
"""Of voxels and transforms."""


@dataclass(frozen=True)
class Depths:
    """The grains of a plane under K depths; NaN for those without a cell."""

    stress: NDArray  # (K, G, 5)
    log_total: NDArray  # (K, G) natural log of the total shear over the volume's mean
    rate: NDArray  # (K, G, 5)
    spin: NDArray  # (K, G, 3) axial, of the lattice
    by_system: NDArray  # (S,) share of the systems in all shear
    taylor: float  # mean total shear per macroscopic von Mises strain
    converged: bool

    @property
    def has_cells(self) -> NDArray:
        """(G,) whether the plane shows the grain."""
        return np.isfinite(self.log_total[0])

    def summary(self, medium: dict[str, NDArray], pooled: float) -> dict[str, tuple[NDArray, NDArray]]:
        """Mean (G, ...) and covariance (G, D, D) by name (module docstring); grains without a cell have the
        medium's answer and the covariance of all.

        Parameters
        ----------
        medium : b_g (G, ...) by name: stress, log_total, rate, spin
        pooled : nu, volumes' worth of the common covariance
        """
        return {name: self._summary(getattr(self, name), medium[name], pooled) for name in medium}

    def _summary(self, values: NDArray, medium: NDArray, pooled: float) -> tuple[NDArray, NDArray]:
        draws, seen = len(values), self.has_cells
        flat, base = values.reshape(*values.shape[:2], -1), medium.reshape(len(medium), -1)
        mean = flat.mean(0)
        square = np.einsum("kgi,kgj->gij", flat - mean, flat - mean)
        common = square[seen].mean(0) / (draws - 1)
        noise, distance = np.trace(common) / draws, ((mean - base)[seen] ** 2).sum(1).mean()
        share = min(noise / distance, 1.0) if distance > 0 else 1.0
        mean, square = (1 - share) * mean + share * base, square.copy()
        mean[~seen], square[~seen] = base[~seen], common * (draws - 1)
        covariance = (1 + (1 - share) / draws) * (pooled * common + square) / (pooled + draws - 1)
        return mean.reshape(medium.shape), covariance


def volumes_under(specimen: Specimen, numerics: Numerics, seed: int) -> list[UnderMap]:
    """``numerics.depths`` volumes under a specimen's map, from one seed.

    Raises
    ------
    CpmlError : a specimen without a map; ParameterError : fewer than two volumes
    """
    if numerics.depths < 2:
        raise ParameterError(f"numerics.depths = {numerics.depths} must be at least 2: one tells no scatter")
    if specimen.raster is None:
        raise CpmlError(
            f"specimen {specimen.name!r} has no map: nothing to draw a depth under; use scheme 'affine'"
        )
    plane = fit_plane(specimen.raster)
    diameter = plane.sizes.diameter
    return [
        under_map(
            plane,
            np.random.default_rng([seed, k]),
            depth=max(round(numerics.depth_diameters * diameter), numerics.least_depth),
            rim=round(numerics.rim_diameters * diameter),
            repeats=not specimen.free_surface,
        )
        for k in range(numerics.depths)
    ]


def solve_depths(
    specimen: Specimen,
    log_strength: NDArray,
    numerics: Numerics,
    seed: int = 0,
    volumes: list[UnderMap] | None = None,
) -> Depths:
    """The grains of a specimen's map in the full field of every volume under it.

    Parameters
    ----------
    log_strength : (K,) of the families, natural log, any common unit
    volumes : of :func:`volumes_under`; None: drawn here

    Raises
    ------
    CpmlError, ParameterError : as :func:`volumes_under`
    """
    copies = canonical_copies(specimen.quaternions, specimen.systems.lattice)
    law = law_of(specimen, torch.as_tensor(log_strength), numerics)
    draws = []
    for volume in progress(volumes or volumes_under(specimen, numerics, seed), "depths"):
        index = volume.grain_index
        field = full_field(
            law,
            with_gap(index) if specimen.free_surface else index,
            copies[volume.crystal],
            loading=specimen.load,
            tol=numerics.depth_tolerance,
            no_grain="empty" if specimen.free_surface else "refuse",
            threads=THREADS,
        )
        draws.append(_draw(specimen, volume, field, copies, numerics.least_shear))
    single = {name: [draw[name] for draw in draws] for name in draws[0]}
    return Depths(
        **{name: np.array(single[name]) for name in ("stress", "log_total", "rate", "spin")},
        by_system=np.mean(single["by_system"], axis=0),
        taylor=float(np.mean(single["taylor"])),
        converged=all(single["converged"]),
    )


def _draw(
    specimen: Specimen, volume: UnderMap, field: Field, copies: NDArray, least_shear: float
) -> dict[str, Any]:
    """One volume's part of the arrays of `Depths`."""
    window, solid = volume.window, slice(len(volume.grain_index))  # a gap follows
    seen = volume.grain_index[window]
    shear = field.shear_rate[solid]
    total = np.abs(shear).sum(-1)
    along = (field.stress[solid] @ load_direction(specimen)).mean()
    spin = axial(field.velocity_gradient[window]) - plastic_spin(
        specimen.systems, copies[seen], shear[window]
    )
    by_system = np.abs(shear).mean((0, 1, 2))

    def mean(values: NDArray) -> NDArray:
        return _plane_mean(seen, values, len(specimen))

    return {
        "stress": mean(field.stress[window]) / along,
        "log_total": np.log(np.maximum(mean(total[window]) / total.mean(), least_shear)),
        "rate": mean(field.rate[window]) / specimen.load.rate,
        "spin": mean(spin) / specimen.load.rate,
        "by_system": by_system / by_system.sum(),
        "taylor": total.mean() / specimen.load.rate,
        "converged": field.converged,
    }


def _plane_mean(grain: NDArray, values: NDArray, count: int) -> NDArray:
    """(count, ...) means of cell values (rows, columns, ...) over grains; NaN for a grain without a cell."""
    number = grain.ravel()
    flat = values.reshape(len(number), -1)
    total = np.stack([np.bincount(number, column, count) for column in flat.T], axis=1)
    with np.errstate(invalid="ignore"):
        return (total / np.bincount(number, minlength=count)[:, None]).reshape(count, *values.shape[2:])
