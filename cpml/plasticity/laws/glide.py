"""Thermally activated glide: velocity of dislocations over obstacles, with viscous drag above them.

    gamma_dot = rho b v sgn(tau),   1/v = 1/v_jump + B/(t b),   t = max(|tau| - tau_pass, 0)
    v_jump = v0 exp[-(Q/kT)(1 - x^p)^q] (1 - exp[-2 (Q/kT) x]),   x = t/tau0 (in the first factor at most 1)

The last factor counts jumps against the stress: exact for p = q = 1, where forward less backward jumps make
2 v0 exp(-Q/kT) sinh(Q x/kT). Without it a crystal would flow at a finite rate under no stress, which is felt
where kT is not small beside Q. Twin systems (polar) move for tau > 0 only. Below the passing stress nothing
moves.

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
_TINY = 1e-60  # of tau0: keeps divisions by a stress of zero finite
_MOST = 690.0  # exponent of a waiting time, beyond which nothing moves in any test


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
        stress = torch.maximum(free, _TINY * self.strength0)
        ratio = stress / self.strength0
        x = ratio.clamp(_LEAST, 1.0)
        height = self.energy / (BOLTZMANN * self.temperature)
        left = (1 - x**self.p).clamp(min=0)
        # the exponent is bounded so that the lowest temperatures stay finite: Q/kT is some 10^4 at 4 K
        net = -torch.expm1(-2 * height * ratio)
        wait = torch.exp((height * left**self.q).clamp(max=_MOST)) / (self.velocity0 * net)
        climbs = height * self.q * left ** (self.q - 1) * self.p * x ** (self.p - 1)
        climbs = torch.where((ratio > _LEAST) & (ratio < 1), climbs, 0.0)
        slope = -(climbs + 2 * height * torch.exp(-2 * height * ratio) / net) / self.strength0
        flight = self.drag / (stress * self.burgers)
        per_velocity = self.density * self.burgers
        rate = per_velocity / (wait + flight)
        share = wait / (wait + flight)
        derivative = -rate * (share * slope - (1 - share) / stress)
        return torch.where(moves, rate * tau.sign(), 0.0), torch.where(moves, derivative, 0.0)
