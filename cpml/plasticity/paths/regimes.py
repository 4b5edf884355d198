"""Which mechanism carries the strain at a temperature and rate: slip, twinning and climb by their shares of
the strain rates, and cross-slip of the slip; where each of the two thermal ones takes over.

Single crystals of random orientation under uniaxial strain; glide thermally activated where the material file
has a block `glide`, else by its power law (no temperature of its own), climb by self-diffusion and the
dislocations that the stress holds, cross-slip where the file describes it. Shares of slip, twinning and climb
are those of sum |rates|; that of cross-slip is the rate of exchange between planes over the slip rate. With
the one exponent of a power law stresses may fall faster than screws gain time when a test slows, and
cross-slip then becomes rarer: thermally activated glide has no such fall.

Climb of edges with <111> in bcc metals makes three of the five strain modes
(cpml.crystallography.climb_modes): slip must make the others, so that the stress of hot iron ends at its
athermal strength, not at that of creep.

Reference for the idea: Frost & Ashby 1982, Deformation-Mechanism Maps.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.tensors import rotation_5x5, to_vector, von_mises_stress
from cpml.plasticity.arguments import as_matrices
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.softened import TangentLaw, tangent_law
from cpml.plasticity.laws.thermal.climb import DiffusionClimb
from cpml.plasticity.laws.thermal.cross_slip import CrossSlip
from cpml.plasticity.laws.thermal.glide import ThermalGlide
from cpml.plasticity.laws.thermal.published_creep import creep_stress
from cpml.plasticity.laws.together import Together

TENSION = np.diag([1.0, -0.5, -0.5])
N_CRYSTALS = 6
_IDLE = 1e-3  # share of the strain below which there is no slip that could change plane
_STEEPEST = 300.0
"""Rate exponent at most: where heat passes all obstacles the athermal stress alone is left, a threshold."""


def regimes(
    material: Material, *, temperatures: ArrayLike, rates: ArrayLike = (1e-3, 1e-5, 1e-7)
) -> pd.DataFrame:
    """Shares of the four mechanisms over temperature and rate.

    Parameters
    ----------
    material : with the block diffusion; cross-slip where it has that block
    temperatures : K
    rates : von Mises strain rates, 1/s

    Returns
    -------
    table rate_per_s, temperature_k, homologous (T over the melting point), stress_mpa, slip, twin, climb,
    cross_slip (NaN where unknown or where climb leaves no slip), shear_over_modulus (sigma/(sqrt(3) mu(T))),
    published_over_modulus (that of power-law creep as published, NaN where the file has none), converged

    Raises
    ------
    ParameterError : a material without self-diffusion
    """
    crystals = as_matrices(random_quaternions(N_CRYSTALS, np.random.default_rng(0)))
    points = np.array([(r, t) for r in np.asarray(rates) for t in np.asarray(temperatures)], float)
    rate, temperature = (
        torch.as_tensor(points[:, k].copy()).repeat_interleave(N_CRYSTALS)[:, None] for k in (0, 1)
    )
    matrices = crystals.repeat(len(points), 1, 1)
    law = Together((_glide(material, temperature, rate), DiffusionClimb.from_material(material, temperature)))
    with torch.no_grad():
        solved = single_crystal(law, rate * torch.as_tensor(to_vector(TENSION)), matrices, tol=1e-8)
    rates_of = solved.shear_rate.abs()
    is_twin = torch.as_tensor(material.systems().twin)
    glide, climb = rates_of[:, law.parts[0]], rates_of[:, law.parts[1]].sum(-1)
    slip, twin = glide[:, ~is_twin].sum(-1), glide[:, is_twin].sum(-1)
    transfer = torch.full_like(slip, torch.nan)
    if material.cross_slip:
        crossing = CrossSlip.from_material(material)
        local = (solved.stress[:, None, :] @ rotation_5x5(matrices))[:, 0]  # crystal axes
        transfer = crossing.activity(solved.shear_rate[:, law.parts[0]], local, temperature).sum(-1)
    stress, slip, twin, climb, transfer = (
        x.reshape(len(points), N_CRYSTALS).mean(1)
        for x in (von_mises_stress(solved.stress), slip, twin, climb, transfer)
    )
    total = slip + twin + climb
    modulus = np.sqrt(3) * material.shear_modulus(points[:, 1])
    return pd.DataFrame(
        {
            "rate_per_s": points[:, 0],
            "temperature_k": points[:, 1],
            "homologous": points[:, 1] / material.diffusion["melting_k"],
            "stress_mpa": stress.numpy(),
            "slip": (slip / total).numpy(),
            "twin": (twin / total).numpy(),
            "climb": (climb / total).numpy(),
            "cross_slip": torch.where(slip > _IDLE * total, transfer / slip, torch.nan).numpy(),
            "shear_over_modulus": stress.numpy() / modulus,
            "published_over_modulus": creep_stress(material, points[:, 1], points[:, 0]) / modulus,
            "converged": solved.converged.reshape(len(points), N_CRYSTALS).all(1).numpy(),
        }
    )


def _glide(material: Material, temperature: Tensor, rate: Tensor) -> PowerLaw | TangentLaw:
    """The law of slip and twins at temperatures and rates (G, 1), K and 1/s."""
    if not material.glide:
        return PowerLaw.from_material(material)
    return tangent_law(ThermalGlide.from_material(material, temperature), rate, largest=_STEEPEST)


def takeover(table: pd.DataFrame) -> pd.DataFrame:
    """Temperatures at which a thermal mechanism passes one half.

    Parameters
    ----------
    table : of `regimes`, several temperatures for each rate

    Returns
    -------
    table indexed by rate_per_s: climb_k, cross_slip_k, K; NaN where a share stays on one side

    Examples
    --------
    >>> table = pd.DataFrame({"rate_per_s": 1e-3, "temperature_k": [300.0, 400.0], "climb": [0.0, 1.0]})
    >>> takeover(table.assign(cross_slip=np.nan))["climb_k"].tolist()
    [350.0]
    """
    rows = {
        rate: {f"{name}_k": _passes_half(own["temperature_k"], own[name]) for name in ("climb", "cross_slip")}
        for rate, own in table.sort_values("temperature_k").groupby("rate_per_s", sort=False)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rate_per_s")


def _passes_half(temperature: pd.Series, share: pd.Series) -> float:
    """The first temperature at which a share reaches 1/2, between points by a straight line."""
    t, y = temperature.to_numpy(float), share.to_numpy(float)
    above = np.flatnonzero(y >= 0.5)
    if not len(above) or above[0] == 0:
        return np.nan
    k = above[0]
    return float(np.interp(0.5, [y[k - 1], y[k]], [t[k - 1], t[k]]))
