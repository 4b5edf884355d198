"""Laws at work together in one crystal, such as glide and climb."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cpml.errors import ParameterError
from cpml.plasticity.laws.law import GlideLaw, Law, check_law


@dataclass(frozen=True)
class Together:
    """Several laws at work in one crystal; their modes follow one another."""

    laws: tuple[Law, ...]

    def __post_init__(self) -> None:
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

    @property
    def unshifted(self) -> "Together":
        """The laws without back stresses."""
        return Together(tuple(getattr(law, "unshifted", law) for law in self.laws))

    @property
    def back_stress(self) -> Tensor:
        """(S,) or (G, S) back stresses of all modes, MPa; 0 of laws without."""
        parts = [getattr(law, "back_stress", torch.zeros(len(law.schmid)).double()) for law in self.laws]
        rows = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
        return torch.cat([part.expand(*rows, part.shape[-1]) for part in parts], -1)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes of all modes."""
        parts = [law.rates(tau[..., part]) for law, part in zip(self.laws, self.parts, strict=True)]
        # strengths of one law may be per grain
        shape = torch.broadcast_shapes(*(rate.shape[:-1] for rate, _ in parts))
        rates, slopes = (
            torch.cat([x.expand(*shape, x.shape[-1]) for x in column], -1)
            for column in zip(*parts, strict=True)
        )
        return rates, slopes

    def with_strength(self, strength: Tensor) -> "Together":
        """The first law (glide) at other strengths (G, S of it); the others as they are."""
        return Together((glide_of(self).with_strength(strength), *self.laws[1:]))


def glide_of(law: Law) -> GlideLaw:
    """The part of a law that hardens and turns the lattice: the first of Together, else the law itself.

    Raises
    ------
    ParameterError : a law without slip systems and strengths
    """
    glide = law.laws[0] if isinstance(law, Together) else law
    if not isinstance(glide, GlideLaw):
        raise ParameterError(f"{type(glide).__name__} has no slip systems with strengths: it cannot harden")
    return glide
