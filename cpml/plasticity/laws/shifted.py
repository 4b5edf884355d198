"""A law whose modes feel their resolved stress less a back stress.

    rate_s = law rate_s(tau_s - chi_s)

| symbol | meaning | unit | shape |
|---|---|---|---|
| chi | back stress (cpml.plasticity.laws.strength.back_stress) | MPa | (S,) or (G, S) |
"""

from dataclasses import dataclass, replace

from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.plasticity.laws.law import GlideLaw
from cpml.plasticity.laws.strength.hardening import State
from cpml.plasticity.laws.together import Together, glide_of


@dataclass(frozen=True)
class Shifted:
    """A glide law with back stresses (module docstring)."""

    law: GlideLaw
    back_stress: Tensor

    @property
    def schmid(self) -> Tensor:
        """(S, 5) Schmid tensors, crystal frame."""
        return self.law.schmid

    @property
    def unshifted(self) -> GlideLaw:
        """The law without back stresses."""
        return self.law

    @property
    def systems(self) -> Systems:
        """Slip and twin systems."""
        return self.law.systems

    @property
    def system_strength(self) -> Tensor:
        """(..., S) strengths, MPa."""
        return self.law.system_strength

    def with_strength(self, strength: Tensor) -> "Shifted":
        """The law at other strengths, its back stresses as they are."""
        return replace(self, law=self.law.with_strength(strength))

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates and slopes (..., S)."""
        return self.law.rates(tau - self.back_stress)


def with_state(law: GlideLaw | Together, state: State) -> GlideLaw | Together:
    """The law of grains in a state of their hardening: its strengths, and its back stresses where it
    has any.
    """
    hard = law.with_strength(state["strength"])
    if "back_stress" not in state:
        return hard
    if isinstance(hard, Together):
        return Together((Shifted(glide_of(hard), state["back_stress"]), *hard.laws[1:]))
    return Shifted(hard, state["back_stress"])
