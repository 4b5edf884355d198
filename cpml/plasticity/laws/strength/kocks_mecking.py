"""Dislocation-density hardening with temperature and rate (Kocks & Mecking; debris after Madec & Beyerlein).

    d rho_s = (k1 sqrt(rho_s) - k2 rho_s) |d gamma_s|                      forest of system s
    k2/k1   = (chi b/g) (1 - kT/(D b^3) ln(rate/rate0))
    d rho_d = q b sqrt(rho_d) sum_s k2 rho_s |d gamma_s|                   debris (substructure)
    xi_s    = tau0(T) + chi mu b sqrt(sum_t a_st rho_t) + chi_d mu b sqrt(rho_d) ln(1/(b sqrt(rho_d)))

a_st = 1 within a family and 0 between families, or the interaction coefficients of
cpml.crystallography.interactions (with chi = 1). Closed form of one system without debris, from rho(0):
sqrt(rho) = k1/k2 (1 - e^(-k2 gamma/2)) + sqrt(rho(0)) e^(...). Steps are explicit (Euler), as in VPSC8.

| symbol | meaning | unit |
|---|---|---|
| rho | density | 1/m^2 |
| b | Burgers vector | m |
| k1 | storage | 1/m |
| D, g | drag stress, normalised activation energy | MPa, - |
| mu | shear modulus of the system, P:C:P | MPa |

References: Mecking & Kocks 1981, Acta Metall. 29:1865; Beyerlein & Tome 2008, Int. J. Plast. 24:867; Madec,
Devincre & Kubin 2002, Scripta Mater. 47:689.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_tensor
from cpml.plasticity.laws.constants import BOLTZMANN
from cpml.plasticity.laws.strength.hardening import State
from cpml.plasticity.laws.values import PerSystem


@dataclass(frozen=True)
class KocksMecking:
    """Dislocation densities per system and grain (module docstring); family values,
    system values or one number.
    """

    systems: Systems
    tau0: PerSystem = PerSystem()  # MPa, at the temperature of use
    k1: PerSystem = PerSystem()  # 1/m
    drag: PerSystem = PerSystem(sign="positive")  # MPa
    activation: PerSystem = PerSystem(sign="positive")  # g
    shear_modulus: PerSystem = PerSystem()  # MPa
    burgers: PerSystem = PerSystem(sign="positive")  # m
    density: PerSystem = PerSystem(1e12)  # initial, per system, 1/m^2
    chi: PerSystem = PerSystem(0.9)
    rate0: float = 1e7  # 1/s
    debris: float = 0.0  # initial, 1/m^2
    chi_debris: float = 0.086
    debris_factor: PerSystem = PerSystem(0.0)  # q
    interactions: Values | None = None  # (S, S) a_st; None: 1 within a family, 0 between families

    def __post_init__(self) -> None:
        matrix, count = self.interaction_matrix, len(self.systems)
        if matrix.shape != (count, count) or not bool((matrix.detach() >= 0).all()):
            raise ParameterError(f"interactions must be a non-negative ({count}, {count}) matrix")

    @property
    def interaction_matrix(self) -> Tensor:
        """(S, S) a_st."""
        if self.interactions is not None:
            return as_tensor(self.interactions)
        family = torch.as_tensor(self.systems.family)
        return (family[:, None] == family[None, :]).to(torch.float64)

    def start(self, strength: Tensor) -> State:
        """Initial densities for as many grains as `strength` (G, S) has; its
        values are replaced by this law's.
        """
        density = self.density.expand(len(strength), -1)
        debris = torch.full((len(strength), 1), float(self.debris), dtype=torch.float64)
        return self._with_strength(density, debris)

    def recovery(self, rate: float, temperature: float) -> Tensor:
        """k2 (S,) at a strain rate (1/s) and temperature (K); never negative."""
        if not rate > 0 or not temperature >= 0:
            raise ParameterError(f"rate = {rate} and temperature = {temperature} must be positive")
        log = torch.log(torch.as_tensor(rate / self.rate0, dtype=torch.float64))
        bracket = 1 - 1e-6 * BOLTZMANN * temperature / (self.drag * self.burgers**3) * log  # MPa m^3
        return self.k1 * self.chi * self.burgers / self.activation * bracket.clamp(min=0)

    def harden(
        self,
        state: State,
        shear_rate: Tensor,
        dt: Tensor | float,
        *,
        rate: float | None = None,
        temperature: float | None = None,
    ) -> State:
        """State after an explicit step of length dt (s) at shear rates (G, S), rate and temperature."""
        if rate is None or temperature is None:
            raise ParameterError(
                "dislocation densities need the strain rate and the temperature: give temperature=, K"
            )
        k2, slip, rho = self.recovery(rate, temperature), shear_rate.abs() * dt, state["density"]
        after = (rho + (self.k1 * rho.sqrt() - k2 * rho) * slip).clamp(min=1.0)
        removed = (self.debris_factor * self.burgers * k2 * rho * slip).sum(-1, keepdim=True)
        debris = state["debris"] + removed * _root(state["debris"])
        return self._with_strength(after, debris)

    def implicit(
        self, state: State, iterate: State, shear_rate: Tensor, dt: Tensor | float, **given: Any
    ) -> State:
        """State after a step whose densities grow at the rates of its end (backward Euler)."""
        grown = self.harden(iterate, shear_rate, dt, **given)
        density, debris = (state[key] + grown[key] - iterate[key] for key in ("density", "debris"))
        return self._with_strength(density.clamp(min=1.0), debris)

    def with_density(self, state: State, density: Tensor) -> State:
        """The state at other densities (G, S), 1/m^2, its debris as it is."""
        return self._with_strength(density, state["debris"])

    def _with_strength(self, density: Tensor, debris: Tensor) -> State:
        forest = (density @ self.interaction_matrix.T).sqrt()
        length = self.burgers * debris.clamp(min=1e-30).sqrt()
        sub = torch.where(
            debris > 0, self.chi_debris * self.shear_modulus * length * torch.log(1 / length), 0.0
        )
        strength = self.tau0 + self.chi * self.shear_modulus * self.burgers * forest + sub
        return {"strength": strength, "density": density, "debris": debris}


def _root(values: Tensor) -> Tensor:
    """Square roots, 0 with slope 0 where there is nothing."""
    is_there = values > 0
    return torch.where(is_there, torch.where(is_there, values, 1.0).sqrt(), 0.0)
