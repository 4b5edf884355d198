"""A law on the way to itself: the same stresses at one rate, with weaker rate sensitivity exponents.

    rate_k(tau) = r0 (|rate(tau)| / r0)^(1/k) sgn rate
    d ln rate_k / d ln tau = (1/k) d ln rate / d ln tau

Newton's method reaches a steep law by solving it at falling k: a power law of exponent n is one of exponent
n/k on its way, thermally activated glide one of k times the temperature.

| symbol | meaning | unit |
|---|---|---|
| r0 | rate at which stresses stay as they are, that of the problem | 1/s |
| k | 1 or more | |
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws.law import Law, PowerLaw

_GROWTH = 2.5  # of the exponent from stage to stage
_CLOSE = 1.5  # of the factor that makes a law linear: no stage nearer to it
_LEAST = 1e-300  # 1/s, below which a rate has lost its digits
_LARGEST = 1e5  # exponent beyond which there is no end to stages


@dataclass(frozen=True)
class Softened:
    """A law softened by a factor k (module docstring)."""

    law: Law
    factor: float
    rate: float  # r0, 1/s

    @property
    def schmid(self) -> Tensor:
        """(S, 5) tensors of the law."""
        return self.law.schmid

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes (..., S)."""
        rate, slope = self.law.rates(tau)
        size = rate.abs()
        moves = size > _LEAST
        size = torch.where(moves, size, 1.0)
        soft = self.rate * (size / self.rate) ** (1 / self.factor)
        steep = soft / self.factor * (slope / size)
        return torch.where(moves, soft * rate.sign(), 0.0), torch.where(moves, steep, 0.0)


def exponent(law: Law, stress: Tensor) -> float:
    """Largest d ln rate / d ln tau of the modes at stresses (S,) or (G, S), MPa; at least 1."""
    with torch.no_grad():
        rate, slope = law.rates(stress)
        steep = torch.where(rate.abs() > 0, stress * slope / rate.abs().clamp(min=1e-300), 1.0)
    largest = float(torch.nan_to_num(steep, nan=1.0).max())
    return min(max(largest, 1.0), _LARGEST)


def softened(law: Law, stress: Tensor, rate: float) -> list[Law]:
    """Laws from a nearly linear one to the law itself, last; `stress` is that of each mode at `rate`, 1/s."""
    factor, way = exponent(law, stress), [law]
    k = _GROWTH
    while k * _CLOSE < factor:
        way.insert(0, _soft(law, k, rate))
        k *= _GROWTH
    return [_soft(law, factor, rate), *way] if factor > 1 else way


def _soft(law: Law, factor: float, rate: float) -> Law:
    """A law softened by a factor: a power law is one of a smaller exponent, which is faster to evaluate."""
    if not isinstance(law, PowerLaw):
        return Softened(law, factor, rate)
    n, rate0 = as_tensor(law.n).item(), as_tensor(law.reference_rate).item()
    scale = (rate / rate0) ** ((1 - factor) / n)  # keeps the stress at `rate`
    return replace(law, n=max(n / factor, 1.0), strength=law.strength.detach() * scale)
