"""Thermally activated glide: velocity of dislocations over obstacles, with viscous drag above them.

    gamma_dot = rho b v sgn(tau),   1/v = (1/v0) exp[(Q/kT)(1 - (t/tau0)^p)^q] + B/(t b)
    t = max(|tau| - tau_pass, 0)

Twin systems (polar) move for tau > 0 only. Below the passing stress nothing moves.

| symbol | meaning | unit |
|---|---|---|
| rho, b | mobile density, Burgers vector | 1/m^2, m |
| Q, tau0 | obstacle energy, strength at 0 K | J, MPa |
| p, q | shape of the obstacle, 0 < p <= 1 <= q <= 2 | |
| tau_pass | passing stress of the other dislocations | MPa |
| B | drag coefficient | MPa s |

References: Kocks, Argon & Ashby 1975, Prog. Mater. Sci. 19:1; form as in DAMASK's
dislotwin (Sedighiani et al. 2020).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.constants import BOLTZMANN
from cpml.plasticity.laws.flow import directed
from cpml.plasticity.laws.values import PerSystem

_LEAST = 1e-6  # of tau0: keeps (t/tau0)^(p-1) finite


@dataclass(frozen=True)
class ThermalGlide:
    """Law of a set of systems (module docstring) at one temperature; family, system or single values.

    Raises
    ------
    ParameterError : a temperature outside 0 to 5000 K, a value that is not positive,
        an obstacle of another shape
    """

    systems: Systems
    temperature: float  # K
    energy: PerSystem = PerSystem(sign="positive")  # J
    strength0: PerSystem = PerSystem(sign="positive")  # MPa, tau0
    burgers: PerSystem = PerSystem(sign="positive")  # m
    density: PerSystem = PerSystem(1e12, sign="positive")  # 1/m^2
    velocity0: PerSystem = PerSystem(1e3, sign="positive")  # m/s
    passing: PerSystem = PerSystem(0.0, per_grain=True)  # MPa; also (G, S), of grains that harden
    p: PerSystem = PerSystem(0.5, sign="positive")
    q: PerSystem = PerSystem(1.5, sign="positive")
    drag: float = 1e-10  # MPa s

    def __post_init__(self) -> None:
        if not 0 < float(self.temperature) < 5000:
            raise ParameterError(f"temperature = {self.temperature} K must be between 0 and 5000")
        if bool((self.p > 1).any()) or bool((self.q < 1).any()) or bool((self.q > 2).any()):
            raise ParameterError("the obstacle shape needs 0 < p <= 1 <= q <= 2")

    @property
    def schmid(self) -> Tensor:
        """(S, 5) Schmid tensors, crystal frame."""
        return torch.as_tensor(self.systems.schmid5)

    @property
    def system_strength(self) -> Tensor:
        """Passing stresses, MPa: what hardening raises."""
        return self.passing

    def with_strength(self, strength: Tensor) -> "ThermalGlide":
        """The law at other passing stresses, e.g. those of hardened grains (G, S), MPa."""
        return replace(self, passing=strength)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Shear rates and their derivative by tau, both (..., S), at resolved stresses (..., S), MPa."""
        tau = directed(tau, torch.as_tensor(self.systems.twin))
        free = tau.abs() - self.passing
        moves = free > 0
        stress = torch.maximum(free, _LEAST * self.strength0)
        x = (stress / self.strength0).clamp(max=1.0)
        height = self.energy / (BOLTZMANN * self.temperature)
        left = (1 - x**self.p).clamp(min=0)
        wait = torch.exp(height * left**self.q) / self.velocity0
        slope = -height * self.q * left ** (self.q - 1) * self.p * x ** (self.p - 1) / self.strength0
        slope = torch.where(x < 1, slope, 0.0)
        flight = self.drag / (stress * self.burgers)
        per_velocity = self.density * self.burgers
        rate = per_velocity / (wait + flight)
        derivative = -per_velocity * (wait * slope - flight / stress) / (wait + flight) ** 2
        return torch.where(moves, rate * tau.sign(), 0.0), torch.where(moves, derivative, 0.0)
