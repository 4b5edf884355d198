"""Which mechanism carries the strain at a temperature and rate: climb beside
glide, and cross-slip of the glide.

Single crystals of random orientation under uniaxial strain; glide by the power law of a material file (it has
no temperature of its own), climb by its self-diffusion, cross-slip by its stacking-fault energy. The share of
climb is that of sum |rates|; that of cross-slip is the rate of transfer between planes over the slip rate.

Reference for the idea: Frost & Ashby 1982, Deformation-Mechanism Maps.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from cpml.crystallography.materials import Material
from cpml.crystallography.rotations import random_quaternions
from cpml.crystallography.tensors import rotation_5x5, to_vector, von_mises_stress
from cpml.plasticity.arguments import as_matrices
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.climb import DiffusionClimb
from cpml.plasticity.laws.cross_slip import CrossSlip
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.together import Together

TENSION = np.diag([1.0, -0.5, -0.5])
N_CRYSTALS = 6


def regimes(
    material: Material, *, temperatures: ArrayLike, rates: ArrayLike = (1e-3, 1e-5, 1e-7)
) -> pd.DataFrame:
    """Shares of climb and cross-slip over temperature and rate.

    Parameters
    ----------
    material : with the block diffusion; cross-slip where it has that block
    temperatures : K
    rates : von Mises strain rates, 1/s

    Returns
    -------
    table rate_per_s, temperature_k, homologous (T over the melting point), stress_mpa, climb, cross_slip
    (NaN where unknown), converged

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
    law = Together((PowerLaw.from_material(material), DiffusionClimb.from_material(material, temperature)))
    with torch.no_grad():
        solved = single_crystal(law, rate * torch.as_tensor(to_vector(TENSION)), matrices, tol=1e-8)
    slip, climb = (solved.shear_rate[:, part].abs().sum(-1) for part in law.parts)
    transfer = torch.full_like(slip, torch.nan)
    if material.cross_slip:
        crossing = CrossSlip.from_material(material)
        local = (solved.stress[:, None, :] @ rotation_5x5(matrices))[:, 0]  # crystal axes
        transfer = crossing.activity(solved.shear_rate[:, law.parts[0]], local, temperature).sum(-1)
    stress, slip, climb, transfer = (
        x.reshape(len(points), N_CRYSTALS).mean(1)
        for x in (von_mises_stress(solved.stress), slip, climb, transfer)
    )
    return pd.DataFrame(
        {
            "rate_per_s": points[:, 0],
            "temperature_k": points[:, 1],
            "homologous": points[:, 1] / material.diffusion["melting_k"],
            "stress_mpa": stress.numpy(),
            "climb": (climb / (slip + climb)).numpy(),
            "cross_slip": (transfer / slip.clamp(min=1e-300)).numpy(),
            "converged": solved.converged.reshape(len(points), N_CRYSTALS).all(1).numpy(),
        }
    )
