"""Back stress of every system (Armstrong & Frederick) on top of any hardening law.

    d chi_s = c d gamma_s - d chi_s |d gamma_s| + e d gamma_s,     the system feels tau_s - chi_s

Steps are exact for a constant rate: of the part that recovers chi = +-c/d + (chi_0 -+ c/d) exp(-d |gamma|). A
system that is sheared back and forth by an amplitude gamma_a ends on a loop with back stresses
+-[(c/d) tanh(d gamma_a) + e gamma_a].

| symbol | meaning | unit |
|---|---|---|
| c | modulus | MPa |
| d | recovery; 0: chi grows without limit | |
| e | modulus of a part that never recovers | MPa |

Reference: Armstrong & Frederick 1966, CEGB report RD/B/N731, in Mater. High Temp. 24 (2007) 1.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.plasticity.laws.strength.hardening import Hardening, State
from cpml.plasticity.laws.strength.implicit_step import implicit_step
from cpml.plasticity.laws.values import PerSystem


@dataclass(frozen=True)
class BackStress:
    """A hardening law with back stresses; `hardening` is that of the strengths.

    The state has "back_stress" (G, S), MPa, which crystals, mean fields and full fields take off the resolved
    stress (cpml.plasticity.laws.shifted), and "recovering", the part of it that recovers.
    """

    systems: Systems
    hardening: Hardening
    modulus: PerSystem = PerSystem()  # c, MPa
    recovery: PerSystem = PerSystem(0.0)  # d
    lasting: PerSystem = PerSystem(0.0)  # e, MPa

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths, MPa, without back stress."""
        zero = torch.zeros_like(strength)
        return self._wrap(self.hardening.start(strength), zero, zero)

    def harden(
        self,
        state: State,
        shear_rate: Tensor,
        dt: Tensor | float,
        *,
        rate: float | None = None,
        temperature: float | None = None,
    ) -> State:
        """State after a step of length dt (s) at shear rates (G, S)."""
        inner = self.hardening.harden(state["inner"], shear_rate, dt, rate=rate, temperature=temperature)
        return self._wrap(inner, *self._moved(state, shear_rate * dt))

    def implicit(
        self, state: State, iterate: State, shear_rate: Tensor, dt: Tensor | float, **given: Any
    ) -> State:
        """State after a step at the shear rates and the inner state of its end."""
        inner = implicit_step(self.hardening, state["inner"], iterate["inner"], shear_rate, dt, **given)
        return self._wrap(inner, *self._moved(state, shear_rate * dt))

    def _moved(self, state: State, shear: Tensor) -> tuple[Tensor, Tensor]:
        size = shear.abs()
        lost = -torch.expm1(-self.recovery * size)
        recovers = self.recovery > 0
        length = torch.where(recovers, lost / torch.where(recovers, self.recovery, 1.0), size)
        recovering = state["recovering"] * (1 - lost) + self.modulus * shear.sign() * length
        stays = state["back_stress"] - state["recovering"] + self.lasting * shear
        return recovering + stays, recovering

    def _wrap(self, inner: State, chi: Tensor, recovering: Tensor) -> State:
        return {
            "strength": inner["strength"],
            "inner": inner,
            "back_stress": chi,
            "recovering": recovering,
        }
