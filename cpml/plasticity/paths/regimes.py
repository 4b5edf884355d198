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

from cpml.crystallography import random_quaternions
from cpml.crystallography.materials import Material
from cpml.crystallography.tensors import rotation_5x5, to_vector, von_mises_stress
from cpml.plasticity.arguments import as_matrices
from cpml.plasticity.crystal.single_crystal import single_crystal
from cpml.plasticity.laws.climb import DiffusionClimb
from cpml.plasticity.laws.cross_slip import CrossSlip
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.together import Together

TENSION = np.diag([1.0, -0.5, -0.5])


def regimes(
    material: Material, *, temperatures, rates=(1e-3, 1e-5, 1e-7), n_crystals: int = 6, seed: int = 0
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
    glide, one = (
        PowerLaw.from_material(material),
        as_matrices(random_quaternions(n_crystals, np.random.default_rng(seed))),
    )
    points = np.array([(r, t) for r in rates for t in temperatures], float)
    rate, temperature = (
        torch.as_tensor(points[:, k].copy()).repeat_interleave(n_crystals)[:, None] for k in (0, 1)
    )
    matrices, law = (
        one.repeat(len(points), 1, 1),
        Together((glide, DiffusionClimb.from_material(material, temperature))),
    )
    with torch.no_grad():
        found = single_crystal(law, rate * torch.as_tensor(to_vector(TENSION)), matrices, tol=1e-8)
    slip, climb = (found.shear_rate[:, part].abs().sum(-1) for part in law.parts)
    transfer = torch.full_like(slip, torch.nan)
    if material.cross_slip:
        crystal = (found.stress[:, None, :] @ rotation_5x5(matrices))[:, 0]
        transfer = (
            CrossSlip.from_material(material)
            .activity(found.shear_rate[:, law.parts[0]], crystal, temperature)
            .sum(-1)
        )
    mean = [
        x.reshape(len(points), n_crystals).mean(1).numpy()
        for x in (von_mises_stress(found.stress), slip, climb, transfer)
    ]
    return pd.DataFrame(
        {
            "rate_per_s": points[:, 0],
            "temperature_k": points[:, 1],
            "homologous": points[:, 1] / material.diffusion["melting_k"],
            "stress_mpa": mean[0],
            "climb": mean[2] / (mean[1] + mean[2]),
            "cross_slip": mean[3] / np.maximum(mean[1], 1e-300),
            "converged": found.converged.reshape(len(points), n_crystals).all(1).numpy(),
        }
    )
