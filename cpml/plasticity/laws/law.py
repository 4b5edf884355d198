"""The power law of a crystal: the flow rule of `cpml.plasticity.laws.flow` with the numbers of one set of systems.

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

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import as_tensor
from cpml.plasticity.laws import flow


@dataclass(frozen=True)
class PowerLaw:
    """Viscoplastic power law of a set of systems (module docstring); strength, n
    and rate0 may require gradients.
    """

    systems: Systems
    strength: Tensor  # (..., K) per family or (..., S) per system, MPa
    n: Tensor | float = 20.0
    reference_rate: Tensor | float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "strength", as_tensor(self.strength))
        size = self.strength.shape[-1] if self.strength.ndim else 0
        if size not in (len(self.systems), len(self.systems.family_names)):
            raise ParameterError(
                f"{size} strengths for {len(self.systems.family_names)} families "
                f"{self.systems.family_names} or {len(self.systems)} systems"
            )
        if not bool((self.strength.detach() > 0).all() and torch.isfinite(self.strength.detach()).all()):
            raise ParameterError(
                f"strengths must be positive, got a smallest of {float(self.strength.min())} MPa"
            )
        n, reference_rate = as_tensor(self.n).item(), as_tensor(self.reference_rate).item()
        if not 1 <= n <= 1000 or not reference_rate > 0:
            raise ParameterError(f"n = {n} must be 1 to 1000, reference rate {reference_rate} positive")

    @classmethod
    def from_material(cls, material, *, families=None, strength=None, n=None) -> "PowerLaw":
        """Law of a material file; strength (K,) MPa replaces the file's (learned values), n its exponent."""
        systems = material.systems(families)
        chosen = [material.families[f].strength for f in systems.family_names]
        return cls(
            systems,
            chosen if strength is None else strength,
            material.n if n is None else n,
            material.reference_rate,
        )

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

    def to(self, device) -> "PowerLaw":
        """The law with its numbers on a torch device."""
        n, rate0 = (v.to(device) if isinstance(v, Tensor) else v for v in (self.n, self.reference_rate))
        return PowerLaw(self.systems, self.strength.to(device), n, rate0)

    def with_strength(self, strength: Tensor) -> "PowerLaw":
        """The law at other strengths, e.g. those of hardened grains (G, S), MPa."""
        return PowerLaw(self.systems, strength, self.n, self.reference_rate)

    def rates(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Shear rates and their derivative by tau, both (..., S), of resolved shear stresses (..., S)."""
        return flow.rates(tau, self.system_strength, self.is_polar, self.n, self.reference_rate)


def check_rank(schmid: np.ndarray) -> None:
    """Raise ParameterError when the systems (S, 5) span fewer than five strain modes."""
    rank = int(np.linalg.matrix_rank(np.asarray(schmid), tol=1e-9))
    if rank < 5:
        raise ParameterError(
            f"these systems span {rank} of the 5 strain modes, so a general strain rate cannot be met: "
            "add a family (pyramidal <c+a> in hexagonal crystals)"
        )
