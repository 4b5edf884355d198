"""A law as power laws of its modes at one rate: its tangent in ln rate against ln tau, and weaker laws on the
way to it.

    rate_s(tau) = r0 |tau/xi_s|^n_s sgn(tau),   n_s = min(n, d ln rate_s / d ln tau at xi_s)

Newton's method reaches a steep law by solving it at rising n: the stresses xi_s at which each mode alone
moves at r0 stay as they are, and the last of these laws has the rates and slopes of the law itself there. A
mode that does not move backwards (twins) does not on the way either.

| symbol | meaning | unit | shape |
|---|---|---|---|
| r0 | rate at which stresses stay as they are, that of the problem | 1/s | scalar or (G, 1) |
| xi | stresses of the modes at r0 | MPa | (S,) or (G, S) |
| n | 1 or more | | |

Back stresses of a law (cpml.plasticity.laws.shifted) are taken off tau on the way too.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws.flow import directed
from cpml.plasticity.laws.law import Law, PowerLaw, stress_at_rate

_GROWTH = 2.5  # of the exponent from stage to stage
_CLOSE = 1.5  # of the exponent of the law: no stage nearer to it
_LARGEST = 1e5  # exponent beyond which there is no end to stages


@dataclass(frozen=True)
class TangentLaw:
    """Power laws of the modes of a law (module docstring)."""

    schmid: Tensor  # (S, 5)
    stress: Tensor  # xi
    exponent: Tensor  # n_s
    is_polar: Tensor  # bool
    rate: Tensor | float  # r0, 1/s
    back_stress: Tensor | float = 0.0  # MPa

    @classmethod
    def of(cls, law: Law, stress: Tensor, rate: Tensor | float) -> "TangentLaw":
        """That of a law whose modes, without back stress, move at `rate`, 1/s, under `stress`, MPa."""
        with torch.no_grad():
            shift = getattr(law, "back_stress", 0.0)
            moved, slope = law.rates(stress + shift)
            own = torch.where(moved > 0, stress * slope / moved.clamp(min=1e-300), 1.0)
            own = torch.nan_to_num(own, nan=1.0).clamp(min=1.0)
            is_polar = law.rates(shift - stress)[0] == 0
            return cls(law.schmid.detach(), stress, own, is_polar, rate, shift)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes (..., S)."""
        tau = tau - self.back_stress
        x = directed(tau, self.is_polar) / self.stress
        f = self.rate * x.abs() ** (self.exponent - 1)
        moves = ~(self.is_polar & (tau <= 0))  # |x|^0 = 1 at rest too
        return f * x, torch.where(moves, f * self.exponent / self.stress, 0.0)

    def capped(self, n: float) -> "TangentLaw":
        """The law with no exponent above n."""
        return replace(self, exponent=self.exponent.clamp(max=n))


def tangent_law(law: Law, rate: Tensor | float, *, largest: float) -> TangentLaw:
    """Power laws of the modes at a rate, 1/s, a number or (G, 1), with exponents up to `largest`."""
    return TangentLaw.of(law, stress_at_rate(law, rate), rate).capped(largest)


def softened(law: Law, stress: Tensor, rate: Tensor | float) -> list[Law]:
    """Laws from a nearly linear one to the law itself, last; `stress` is that of each mode at `rate`, 1/s."""
    tangent = TangentLaw.of(law, stress, rate)
    steepest, n, way = min(float(tangent.exponent.max()), _LARGEST), 1.0, list[Law]()
    while n * _CLOSE < steepest:
        way.append(_weaker(law, n, rate) if isinstance(law, PowerLaw) else tangent.capped(n))
        n *= _GROWTH
    return [*way, law]


def _weaker(law: PowerLaw, n: float, rate: Tensor | float) -> PowerLaw:
    """The law at a smaller exponent and the same stresses at a rate."""
    own, rate0 = as_tensor(law.n).item(), as_tensor(law.reference_rate).item()
    scale = (float(as_tensor(rate).max()) / rate0) ** (1 / own - 1 / n)
    return replace(law, n=n, strength=law.strength.detach() * scale)
