"""Climb of edge dislocations at the rate of vacancy diffusion, driven by the normal stress along b.

    drive sigma_K = K:sigma = b.sigma'.b (deviator), K the climb tensors of cpml.crystallography.climb_modes
    beta = rho b v,  v = 2 pi D/(b ln(R/r)) [exp(sigma_K Omega/kT) - 1],  D = D0 exp(-Q/RT)

Climb adds beta K to the strain rate, no spin and no hardening.

| symbol | meaning | unit | shape |
|---|---|---|---|
| K | climb tensors | | (C, 3, 3) |
| rho, b, Omega | density of edges, Burgers vector, atomic volume | 1/m^2, m, m^3 | |
| D0, Q | self-diffusion | m^2/s, J/mol | |

References: Hartley 2003, Phil. Mag. 83:3783; Lebensohn, Hartley, Tome & Castelnau 2010, Phil. Mag. 90:567;
Caillard & Martin 2003, Thermally Activated Mechanisms in Crystal Plasticity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.climb_modes import climb_modes
from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws.constants import BOLTZMANN, GAS


@dataclass(frozen=True)
class DiffusionClimb:
    """Climb limited by vacancy diffusion (module docstring)."""

    systems: Systems
    temperature: float | Tensor  # K, one or (..., 1) per point
    diffusion0: float  # m^2/s
    activation: float  # J/mol
    burgers: float  # m
    atomic_volume: float  # m^3
    density: float = 1e13  # 1/m^2
    log_ratio: float = 7.0  # ln(R/r)
    name = "climb"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "systems" and not bool((as_tensor(value) > 0).all()):
                raise ParameterError(f"{name} = {value} must be positive")

    @classmethod
    def from_material(
        cls, material: Material, temperature: float | Tensor, *, families: Sequence[str] | None = None
    ) -> "DiffusionClimb":
        """Climb with the self-diffusion of a material file (block `diffusion`);
        ParameterError when it has none.
        """
        block = material.diffusion
        if not block:
            raise ParameterError(
                f"material {material.name!r} has no block diffusion: its climb rate is unknown"
            )
        return cls(
            material.systems(families),
            temperature,
            float(block["d0_m2_per_s"]),
            1e3 * float(block["q_kj_per_mol"]),
            material.burgers,
            1e-27 * float(block["atomic_volume_nm3"]),
        )

    @cached_property
    def schmid(self) -> Tensor:
        """(C, 5) climb tensors, crystal frame."""
        return as_tensor(climb_modes(self.systems).tensor5)

    def rates(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """Climb rates and their derivative, (..., C), of climb stresses K:sigma (..., C) in MPa."""
        temperature = as_tensor(self.temperature)
        diffusivity = self.diffusion0 * torch.exp(-self.activation / (GAS * temperature))
        per_stress = 1e6 * self.atomic_volume / (BOLTZMANN * temperature)
        size = self.density * 2 * np.pi * diffusivity / self.log_ratio
        x = (per_stress * drive).clamp(max=100.0)
        return size * torch.expm1(x), size * per_stress * torch.exp(x)
