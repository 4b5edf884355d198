"""Climb of edge dislocations: traceless climb tensors, a power law and the vacancy-diffusion rate.

    K = (b.e)(e (x) e - I/3),  e = t x n the edge direction of a line t in the slip plane; edge: K = b (x) b - I/3
    drive sigma_K = K:sigma = b.sigma'.b (deviator): hydrostatic stress drives nothing; a screw has K = 0
    power      beta = beta0 |sigma_K/sigma_c|^n sgn(sigma_K)
    diffusion  beta = rho b v,  v = 2 pi D/(b ln(R/r)) [exp(sigma_K Omega/kT) - 1],  D = D0 exp(-Q/RT)

Climb adds beta K to the strain rate, no spin and no hardening. Edges of one Burgers vector share one K: fcc 6 (rank 5),
bcc 4 (rank 3), hcp <a> 3 (rank 3).

| symbol | meaning | unit | shape |
|---|---|---|---|
| K | climb tensors | | (C, 3, 3) |
| rho, b, Omega | density of edges, Burgers vector, atomic volume | 1/m^2, m, m^3 | |
| D0, Q | self-diffusion | m^2/s, J/mol | |

References: Hartley 2003, Phil. Mag. 83:3783; Lebensohn, Hartley, Tome & Castelnau 2010, Phil. Mag. 90:567; Caillard &
Martin 2003, Thermally Activated Mechanisms in Crystal Plasticity.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cpml.crystallography.systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.basis import to_vector
from cpml.plasticity.glide import BOLTZMANN_J
from cpml.plasticity.orientation import as_tensor

GAS = 8.314462618
# D0 (m^2/s), Q (J/mol), melting point (K), Burgers vector (m), atomic volume (m^3); Frost & Ashby 1982 (to confirm)
DIFFUSION = {"aluminium": (1.7e-4, 142e3, 933, 2.86e-10, 1.66e-29), "copper": (2.0e-5, 197e3, 1356, 2.56e-10, 1.18e-29),
             "nickel": (1.9e-4, 284e3, 1726, 2.49e-10, 1.09e-29), "iron": (2.0e-4, 251e3, 1810, 2.48e-10, 1.18e-29),
             "magnesium": (1.0e-4, 135e3, 924, 3.21e-10, 2.33e-29), "titanium": (8.6e-10, 150e3, 1933, 2.95e-10, 1.76e-29),
             "austenitic_steel": (3.7e-5, 280e3, 1680, 2.58e-10, 1.21e-29)}


def climb_tensor(direction: NDArray, normal: NDArray, character_deg: float = 90.0) -> NDArray:
    """K (..., 3, 3) of a line at `character_deg` from its Burgers direction (90 edge, 0 screw)."""
    b, n = np.asarray(direction, float), np.asarray(normal, float)
    angle = np.deg2rad(character_deg)
    line = np.cos(angle) * b + np.sin(angle) * np.cross(n, b)
    e = np.cross(line, n)
    size = np.sum(b * e, -1)[..., None, None]
    return size * (e[..., :, None] * e[..., None, :] - np.eye(3) / 3)


def climb_systems(systems: Systems) -> tuple[NDArray, tuple[str, ...], NDArray]:
    """Edge climb of every distinct Burgers direction of the slip systems: K (C, 3, 3), names, Burgers directions (C, 3)."""
    found: dict[tuple, int] = {}
    for s in np.flatnonzero(systems.slip):
        b = np.round(systems.direction[s], 8) + 0.0
        first = next(v for v in b if abs(v) > 1e-6)
        found.setdefault(tuple(b * np.sign(first) + 0.0), int(s))
    index = np.array(list(found.values()), int)
    if len(index) == 0:
        raise ParameterError("these systems have no slip, so no dislocations that could climb")
    names = tuple("climb [" + systems.names[i].split("[")[-1] for i in index)
    return climb_tensor(systems.direction[index], systems.plane[index]), names, systems.direction[index]


@dataclass(frozen=True)
class PowerClimb:
    """beta = rate0 |sigma_K/strength|^n sgn(sigma_K) on every climb system of `systems`."""

    systems: Systems
    strength: float  # MPa
    n: float = 3.0
    reference_rate: float = 1e-3  # 1/s

    def __post_init__(self):
        if not self.strength > 0 or not 1 <= self.n <= 1000 or not self.reference_rate > 0:
            raise ParameterError(f"climb strength {self.strength}, n {self.n} and rate {self.reference_rate} must be "
                                 "positive, n at least 1")

    @property
    def schmid(self) -> Tensor:
        """(C, 5) climb tensors, crystal frame."""
        return as_tensor(to_vector(climb_systems(self.systems)[0]))

    def rates(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """Climb rates and their derivative, (..., C), of climb stresses K:sigma (..., C) in MPa."""
        x = drive / self.strength
        f = self.reference_rate * x.abs() ** (self.n - 1)
        return f * x, self.n * f / self.strength


@dataclass(frozen=True)
class DiffusionClimb:
    """Climb limited by vacancy diffusion (module docstring)."""

    systems: Systems
    temperature: float  # K
    diffusion0: float  # m^2/s
    activation: float  # J/mol
    burgers: float  # m
    atomic_volume: float  # m^3
    density: float = 1e13  # 1/m^2
    log_ratio: float = 7.0  # ln(R/r)

    def __post_init__(self):
        for name in ("temperature", "diffusion0", "activation", "burgers", "atomic_volume", "density", "log_ratio"):
            if not float(getattr(self, name)) > 0:
                raise ParameterError(f"{name} = {getattr(self, name)} must be positive")

    @classmethod
    def of(cls, systems: Systems, metal: str, temperature: float, **options) -> "DiffusionClimb":
        """Self-diffusion of a metal in DIFFUSION."""
        if metal not in DIFFUSION:
            raise ParameterError(f"no diffusion data for {metal!r}; choose from {', '.join(DIFFUSION)}")
        d0, q, _, b, volume = DIFFUSION[metal]
        return cls(systems, temperature, d0, q, b, volume, **options)

    @property
    def schmid(self) -> Tensor:
        """(C, 5) climb tensors, crystal frame."""
        return as_tensor(to_vector(climb_systems(self.systems)[0]))

    def rates(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """Climb rates and their derivative, (..., C), of climb stresses K:sigma (..., C) in MPa."""
        diffusivity = self.diffusion0 * np.exp(-self.activation / (GAS * self.temperature))
        per_stress = 1e6 * self.atomic_volume / (BOLTZMANN_J * self.temperature)
        size = self.density * 2 * np.pi * diffusivity / self.log_ratio
        x = (per_stress * drive).clamp(max=100.0)
        return size * torch.expm1(x), size * per_stress * torch.exp(x)
