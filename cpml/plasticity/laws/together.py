"""Laws at work together in one crystal, and what every law has: schmid (S, 5) and rates(tau)."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError


@dataclass(frozen=True)
class Together:
    """Several laws at work in one crystal; their modes follow one another."""

    laws: tuple

    def __post_init__(self):
        if not self.laws:
            raise ParameterError("Together needs at least one law")
        for law in self.laws:
            check_law(law)

    @property
    def schmid(self) -> Tensor:
        """(S, 5) tensors of all laws."""
        return torch.cat([law.schmid for law in self.laws])

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where the modes of each law lie."""
        ends = np.cumsum([0] + [len(law.schmid) for law in self.laws])
        return tuple(slice(a, b) for a, b in pairwise(ends))

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes of all modes."""
        found = [law.rates(tau[..., part]) for law, part in zip(self.laws, self.parts, strict=True)]
        shape = torch.broadcast_shapes(
            *(f[0].shape[:-1] for f in found)
        )  # strengths of one law may be per grain
        return tuple(torch.cat([f[i].expand(*shape, f[i].shape[-1]) for f in found], -1) for i in (0, 1))

    def with_strength(self, strength: Tensor) -> "Together":
        """The first law (glide) at other strengths (G, S of it); the others as they are."""
        return replace(self, laws=(self.laws[0].with_strength(strength), *self.laws[1:]))


def glide_of(law):
    """The part of a law that hardens and turns the lattice: the first of Together, else the law itself."""
    return law.laws[0] if isinstance(law, Together) else law


def check_law(law) -> None:
    """ParameterError unless the object has the two parts of a law: schmid (S, 5) and rates(tau)."""
    if not callable(getattr(law, "rates", None)) or getattr(law, "schmid", None) is None:
        raise ParameterError(f"{type(law).__name__} is no flow law: it needs schmid (S, 5) and rates(tau)")
