"""What a law is, and the power law: the flow rule of `cpml.plasticity.laws.flow` with the
numbers of one set of systems.

A law knows the tensors of its modes and their rates under resolved stresses: any object that has both is one
(`Law`), and a new mechanism needs no more. Paths ask for slip systems and strengths besides (`GlideLaw`).

    slip:  gamma_dot_s = rate0 |tau_s / xi_s|^n sgn(tau_s)
    twin:  gamma_dot_s = rate0 (max(tau_s, 0) / xi_s)^n           (polar: no reverse twinning)

| symbol | meaning | unit | shape |
|---|---|---|---|
| tau | resolved shear stress | MPa | (..., S) |
| xi | strength, per family (..., K) or per system (..., S) | MPa | |
| n | rate exponent, n >= 1 | | scalar |
| rate0 | reference rate | 1/s | scalar |

There is no temperature dependence in this law. Reference: Hutchinson 1976, Proc. R. Soc. Lond. A 348:101.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_tensor
from cpml.plasticity.laws import flow
from cpml.plasticity.laws.values import TensorField


@runtime_checkable
class Law(Protocol):
    """Modes of strain and how fast they move: what the solvers of crystals and polycrystals need."""

    @property
    def schmid(self) -> Tensor:
        """(S, 5) tensors of the modes, crystal frame: tau = schmid . stress, strain
        rate = sum of rate schmid.
        """

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Rates, 1/s, and their derivative by tau, both (..., S), of resolved stresses (..., S) in MPa."""


@runtime_checkable
class GlideLaw(Law, Protocol):
    """A law of slip and twin systems, which harden and turn the lattice: what a deformation path needs."""

    @property
    def systems(self) -> Systems:
        """Slip and twin systems, one for each mode."""

    @property
    def system_strength(self) -> Tensor:
        """(..., S) what hardening raises, MPa."""

    def with_strength(self, strength: Tensor) -> "GlideLaw":
        """The law at other strengths, e.g. those of hardened grains (G, S), MPa."""


def check_law(law: object, *, associated: bool = True) -> None:
    """ParameterError unless the object has the two parts of a law: schmid (S, 5) and rates(tau); and, where
    `associated`, resolves the stress by the tensors of its modes.
    """
    if not isinstance(law, Law):
        raise ParameterError(f"{type(law).__name__} is no flow law: it needs schmid (S, 5) and rates(tau)")
    if associated and hasattr(law, "drive"):
        raise ParameterError(
            f"{type(law).__name__} is not associated: it works in `single_crystal`, for one crystal or "
            "for many, not in media, fields or together with other laws"
        )


def drive_of(law: Law) -> Tensor:
    """(S, 5) tensors that resolve the stress for the modes: those of their strains, but for laws that are not
    associated.
    """
    return getattr(law, "drive", law.schmid)


@dataclass(frozen=True)
class PowerLaw:
    """Viscoplastic power law of a set of systems (module docstring); strength, n and
    rate0 may require gradients.

    Raises
    ------
    ParameterError : strengths that are not positive or not one per family or system, n outside 1 to
        1000, a rate that is not positive
    """

    systems: Systems
    strength: TensorField = TensorField()  # (..., K) per family or (..., S) per system, MPa
    n: Tensor | float = 20.0
    reference_rate: Tensor | float = 1.0  # 1/s

    def __post_init__(self) -> None:
        strength = self.strength.detach()
        size = strength.shape[-1] if strength.ndim else 0
        if size not in (len(self.systems), len(self.systems.family_names)):
            raise ParameterError(
                f"{size} strengths for {len(self.systems.family_names)} families "
                f"{self.systems.family_names} or {len(self.systems)} systems"
            )
        if not bool((strength > 0).all() and torch.isfinite(strength).all()):
            raise ParameterError(f"strengths must be positive, got a smallest of {float(strength.min())} MPa")
        n, reference_rate = as_tensor(self.n).item(), as_tensor(self.reference_rate).item()
        if not 1 <= n <= 1000 or not reference_rate > 0:
            raise ParameterError(f"n = {n} must be 1 to 1000, reference rate {reference_rate} positive")

    @classmethod
    def from_material(
        cls, material: Material, *, families: Sequence[str] | None = None, strength: Values | None = None
    ) -> "PowerLaw":
        """Law of a material file, of all its families or some; strength (K,) MPa replaces the file's."""
        systems = material.systems(families)
        given = [material.families[f].strength for f in systems.family_names]
        return cls(systems, given if strength is None else strength, material.n, material.reference_rate)

    @property
    def system_strength(self) -> Tensor:
        """(..., S) strength of every system, MPa."""
        if self.strength.shape[-1] == len(self.systems):
            return self.strength
        return self.strength[..., torch.as_tensor(self.systems.family, device=self.strength.device)]

    @property
    def is_polar(self) -> Tensor:
        """(S,) bool, systems that move one way only."""
        return torch.as_tensor(self.systems.twin, device=self.strength.device)

    @property
    def schmid(self) -> Tensor:
        """(S, 5) Schmid tensors, crystal frame."""
        return torch.as_tensor(self.systems.schmid5, device=self.strength.device)

    def to(self, device: torch.device | str) -> "PowerLaw":
        """The law with its numbers on a torch device."""
        n, rate0 = (as_tensor(v).to(device) for v in (self.n, self.reference_rate))
        return PowerLaw(self.systems, self.strength.to(device), n, rate0)

    def with_strength(self, strength: Tensor) -> "PowerLaw":
        """The law at other strengths, e.g. those of hardened grains (G, S), MPa."""
        return replace(self, strength=strength)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Shear rates and their derivative by tau, both (..., S), of resolved shear stresses (..., S)."""
        return flow.rates(tau, self.system_strength, self.is_polar, self.n, self.reference_rate)


def on_device(law: Law, device: torch.device | str) -> PowerLaw:
    """The law with its numbers on a torch device; ParameterError for a law that stays on the CPU."""
    if not isinstance(law, PowerLaw):
        raise ParameterError(f"{type(law).__name__} stays on the CPU: only a PowerLaw goes to a device")
    return law.to(device)


def check_rank(schmid: np.ndarray) -> None:
    """Raise ParameterError when the systems (S, 5) span fewer than five strain modes."""
    rank = int(np.linalg.matrix_rank(np.asarray(schmid), tol=1e-9))
    if rank < 5:
        raise ParameterError(
            f"these systems span {rank} of the 5 strain modes, so a general strain rate cannot be met: "
            "add a family (pyramidal <c+a> in hexagonal crystals)"
        )


def stress_at_rate(law: Law, rate: Tensor | float, device: torch.device | str | None = None) -> Tensor:
    """Stress (S,) or (G, S), MPa, at which each mode alone moves at `rate`, a number or (G, 1), without back
    stress; 1e5 where none does.
    """
    law = getattr(law, "unshifted", law)  # a back stress is no resistance
    low = torch.full((len(law.schmid),), 1e-9, dtype=torch.float64, device=device)
    high = torch.full_like(low, 1e5)
    for _ in range(60):
        middle = (low * high).sqrt()
        moves = law.rates(middle)[0].detach() >= rate
        low, high = torch.where(moves, low, middle), torch.where(moves, middle, high)
    return high
