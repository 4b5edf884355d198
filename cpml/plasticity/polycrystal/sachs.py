"""The lower bound of a mean field: every grain under one stress direction.

    s_g = a_g S, S the common stress direction; the grain has the imposed von Mises rate with
    a_g = (D_vM / d_vM(S))^(1/n), because the rate of a power law goes with a^n

Reference: Sachs 1928, Z. VDI 72:734.
"""

import torch
from torch import Tensor

from cpml.crystallography.tensors import rotation_5x5, von_mises_rate
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.response import MeanField, collect


def sachs(law: PowerLaw, matrices: Tensor, weights: Tensor, direction: Tensor, rate: Tensor) -> MeanField:
    """Every grain under the stress direction (5,), at the von Mises size of the strain rate (5,)."""
    turn = rotation_5x5(matrices)
    local = (direction[None, None, :] @ turn)[:, 0, :]
    # stresses of the size of the strengths keep |tau/xi|^n representable
    size = law.system_strength.detach().mean(-1, keepdim=True)
    per_unit, _ = law.rates((local * size) @ law.schmid.T)
    wanted, unit = von_mises_rate(rate), von_mises_rate(per_unit @ law.schmid)
    is_moving = unit > 0
    factor = (wanted / torch.where(is_moving, unit, 1.0)) ** (1 / as_tensor(law.n))
    amplitude = torch.where(is_moving, factor, torch.nan)
    stress = amplitude[:, None] * size * direction
    shear_rate, _ = law.rates((local * size * amplitude[:, None]) @ law.schmid.T)
    grain_rate = (turn @ (shear_rate @ law.schmid)[..., None])[..., 0]
    residual = torch.where(is_moving, 0.0, torch.inf)
    return collect(stress, shear_rate, weights, grain_rate, is_moving, residual, 1)
