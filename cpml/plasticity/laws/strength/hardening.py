"""Hardening laws: pure functions state -> state on batches of grains; any of them goes with any flow law.

    extended Voce   xi_hat(G) = tau0 + (tau1 + theta1 G)(1 - exp(-G theta0/tau1)),   G = sum_s |gamma_s|
                    d xi_s = [xi_hat(G+dG) - xi_hat(G)]/dG  sum_t h_st |d gamma_t|   (tau1 = 0: slope theta1)
    saturation      d xi_s = h0 |1 - xi_s/xi_inf|^a sgn(1 - xi_s/xi_inf) sum_t h_st |d gamma_t|
                    (the factor belongs to the hardened system s); twins of volume fraction F harden slip:
                    h0 (1 + c1 F^c2) and xi_inf + f_sat sqrt(F) in place of h0 and xi_inf

Latent hardening: h_ss = 1 and h_st = latent[family of s, family of t] for t != s, or a full (S,
S) matrix built from the geometry (cpml.crystallography.interactions). Voce steps are exact in G;
the others are explicit (Euler). cpml.plasticity.laws.strength.implicit_step makes any of them implicit.

| symbol | meaning | unit | shape |
|---|---|---|---|
| xi | strength | MPa | (G, S) |
| tau0, tau1; theta0, theta1; h0, xi_inf | per family | MPa | (K,) |

References: Tome, Canova, Kocks, Christodoulou & Jonas 1984, Acta Metall. 32:1637;
Kalidindi, Bronkhorst & Anand 1992.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.values import LatentMatrix, PerSystem

State: TypeAlias = dict[str, Any]
"""What hardening knows of the grains: "strength" (G, S) in MPa, and whatever else the law keeps."""


class Hardening(Protocol):
    """Strengths of grains that deform, as a path needs them; new states are made, none is changed."""

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths, MPa."""

    def harden(
        self,
        state: State,
        shear_rate: Tensor,
        dt: Tensor | float,
        *,
        rate: float | None = None,
        temperature: float | None = None,
    ) -> State:
        """State after a step of length dt (s) at shear rates (G, S), von Mises strain
        rate (1/s) and temperature (K).
        """


@dataclass(frozen=True)
class NoHardening:
    """Constant strengths."""

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths, MPa."""
        return {"strength": strength}

    def harden(self, state: State, shear_rate: Tensor, dt: Tensor | float, **_: float | None) -> State:
        """The state itself."""
        return state

    def implicit(
        self, state: State, iterate: State, shear_rate: Tensor, dt: Tensor | float, **_: Any
    ) -> State:
        """The state itself."""
        return state


@dataclass(frozen=True)
class Voce:
    """Extended Voce law (module docstring); values per family, per system or one for all, MPa."""

    systems: Systems
    tau1: PerSystem = PerSystem(0.0)
    theta0: PerSystem = PerSystem(0.0, sign="any")
    theta1: PerSystem = PerSystem(0.0, sign="any")  # negative: softening
    latent: LatentMatrix = LatentMatrix(1.0)

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths tau0, MPa."""
        return {"strength": strength, "shear": torch.zeros(len(strength), 1, dtype=torch.float64)}

    def rise(self, shear: Tensor) -> Tensor:
        """(..., S) xi_hat - tau0 at accumulated shear (..., 1)."""
        has_bend = self.tau1 > 0
        tau1 = torch.where(has_bend, self.tau1, 1.0)
        bend = torch.exp(-shear * (self.theta0 / tau1).abs())
        return torch.where(has_bend, (self.tau1 + self.theta1 * shear) * (1 - bend), self.theta1 * shear)

    def implicit(
        self, state: State, iterate: State, shear_rate: Tensor, dt: Tensor | float, **_: Any
    ) -> State:
        """State after a step at the shear rates of its end: exact in G as it is."""
        return self.harden(state, shear_rate, dt)

    def harden(self, state: State, shear_rate: Tensor, dt: Tensor | float, **_: float | None) -> State:
        """State after a step of length dt (s) at shear rates (G, S)."""
        slip = shear_rate.abs() * dt
        total = slip.sum(-1, keepdim=True)
        after = state["shear"] + total
        slope = (self.rise(after) - self.rise(state["shear"])) / total.clamp(min=1e-300)
        return {"strength": state["strength"] + slope * (slip @ self.latent.T), "shear": after}


@dataclass(frozen=True)
class Saturation:
    """Saturating hardening (module docstring); h0 and xi_inf in MPa; the twin terms act on slip systems."""

    systems: Systems
    h0: PerSystem = PerSystem(sign="any")
    saturation: PerSystem = PerSystem(sign="positive")
    exponent: PerSystem = PerSystem(2.25, sign="positive")
    latent: LatentMatrix = LatentMatrix(1.4)
    twin_rise: tuple[float, float] = (0.0, 1.0)  # c1, c2
    twin_saturation: float = 0.0  # f_sat, MPa

    def __post_init__(self) -> None:
        if min(*self.twin_rise, self.twin_saturation) < 0:
            raise ParameterError(
                f"twin_rise = {self.twin_rise} and twin_saturation = {self.twin_saturation} must not be "
                "negative"
            )

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths, MPa."""
        return {"strength": strength, "twinned": torch.zeros(len(strength), 1, dtype=torch.float64)}

    def harden(self, state: State, shear_rate: Tensor, dt: Tensor | float, **_: float | None) -> State:
        """State after an explicit step of length dt (s) at shear rates (G, S)."""
        twinned, is_slip = state["twinned"], torch.as_tensor(self.systems.slip)
        h0, limit = self.h0, self.saturation
        if self.systems.twin.any() and (self.twin_rise[0] > 0 or self.twin_saturation > 0):
            root, power = (
                torch.where(twinned > 0, twinned.clamp(min=1e-300) ** k, 0.0)
                for k in (0.5, self.twin_rise[1])
            )
            h0 = torch.where(is_slip, h0 * (1 + self.twin_rise[0] * power), h0)
            limit = torch.where(is_slip, limit + self.twin_saturation * root, limit)
        left = 1 - state["strength"] / limit
        size = torch.where(left == 0, 0.0, torch.where(left == 0, 1.0, left.abs()) ** self.exponent)
        slip = shear_rate.abs() * dt
        return {
            "strength": state["strength"] + h0 * size * left.sign() * (slip @ self.latent.T),
            "twinned": self.filled(twinned, slip),
        }

    def filled(self, twinned: Tensor, shears: Tensor) -> Tensor:
        """Twinned fraction (G, 1) after shears (G, S)."""
        inverse = torch.as_tensor(1 / np.where(self.systems.twin, self.systems.twin_shear, np.inf))
        return (twinned + (shears @ inverse)[:, None]).clamp(max=1.0)
