"""Twin volume fractions as state (Kalidindi): smooth saturation in place of reorientation, so gradients pass.

    df_s/dt = gamma_s / S_s,   F = sum_s f_s <= 1,   slip and twinning in the untwinned part: (1 - F) gamma_s

A factor m on a power-law rate equals a strength multiplied by m^(-1/n), so that the fractions
enter any solver as strengths xi (1 - F)^(-1/n). F is held below 0.999, where a residual rate keeps the
crystal able to deform. With `slip=False` the factor is on twinning alone and slip goes on everywhere (as in
DAMASK's phenopowerlaw).

| symbol | meaning | shape |
|---|---|---|
| f, F | fraction per twin system, sum | (G, S), (G, 1) |
| S | twin shear | (S,) |

Reference: Kalidindi 1998, J. Mech. Phys. Solids 46:267.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.strength.hardening import Hardening, State
from cpml.plasticity.laws.strength.implicit_step import implicit_step

LIMIT = 0.999  # of the twinned fraction of a grain


@dataclass(frozen=True)
class TwinFraction:
    """A hardening law whose crystals fill with twins; `hardening` is that of the untwinned part."""

    systems: Systems
    hardening: Hardening
    n: float = 20.0  # of the flow law
    slip: bool = True  # whether slip is confined to the untwinned part as well

    def __post_init__(self) -> None:
        if not self.systems.twin.any():
            raise ParameterError("these systems have no twins: a twin fraction has nothing to count")
        if not self.n >= 1:
            raise ParameterError(f"n = {self.n} must be at least 1")

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths, MPa, without twins."""
        return self._wrap(self.hardening.start(strength), torch.zeros_like(strength))

    def harden(
        self,
        state: State,
        shear_rate: Tensor,
        dt: Tensor | float,
        *,
        rate: float | None = None,
        temperature: float | None = None,
    ) -> State:
        """State after a step: hardening of the inner law, fractions grown and capped."""
        inner = self.hardening.harden(state["inner"], shear_rate, dt, rate=rate, temperature=temperature)
        return self._wrap(inner, self._filled(state["fraction"], shear_rate, dt))

    def implicit(
        self, state: State, iterate: State, shear_rate: Tensor, dt: Tensor | float, **given: Any
    ) -> State:
        """State after a step at the shear rates and the inner state of its end."""
        inner = implicit_step(self.hardening, state["inner"], iterate["inner"], shear_rate, dt, **given)
        return self._wrap(inner, self._filled(state["fraction"], shear_rate, dt))

    def _filled(self, fraction: Tensor, shear_rate: Tensor, dt: Tensor | float) -> Tensor:
        """Fractions after shears of a step, capped."""
        twin = torch.as_tensor(self.systems.twin)
        shear = torch.where(twin, torch.as_tensor(self.systems.twin_shear), 1.0)
        added = torch.where(twin, shear_rate.clamp(min=0) * dt / shear, 0.0)
        room = (LIMIT - fraction.sum(-1, keepdim=True)).clamp(min=0)
        total = added.sum(-1, keepdim=True)
        return fraction + added * torch.where(total > room, room / total.clamp(min=1e-300), 1.0)

    def _wrap(self, inner: State, fraction: Tensor) -> State:
        left = (1 - fraction.sum(-1, keepdim=True)) ** (-1 / self.n)
        if not self.slip:
            left = torch.where(torch.as_tensor(self.systems.twin), left, 1.0)
        return {"strength": inner["strength"] * left, "inner": inner, "fraction": fraction}
