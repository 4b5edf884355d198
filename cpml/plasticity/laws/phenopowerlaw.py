"""Phenomenological hardening of slip and twinning by each other, with the terms of DAMASK's phenopowerlaw.

    slip  d xi_s = slip law of `slip` (saturation, twins of fraction F raise xi_inf) + sum_t h_st d gamma_t
    twin  d xi_t = (sum_s |gamma_s|)^c3 sum_s h_ts |d gamma_s| + F^c4 sum_u h_tu d gamma_u,     F = sum_t f_t

s: slip, t, u: twins. h_st, h_ts and h_tu are in MPa; in DAMASK h_ts = h_0_tw-sl h_tw-sl, h_tu = h_0_tw-tw
h_tw-tw and h_st = h_sl-tw, a stress. There slip is not confined to the untwinned part, the rate of twinning
is: `TwinFraction(systems, Phenopowerlaw(...), n, slip=False)`. Steps are explicit (Euler).

Reference: Roters et al. 2019, Comput. Mater. Sci. 158:420.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.laws.strength.hardening import Saturation, State
from cpml.plasticity.laws.values import LatentMatrix


@dataclass(frozen=True)
class Phenopowerlaw:
    """Hardening of a set of systems (module docstring); moduli in MPa: a number, (K, K) per family or (S, S).

    Parameters
    ----------
    slip : the slip half; what it says of pairs with twins does not count
    slip_by_twin, twin_by_slip, twin_by_twin : h_st, h_ts, h_tu; row = hardened system, column = active system
    exponents : c3, c4

    Raises
    ------
    ParameterError : a negative exponent or modulus, a matrix of another shape
    """

    systems: Systems
    slip: Saturation
    slip_by_twin: LatentMatrix = LatentMatrix(0.0, diagonal=None)
    twin_by_slip: LatentMatrix = LatentMatrix(0.0, diagonal=None)
    twin_by_twin: LatentMatrix = LatentMatrix(0.0, diagonal=None)
    exponents: tuple[float, float] = (1.0, 0.0)

    def __post_init__(self) -> None:
        if not min(self.exponents) >= 0:
            raise ParameterError(f"exponents = {self.exponents} (c3, c4) must not be negative")
        if len(self.slip.systems) != len(self.systems):
            raise ParameterError(
                f"the slip law is one of {len(self.slip.systems)} systems, this is one of {len(self.systems)}"
            )

    def start(self, strength: Tensor) -> State:
        """State of (G, S) initial strengths, MPa."""
        return {**self.slip.start(strength), "shear": torch.zeros(len(strength), 1, dtype=torch.float64)}

    def harden(self, state: State, shear_rate: Tensor, dt: Tensor | float, **_: float | None) -> State:
        """State after an explicit step of length dt (s) at shear rates (G, S)."""
        twin = torch.as_tensor(self.systems.twin)
        shears = shear_rate.abs() * dt
        slips, twins = torch.where(twin, 0.0, shears), torch.where(twin, shears, 0.0)
        by_slip = self.slip.harden({"strength": state["strength"], "twinned": state["twinned"]}, slips, 1.0)
        on_slip = by_slip["strength"] + twins @ self.slip_by_twin.T
        shear, twinned = (
            state[key] ** k for key, k in zip(("shear", "twinned"), self.exponents, strict=True)
        )
        on_twins = shear * (slips @ self.twin_by_slip.T) + twinned * (twins @ self.twin_by_twin.T)
        return {
            "strength": torch.where(twin, state["strength"] + on_twins, on_slip),
            "twinned": self.slip.filled(state["twinned"], twins),
            "shear": state["shear"] + slips.sum(-1, keepdim=True),
        }
