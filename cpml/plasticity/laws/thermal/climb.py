"""Climb of edge dislocations at the rate of vacancy diffusion, driven by the normal stress along b.

    drive sigma_K = K:sigma = b.sigma'.b (deviator), K the climb tensors of cpml.crystallography.climb_modes
    beta = rho b v,  v = 2 pi D/(b ln(R/r)) [exp(sigma_K Omega/kT) - 1],  D = D0 exp(-Q/RT) + rho A_c
    rho  = (sigma_K/(alpha mu b))^2,  A_c = a_c D0c exp(-Qc/RT),  mu = mu0 [1 + k (T - 300 K)/T_m]

The dislocations that climb are those that the stress holds in a steady state, Taylor's relation for the drive
of each Burgers vector; a density that is known takes its place. So beta goes as sigma^3 (the "natural" creep
law), as sigma^5 where diffusion along the cores of the same dislocations is faster than through the lattice.
Measured exponents of pure metals are 4 to 5 (Frost & Ashby: 4.4 for aluminium); no theory without fitted
constants gives them, and none are fitted here. Climb adds beta K to the strain rate, no spin and no
hardening.

| symbol | meaning | unit | shape |
|---|---|---|---|
| K | climb tensors | | (C, 3, 3) |
| rho, b, Omega | density of edges, Burgers vector, atomic volume | 1/m^2, m, m^3 | |
| D0, Q | self-diffusion | m^2/s, J/mol | |
| a_c D0c, Qc | diffusion along cores: section of a core times its diffusivity | m^4/s, J/mol | |
| mu, k, alpha | shear modulus, its slope; Taylor's constant, 10^(-1/2) in Frost & Ashby | MPa, -, - | |

References: Hartley 2003, Phil. Mag. 83:3783; Lebensohn, Hartley, Tome & Castelnau 2010, Phil. Mag. 90:567;
Caillard & Martin 2003, Thermally Activated Mechanisms in Crystal Plasticity; Frost & Ashby 1982,
Deformation-Mechanism Maps, section 2.4 (density, cores, modulus).
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

_DEFORMED = 1e13  # 1/m^2, density of a metal after some percent of strain
_MOST = 100.0  # drive times atomic volume over kT: keeps exponentials finite


@dataclass(frozen=True)
class DiffusionClimb:
    """Climb limited by vacancy diffusion (module docstring)."""

    systems: Systems
    temperature: float | Tensor  # K, one or (..., 1) per point
    diffusion0: float  # m^2/s
    activation: float  # J/mol
    burgers: float  # m
    atomic_volume: float  # m^3
    shear_modulus: float | Tensor | None = None  # MPa at the temperature
    core_diffusion0: float = 0.0  # m^4/s, a_c D0c
    core_activation: float = 0.0  # J/mol
    density: float | Tensor | None = (
        None  # 1/m^2; None: that of the steady state, _DEFORMED without a modulus
    )
    alpha: float = 10**-0.5
    log_ratio: float = 7.0  # ln(R/r)
    name = "climb"

    def __post_init__(self) -> None:
        may_be_zero = ("core_diffusion0", "core_activation")
        for name, value in vars(self).items():
            if name in ("systems", *may_be_zero) or value is None:
                continue
            if not bool((as_tensor(value) > 0).all()):
                raise ParameterError(f"{name} = {value} must be positive")
        if self.core_diffusion0 < 0 or self.core_activation < 0:
            raise ParameterError("diffusion along dislocation cores must not be negative")

    @classmethod
    def from_material(
        cls,
        material: Material,
        temperature: float | Tensor,
        *,
        families: Sequence[str] | None = None,
        density: float | None = None,
    ) -> "DiffusionClimb":
        """Climb with the self-diffusion of a material file (block `diffusion`); `density` (1/m^2) in place of
        that of the steady state. ParameterError for a material without the block.
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
            shear_modulus=material.shear_modulus(as_tensor(temperature)),
            core_diffusion0=float(block.get("core_d0_m4_per_s", 0.0)),
            core_activation=1e3 * float(block.get("core_q_kj_per_mol", 0.0)),
            density=density,
        )

    @cached_property
    def schmid(self) -> Tensor:
        """(C, 5) climb tensors, crystal frame."""
        return as_tensor(climb_modes(self.systems).tensor5)

    def rates(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """Climb rates and their derivative, (..., C), of climb stresses K:sigma (..., C) in MPa."""
        temperature = as_tensor(self.temperature)
        lattice = self.diffusion0 * torch.exp(-self.activation / (GAS * temperature))
        cores = self.core_diffusion0 * torch.exp(-self.core_activation / (GAS * temperature))
        per_stress = 1e6 * self.atomic_volume / (BOLTZMANN * temperature)
        x = (per_stress * drive).clamp(max=_MOST)
        density, by_drive = self._density(drive)
        diffusivity = lattice + density * cores
        scale, push = 2 * np.pi / self.log_ratio, torch.expm1(x)
        rate = scale * density * diffusivity * push
        pushed = torch.where(x < _MOST, per_stress * torch.exp(x), 0.0)
        slope = scale * (by_drive * (diffusivity + density * cores) * push + density * diffusivity * pushed)
        return rate, slope

    def _density(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """rho (..., C), 1/m^2, and its derivative by the drive."""
        if self.density is not None or self.shear_modulus is None:
            known = _DEFORMED if self.density is None else self.density
            return as_tensor(known) + torch.zeros_like(drive), torch.zeros_like(drive)
        per = 1 / (self.alpha * as_tensor(self.shear_modulus) * self.burgers)
        return (drive * per) ** 2, 2 * drive * per**2
