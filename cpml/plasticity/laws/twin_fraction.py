"""Twin volume fractions as state (Kalidindi): smooth saturation in place of reorientation, so gradients pass.

    df_s/dt = gamma_s / S_s,   F = sum_s f_s <= 1,   slip and twinning in the untwinned part: (1 - F) gamma_s

A factor m on a power-law rate equals a strength multiplied by m^(-1/n), so that the fractions
enter any solver as strengths xi (1 - F)^(-1/n). F is held below 0.999, where a residual rate keeps the
crystal able to deform.

| symbol | meaning | shape |
|---|---|---|
| f, F | fraction per twin system, sum | (G, S), (G, 1) |
| S | twin shear | (S,) |

Reference: Kalidindi 1998, J. Mech. Phys. Solids 46:267.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.hardening import Hardening, State

LIMIT = 0.999  # of the twinned fraction of a grain


@dataclass(frozen=True)
class TwinFraction:
    """A hardening law whose crystals fill with twins; `hardening` is that of the untwinned part."""

    systems: Systems
    hardening: Hardening
    n: float = 20.0  # of the flow law

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
        twin = torch.as_tensor(self.systems.twin)
        shear = torch.where(twin, torch.as_tensor(self.systems.twin_shear), 1.0)
        added = torch.where(twin, shear_rate.clamp(min=0) * dt / shear, 0.0)
        room = (LIMIT - state["fraction"].sum(-1, keepdim=True)).clamp(min=0)
        total = added.sum(-1, keepdim=True)
        share = torch.where(total > room, room / total.clamp(min=1e-300), 1.0)
        return self._wrap(inner, state["fraction"] + added * share)

    def _wrap(self, inner: State, fraction: Tensor) -> State:
        left = (1 - fraction.sum(-1, keepdim=True)) ** (-1 / self.n)
        return {"strength": inner["strength"] * left, "inner": inner, "fraction": fraction}
